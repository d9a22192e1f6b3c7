-- Lanes that nobody has run for ten of their intervals, and who holds the advisory lock of one.
WITH overdue AS (
	SELECT l.lane, l.number, l.last_at, l.visible FROM athena.lanes AS l
	 WHERE l.last_at IS NULL OR l.last_at < now() - greatest(l.every * 10, interval '10 s'))
SELECT CASE WHEN o.visible THEN 'wrong' ELSE 'note' END AS verdict,
       CASE WHEN o.last_at IS NULL THEN format('lane %s has never run', o.lane)
	    ELSE format('lane %s has not run for %s', o.lane, date_trunc('second', now() - o.last_at)) END
       || CASE WHEN k.pid IS NULL THEN ''
	       ELSE format('; its lock is held by process %s (%s)', k.pid, coalesce(nullif(a.application_name, ''), 'without a name')) END AS finding,
       CASE WHEN k.pid IS NULL THEN 'start a worker, or: athena maintenance run'
	    ELSE format('SELECT pg_terminate_backend(%s)', k.pid) END AS remedy
  FROM overdue AS o
  LEFT JOIN pg_locks AS k ON k.locktype = 'advisory' AND k.classid = 1635018855 AND k.objid = o.number AND k.granted
	AND k.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
  LEFT JOIN pg_stat_activity AS a ON a.pid = k.pid
UNION ALL
SELECT 'good', 'every lane ran in time', NULL WHERE NOT EXISTS (SELECT FROM overdue)
