-- How many attempts of each family were taken from their worker, and for which reason; zeros included.
SELECT r.family, r.reason, sum(r.jobs)::bigint AS jobs
  FROM (SELECT t.family, t.what AS reason, t.delta AS jobs FROM athena.totals AS t WHERE t.what <> 'pruned'
	UNION ALL
	SELECT f.name, k.reason, 0
	  FROM athena.families AS f, (VALUES ('silent'), ('dead'), ('overdue'), ('unregistered')) AS k (reason)) AS r
 GROUP BY r.family, r.reason
 ORDER BY r.family, r.reason
