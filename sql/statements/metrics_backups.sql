-- How old the newest verified backup of each database is, and when one was last tried in a drill. What
-- never was, counts from the first backup that was begun: so that its age is seen to grow, too.
SELECT b.client AS database,
	extract(epoch FROM now() - coalesce(max(b.started_at) FILTER (WHERE b.state = 'completed' AND b.verified_at IS NOT NULL),
		min(b.started_at)))::double precision AS age_s,
	extract(epoch FROM now() - coalesce(max(b.drilled_at), min(b.started_at)))::double precision AS drill_age_s
FROM athena.backups AS b
GROUP BY b.client
ORDER BY b.client
