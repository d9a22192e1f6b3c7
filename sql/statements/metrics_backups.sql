-- How old the newest verified backup of each database is, and when one was last tried in a drill.
SELECT b.client AS database,
	extract(epoch FROM now() - max(b.started_at) FILTER (WHERE b.verified_at IS NOT NULL))::double precision AS age_s,
	extract(epoch FROM now() - max(b.drilled_at))::double precision AS drill_age_s
FROM athena.backups AS b
WHERE b.state = 'completed'
GROUP BY b.client
ORDER BY b.client
