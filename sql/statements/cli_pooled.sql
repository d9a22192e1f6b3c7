-- The same behind a transaction pooler, which hands a server's session on as it was left: only what it
-- keeps for each of its clients. Anything else would be a stranger's next.
SELECT set_config('TimeZone', 'UTC', false),
       set_config('DateStyle', 'ISO, YMD', false),
       set_config('client_encoding', 'UTF8', false)
