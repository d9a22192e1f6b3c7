-- For how long the first ticket of each family could have been claimed, by index probes; and where to probe next time.
-- $1 and $2: families, and for each an array of ten tickets, one per lane, below which to look for nothing.
--
-- When a ticket became ready is written nowhere. A fresh one did when its job fell due. Any other has a number of its
-- own, which was drawn after that of the job before it, and not before its last failure said.
SELECT f.name AS family,
       greatest(coalesce(extract(epoch FROM max(now() - due.at)), 0), 0)::double precision AS age_s,
       array_agg(coalesce(head.ticket - 1, drawn.last_value) ORDER BY lane.priority) AS after
  FROM athena.families AS f
  CROSS JOIN athena.tickets AS drawn
  LEFT JOIN unnest($1::text[], $2::text[]) AS hint (family, after) ON hint.family = f.name
  CROSS JOIN generate_series(0, 9) AS lane (priority)
  LEFT JOIN LATERAL (
	SELECT r.ticket, r.job_id FROM athena.ready AS r
	 WHERE r.family = f.name AND r.priority = lane.priority
	   AND r.ticket > coalesce((hint.after::bigint[])[lane.priority + 1], 0)
	 ORDER BY r.ticket LIMIT 1) AS head ON true
  LEFT JOIN LATERAL (
	SELECT greatest(j.created_at, j.run_at,
		CASE WHEN head.ticket <> head.job_id THEN
			(SELECT p.created_at FROM athena.jobs AS p WHERE p.id < head.ticket ORDER BY p.id DESC LIMIT 1) END,
		CASE WHEN head.ticket <> head.job_id THEN
			(SELECT x.retry_at FROM athena.failures AS x WHERE x.job_id = head.job_id
			  ORDER BY x.ticket DESC LIMIT 1) END) AS at
	  FROM athena.jobs AS j WHERE j.id = head.job_id) AS due ON true
 GROUP BY f.name
 ORDER BY f.name
