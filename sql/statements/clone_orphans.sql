-- Staging databases of other jobs of the queue with digest $2 than $1 that no session of their attempt
-- holds. An attempt has one on this server as long as it can still finish.
SELECT d.datname
FROM pg_database AS d
CROSS JOIN LATERAL regexp_match(d.datname, format('^athena_stg_(\d{1,18})_(\d{1,18})_%s$', $2::text)) AS part
WHERE part IS NOT NULL AND part[1]::bigint <> $1::bigint
	AND pg_has_role(d.datdba, 'USAGE')
	AND NOT EXISTS (
		SELECT FROM pg_stat_activity AS a
		WHERE a.application_name = format('athena:clone:%s:%s:%s', part[1], part[2], $2::text)
			OR a.datid = d.oid)
ORDER BY d.datname
