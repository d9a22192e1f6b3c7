-- Limits and planner settings for the maintenance step that follows in the same transaction; nothing outlives it,
-- so that it works through a transaction pooler. Steps sort and join what the moves of tickets never do.
SELECT set_config('lock_timeout', $1::text, true),
       set_config('statement_timeout', $2::text, true),
       set_config('enable_seqscan', 'on', true),
       set_config('enable_hashjoin', 'on', true),
       set_config('enable_mergejoin', 'on', true),
       set_config('plan_cache_mode', 'auto', true),
       set_config('DateStyle', 'ISO', true),
       set_config('TimeZone', 'UTC', true)
