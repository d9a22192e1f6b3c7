-- Limits and planner settings for the question of a scrape that follows in the same transaction; nothing outlives it.
SELECT set_config('lock_timeout', $1::text, true),
       set_config('statement_timeout', $2::text, true),
       set_config('enable_seqscan', 'off', true),
       set_config('jit', 'off', true)
