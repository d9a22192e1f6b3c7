-- Adds a family; where a value is null, the table's default holds.
INSERT INTO athena.families AS f (name, summary, lease, timeout, max_attempts,
	backoff_base, backoff_cap, backoff_jitter, max_running,
	max_running_per_key, rate_count, rate_period, rate_burst, chunked)
VALUES ($1, coalesce($2, ''), coalesce($3::interval, '20 s'), nullif($4::interval, '0'),
	coalesce($5::smallint, 5), coalesce($6::interval, '1 s'), coalesce($7::interval, '1 h'),
	coalesce($8::real, 0.2), nullif($9::integer, 0),
	nullif($10::integer, 0), nullif($11::integer, 0), $12::interval, nullif($13::integer, 0),
	coalesce($14::boolean, false))
ON CONFLICT (name) DO NOTHING
