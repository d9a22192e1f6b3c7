-- Queues one job as any producer would; no row when the unique key is held by an unfinished job.
INSERT INTO athena.jobs (family, payload, kind, priority, run_at, max_attempts, timeout, unique_key, concurrency_key)
VALUES ($1, coalesce($2::jsonb, '{}'), $3, coalesce($4::smallint, 5),
	coalesce($5::timestamptz, now() + $6::interval, now()), $7::smallint, $8::interval, $9, $10)
RETURNING id
