-- Staging databases of job $1 on this server, with the tickets that made them.
-- Names end in a digest $2 of the queue, since other queues have jobs of the same number.
SELECT s.datname, s.ticket
FROM (
	SELECT datname, substring(datname
		FROM format('^athena_stg_%s_(\d{1,18})(?:_%s)?$', $1::bigint, $2::text))::bigint AS ticket
	FROM pg_database) AS s
WHERE s.ticket IS NOT NULL
