-- Jobs, newest first, before id $3; of family $1 and in state $2 unless these are null.
SELECT s.job_id, s.family, s.kind, s.state, s.priority, s.attempt, s.max_attempts,
       format('%s/%s', s.attempt, s.max_attempts) AS attempts,
       s.run_at, s.created_at, s.started_at, s.finished_at,
       extract(epoch FROM coalesce(s.finished_at, clock_timestamp()) - s.started_at) AS took_s,
       s.worker, s.progress, s.error, s.payload, s.unique_key, s.concurrency_key,
       CASE WHEN s.state IN ('dead', 'scheduled') AND s.error IS NOT NULL THEN s.error
	    WHEN s.state = 'running' AND s.cancel_requested_at IS NOT NULL THEN 'cancel requested'
	    WHEN s.state = 'running' THEN concat_ws(' ', s.progress ->> 'phase',
		 ((s.progress ->> 'done')::numeric * 100 / nullif((s.progress ->> 'total')::numeric, 0))::integer || ' %')
	    ELSE s.kind END AS detail
  FROM athena.jobs_in($2::athena.job_state, $1, $3, $4) AS wanted (job_id)
  JOIN athena.job_status AS s ON s.job_id = wanted.job_id
 ORDER BY s.job_id DESC
