-- Makes a session answer as the command line reads: UTC, ISO dates, UTF-8, and no chatter. The
-- moves of tickets need READ COMMITTED whatever the role's default is. A plan for a table that was just
-- loaded expects many rows where there are few, and would be compiled for seconds.
SELECT set_config('TimeZone', 'UTC', false),
       set_config('DateStyle', 'ISO, YMD', false),
       set_config('client_encoding', 'UTF8', false),
       set_config('client_min_messages', 'warning', false),
       set_config('search_path', 'pg_catalog, pg_temp', false),
       set_config('default_transaction_isolation', 'read committed', false),
       set_config('jit', 'off', false)
