-- What sessions named $2 do in database $1 that takes its time, longest first, at most $3 of them: the
-- statement, and how far it is, where the server tells that. $4 is a pattern for such statements, since
-- others may hold secrets.
SELECT left(a.query, 400) AS statement,
	extract(epoch FROM clock_timestamp() - a.query_start)::bigint AS seconds,
	coalesce(i.phase, '') AS phase,
	CASE WHEN i.blocks_total > 0 THEN 100 * i.blocks_done / i.blocks_total
		WHEN i.tuples_total > 0 THEN 100 * i.tuples_done / i.tuples_total END AS percent,
	c.tuples_processed AS rows, c.bytes_processed AS bytes
FROM pg_stat_activity AS a
LEFT JOIN pg_stat_progress_create_index AS i ON i.pid = a.pid
LEFT JOIN pg_stat_progress_copy AS c ON c.pid = a.pid
WHERE a.datname = $1::text AND a.application_name = $2::text AND a.state = 'active'
	AND a.backend_type = 'client backend' AND a.query ~ $4::text
ORDER BY a.query_start
LIMIT $3::bigint
