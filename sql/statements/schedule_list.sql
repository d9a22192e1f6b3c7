-- All schedules, or the one named $1: when each fires next, and what became of the last time.
SELECT s.name, s.state, s.cron, s.zone, s.next_fire,
       CASE WHEN s.state <> 'paused' THEN s.next_at END AS next_at, extract(epoch FROM s.jitter) AS jitter_s,
       to_char(s.opens, 'HH24:MI') || '-' || to_char(s.closes, 'HH24:MI') AS window, s.catch_up, s.overlap,
       s.family, s.kind, s.payload, s.priority, s.max_attempts, extract(epoch FROM s.timeout) AS timeout_s, s.concurrency_key,
       s.producer, s.created_at, s.paused_at, s.queued, s.skipped, s.failed,
       s.last_fire, s.last_outcome, s.last_reason, s.last_job, s.last_job_state
  FROM athena.schedule_status AS s
 WHERE $1::text IS NULL OR s.name = $1::text
 ORDER BY s.name
