-- For how long the oldest snapshot or writing transaction has kept dead rows of this database from being removed: in
-- seconds, by sessions and prepared transactions; in transactions, by replication slots and standbys as well. Null
-- without the right to see other roles' sessions, since a part of the truth would look like good news.
SELECT CASE WHEN r.sees_all THEN greatest(coalesce(extract(epoch FROM max(clock_timestamp() - h.since)), 0), 0)::double precision END AS age_s,
       CASE WHEN r.sees_all THEN greatest(coalesce(max(h.xids), 0), 0)::bigint END AS age_xids
  FROM (SELECT pg_has_role('pg_read_all_stats', 'USAGE') AS sees_all) AS r
  LEFT JOIN (
	SELECT a.xact_start AS since, greatest(age(a.backend_xmin), age(a.backend_xid)) AS xids
	  FROM pg_stat_activity AS a
	 WHERE (a.backend_xid IS NOT NULL
		OR a.backend_xmin IS NOT NULL AND coalesce(a.datname = current_database(), true))
	   AND a.pid <> pg_backend_pid()
	   AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum AS v WHERE v.pid = a.pid)
	UNION ALL
	SELECT p.prepared, age(p.transaction) FROM pg_prepared_xacts AS p
	UNION ALL
	SELECT NULL, age(s.xmin) FROM pg_replication_slots AS s) AS h ON true
 GROUP BY r.sees_all
