-- Each family's depth, how many jobs it was ever given and how many of them have ended: sums of deltas, in one snapshot.
-- Pruned jobs count on, so that neither of the two goes back.
SELECT f.name AS family, f.paused_at IS NOT NULL AS paused,
       coalesce(d.ready, 0) AS ready, coalesce(d.scheduled, 0) AS scheduled, coalesce(d.running, 0) AS running,
       coalesce(d.waiting, 0) AS waiting, coalesce(d.dead, 0) AS dead,
       coalesce(d.jobs, 0) + coalesce(p.jobs, 0) AS enqueued,
       coalesce(d.ended, 0) + coalesce(p.jobs, 0) AS ended,
       extract(epoch FROM statement_timestamp())::double precision AS at_s
  FROM athena.families AS f
  LEFT JOIN (SELECT x.family, sum(x.jobs)::bigint AS jobs,
		    sum(x.jobs) FILTER (WHERE x.state = 'ready')::bigint AS ready,
		    sum(x.jobs) FILTER (WHERE x.state = 'scheduled')::bigint AS scheduled,
		    sum(x.jobs) FILTER (WHERE x.state = 'running')::bigint AS running,
		    sum(x.jobs) FILTER (WHERE x.state = 'waiting')::bigint AS waiting,
		    sum(x.jobs) FILTER (WHERE x.state = 'dead')::bigint AS dead,
		    sum(x.jobs) FILTER (WHERE x.state IN ('succeeded', 'dead', 'cancelled'))::bigint AS ended
	       FROM athena.depth AS x GROUP BY x.family) AS d ON d.family = f.name
  LEFT JOIN (SELECT t.family, sum(t.delta)::bigint AS jobs
	       FROM athena.totals AS t WHERE t.what = 'pruned' GROUP BY t.family) AS p ON p.family = f.name
 ORDER BY f.name
