-- What decides when one job runs, all but how many are before it.
SELECT s.job_id, s.family, s.state, s.priority, s.attempt, s.max_attempts, s.created_at, s.run_at, s.started_at, s.finished_at,
       s.worker, s.worker_id, s.concurrency_key, s.cancel_requested_at, s.error,
       clock_timestamp() AS now,
       f.paused_at,
       CASE WHEN s.state = 'ready' THEN athena.held_back(s.family, s.concurrency_key) END AS held_back,
       (SELECT count(*) FROM athena.worker_status AS w WHERE s.family = ANY (w.families) AND w.state = 'alive') AS workers,
       (SELECT count(*) FROM athena.worker_status AS w WHERE s.family = ANY (w.families) AND w.state = 'silent') AS silent_workers,
       holder.heartbeat_at, holder.state AS worker_state,
       holder.heartbeat_at + f.lease AS lease_until,
       (SELECT x.name FROM athena.waits AS x WHERE x.job_id = s.job_id AND x.state = 'open' ORDER BY x.opened_at DESC LIMIT 1) AS wait_name,
       lane.lane, lane.last_at AS lane_last_at
  FROM athena.job_status AS s
  LEFT JOIN athena.families AS f ON f.name = s.family
  LEFT JOIN athena.worker_status AS holder ON holder.id = s.worker_id
  LEFT JOIN athena.lanes AS lane ON lane.lane = CASE s.state WHEN 'scheduled' THEN 'promote' WHEN 'waiting' THEN 'waits' WHEN 'running' THEN 'rescue' END
 WHERE s.job_id = $1
