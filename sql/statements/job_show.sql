-- One job as people may see it, and whether anybody is there to run it.
SELECT s.job_id, s.family, s.kind, s.state, s.priority, s.attempt, s.max_attempts, s.run_at,
       s.created_at, s.started_at, s.finished_at, s.worker, s.worker_id, s.ticket, s.unique_key, s.concurrency_key,
       extract(epoch FROM s.timeout) AS timeout_s,
       extract(epoch FROM coalesce(s.finished_at, clock_timestamp()) - s.started_at) AS took_s,
       s.cancel_requested_at, s.progress, s.error, s.payload,
       clock_timestamp() AS now,
       f.paused_at IS NOT NULL AS paused,
       CASE WHEN s.state = 'ready' THEN athena.held_back(s.family, s.concurrency_key) END AS held_back,
       (SELECT count(*) FROM athena.worker_status AS w
	 WHERE s.family = ANY (w.families) AND w.state = 'alive') AS workers
  FROM athena.job_status AS s
  LEFT JOIN athena.families AS f ON f.name = s.family
 WHERE s.job_id = $1
