-- What somebody who follows a job wants to know again and again.
SELECT s.job_id, s.family, s.state, s.attempt, s.max_attempts, s.run_at, s.created_at,
       s.started_at, s.finished_at, s.worker, s.progress, s.error, s.cancel_requested_at,
       clock_timestamp() AS now,
       extract(epoch FROM coalesce(s.finished_at, clock_timestamp()) - s.started_at) AS took_s,
       (SELECT count(*) FROM athena.failures AS f WHERE f.job_id = s.job_id) AS failures,
       f.paused_at IS NOT NULL AS paused,
       CASE WHEN s.state = 'ready' THEN athena.held_back(s.family, s.concurrency_key) END AS held_back,
       (SELECT count(*) FROM athena.worker_status AS w
	 WHERE s.family = ANY (w.families) AND w.state = 'alive') AS workers
  FROM athena.job_status AS s
  LEFT JOIN athena.families AS f ON f.name = s.family
 WHERE s.job_id = $1
