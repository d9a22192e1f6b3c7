-- Whether there is room for more connections, and how many are Athena's.
SELECT CASE WHEN c.used > 0.9 * c.most THEN 'wrong' ELSE 'good' END AS verdict,
       format('%s of %s connections are in use, %s by Athena', c.used, c.most, c.ours) AS finding,
       CASE WHEN c.used > 0.9 * c.most THEN 'raise max_connections, or put a pooler before the other clients' END AS remedy
  FROM (SELECT count(*) AS used, count(*) FILTER (WHERE a.application_name LIKE 'athena%') AS ours,
	       current_setting('max_connections')::integer AS most
	  FROM pg_stat_activity AS a WHERE a.backend_type = 'client backend') AS c
