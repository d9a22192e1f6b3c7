-- Ends the sessions of tickets of job $1 before ticket $2 on this server; returns those it found.
-- Names end in a digest $3 of the queue, since other queues have jobs of the same number.
-- One that is newer is left alone, and reported, since then it is we who are out of date.
SELECT s.pid, s.ticket, s.ticket < $2::bigint AS is_older,
	CASE WHEN s.ticket < $2::bigint THEN pg_terminate_backend(s.pid) END AS is_told
FROM (
	SELECT pid, substring(application_name
		FROM format('^athena:clone:%s:(\d{1,18})(?::%s)?$', $1::bigint, $3::text))::bigint AS ticket
	FROM pg_stat_activity) AS s
WHERE s.ticket <> $2::bigint
