-- Adds a schedule, unless its name is taken; where a value is null, the table's default holds.
INSERT INTO athena.schedules AS s (name, cron, zone, jitter, catch_up, overlap, opens, closes,
	family, payload, kind, priority, max_attempts, timeout, concurrency_key)
VALUES ($1, $2, coalesce($3, 'UTC'), coalesce($4::interval, '0'), coalesce($5, 'skip'), coalesce($6, 'skip'), $7::time, $8::time,
	$9, coalesce($10::jsonb, '{}'), $11, coalesce($12::smallint, 5), $13::smallint, $14::interval, $15)
ON CONFLICT (name) DO NOTHING
