-- How many registered processes of each kind have said within 15 s that they live.
SELECT w.kind, sum(w.alive)::bigint AS workers
  FROM (SELECT r.kind, (r.heartbeat_at > now() - interval '15 s')::integer AS alive FROM athena.workers AS r
	UNION ALL
	VALUES ('worker', 0), ('maintenance', 0)) AS w
 GROUP BY w.kind
 ORDER BY w.kind
