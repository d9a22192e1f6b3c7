-- Schedules that are overdue, that could not queue their last job, or that a clock has carried ahead.
WITH told AS (
	SELECT s.name, s.state, s.next_at, s.zone, s.last_outcome, s.last_reason, s.next_fire
	  FROM athena.schedule_status AS s WHERE s.state <> 'paused'),
findings AS (
	SELECT 'wrong' AS verdict, format('schedule %s is overdue for %s', t.name, date_trunc('second', now() - t.next_at)) AS finding,
	       'see the lane schedule: athena maintenance status' AS remedy
	  FROM told AS t WHERE t.state = 'overdue'
	UNION ALL
	SELECT 'wrong', format('schedule %s could not queue its last job: %s', t.name, t.last_reason),
	       format('when that is settled: athena schedule run-now %s', t.name)
	  FROM told AS t WHERE t.last_outcome = 'failed'
	UNION ALL
	SELECT 'wrong', format('schedule %s has fired for times to come, and fires again on %s: the server''s clock was set back', s.name, s.next_fire),
	       format('athena schedule pause %1$s && athena schedule resume %1$s', s.name)
	  FROM told AS s JOIN LATERAL (SELECT max(f.fire_at) AS last FROM athena.fires AS f WHERE f.schedule = s.name) AS l ON l.last > now() + interval '1 min'
	 WHERE s.state = 'active')
SELECT * FROM findings
UNION ALL
SELECT 'good', format('%s, none of them overdue', count(*) || CASE count(*) WHEN 1 THEN ' schedule' ELSE ' schedules' END), NULL
  FROM told HAVING NOT EXISTS (SELECT FROM findings)
