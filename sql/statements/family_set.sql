-- Changes what is not null; a timeout or limit of 0 is none.
UPDATE athena.families AS f
   SET summary = coalesce($2, f.summary),
       lease = coalesce($3::interval, f.lease),
       timeout = CASE WHEN $4::interval IS NULL THEN f.timeout ELSE nullif($4::interval, '0') END,
       max_attempts = coalesce($5::smallint, f.max_attempts),
       backoff_base = coalesce($6::interval, f.backoff_base),
       backoff_cap = coalesce($7::interval, f.backoff_cap),
       backoff_jitter = coalesce($8::real, f.backoff_jitter),
       max_running = CASE WHEN $9::integer IS NULL THEN f.max_running ELSE nullif($9::integer, 0) END,
       max_running_per_key = CASE WHEN $10::integer IS NULL THEN f.max_running_per_key ELSE nullif($10::integer, 0) END,
       rate_count = CASE WHEN $11::integer IS NULL THEN f.rate_count ELSE nullif($11::integer, 0) END,
       rate_period = CASE WHEN $11::integer IS NULL THEN f.rate_period ELSE $12::interval END,
       rate_burst = CASE WHEN $13::integer IS NOT NULL THEN nullif($13::integer, 0) WHEN $11::integer = 0 THEN NULL ELSE f.rate_burst END,
       chunked = coalesce($14::boolean, f.chunked)
 WHERE f.name = $1
