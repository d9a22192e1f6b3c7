-- The lanes: who ran each last, what it did, and whether it is overdue by ten intervals.
SELECT l.lane, l.visible, l.help, extract(epoch FROM l.every) AS every_s,
       l.last_at, w.host || ':' || w.pid AS leader, l.last_by AS leader_id,
       l.took_ms / 1000 AS took_s, l.did, l.total, l.runs, l.next_at,
       CASE WHEN l.last_at IS NULL THEN 'never ran'
	    WHEN l.last_at < now() - greatest(l.every * 10, interval '10 s') THEN 'overdue'
	    ELSE 'fine' END AS state
  FROM athena.lanes AS l
  LEFT JOIN athena.workers AS w ON w.id = l.last_by
 ORDER BY l.number
