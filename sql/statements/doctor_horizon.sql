-- Who keeps dead rows from being removed for longer than ten minutes; the five oldest.
WITH holders AS (
	SELECT 'session' AS what, a.pid, coalesce(nullif(a.application_name, ''), a.backend_type) AS who, a.state, now() - a.xact_start AS age
	  FROM pg_stat_activity AS a
	 WHERE (a.backend_xid IS NOT NULL OR a.backend_xmin IS NOT NULL AND coalesce(a.datname = current_database(), true))
	   AND a.pid <> pg_backend_pid()
	   AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum AS v WHERE v.pid = a.pid)
	UNION ALL
	SELECT 'prepared transaction', NULL, p.gid, NULL, now() - p.prepared FROM pg_prepared_xacts AS p),
old AS (SELECT * FROM holders AS h WHERE h.age > '10 min' ORDER BY h.age DESC LIMIT 5)
SELECT 'wrong' AS verdict,
       format('%s %s%s has kept dead rows for %s', o.what, concat_ws(' ', o.pid, quote_literal(o.who)), ', ' || o.state, date_trunc('second', o.age)) AS finding,
       CASE WHEN o.pid IS NULL THEN format('COMMIT PREPARED or ROLLBACK PREPARED %L', o.who)
	    ELSE format('end it, or: SELECT pg_terminate_backend(%s)', o.pid) END AS remedy
  FROM old AS o
UNION ALL
SELECT 'wrong', format('replication slot %s keeps dead rows of %s transactions', s.slot_name, age(s.xmin)), format('SELECT pg_drop_replication_slot(%L), if nobody needs it', s.slot_name)
  FROM pg_replication_slots AS s WHERE age(s.xmin) > 10000000
UNION ALL
SELECT CASE WHEN pg_has_role('pg_read_all_stats', 'USAGE') THEN 'good' ELSE 'note' END,
       CASE WHEN pg_has_role('pg_read_all_stats', 'USAGE')
	    THEN format('the oldest transaction has been open for %s', coalesce((SELECT date_trunc('second', max(h.age)) FROM holders AS h), interval '0'))
	    ELSE 'other roles'' sessions cannot be seen, so the oldest transaction is not known' END,
       CASE WHEN NOT pg_has_role('pg_read_all_stats', 'USAGE') THEN format('GRANT pg_read_all_stats TO %I', current_user) END
 WHERE NOT EXISTS (SELECT FROM old)
