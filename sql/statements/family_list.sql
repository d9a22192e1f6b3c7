-- All families, or the one named $1, with their settings, depth and the workers that serve them.
SELECT f.name, f.summary, f.builtin, f.paused_at IS NOT NULL AS paused, f.paused_at,
       extract(epoch FROM f.lease) AS lease_s,
       extract(epoch FROM f.timeout) AS timeout_s,
       f.max_attempts,
       extract(epoch FROM f.backoff_base) AS backoff_base_s,
       extract(epoch FROM f.backoff_cap) AS backoff_cap_s,
       f.backoff_jitter, f.max_running, f.max_running_per_key,
       f.rate_count, extract(epoch FROM f.rate_period) AS rate_period_s, f.rate_burst, f.chunked,
       array_to_json(f.producers) AS producers,
       f.payload_keys, f.created_at,
       coalesce(d.ready, 0) AS ready, coalesce(d.scheduled, 0) AS scheduled,
       coalesce(d.running, 0) AS running, coalesce(d.waiting, 0) AS waiting,
       coalesce(d.dead, 0) AS dead,
       (SELECT count(*) FROM athena.worker_status AS w
	 WHERE f.name = ANY (w.families) AND w.state = 'alive') AS workers
  FROM athena.families AS f
  LEFT JOIN (SELECT x.family,
		    sum(x.jobs) FILTER (WHERE x.state = 'ready') AS ready,
		    sum(x.jobs) FILTER (WHERE x.state = 'scheduled') AS scheduled,
		    sum(x.jobs) FILTER (WHERE x.state = 'running') AS running,
		    sum(x.jobs) FILTER (WHERE x.state = 'waiting') AS waiting,
		    sum(x.jobs) FILTER (WHERE x.state = 'dead') AS dead
	       FROM athena.depth AS x GROUP BY x.family) AS d ON d.family = f.name
 WHERE $1::text IS NULL OR f.name = $1::text
 ORDER BY f.name
