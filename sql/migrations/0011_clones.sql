-- oldest-program: 0.1.0
--
-- Clones: what they may be told, and rows of their own, for people and for interfaces that speak of
-- clone jobs.

SET LOCAL ROLE athena_owner;
SET LOCAL search_path = pg_catalog, pg_temp;

INSERT INTO athena.families (name, builtin, summary, lease, timeout, max_attempts, payload_keys) VALUES
	('clone', true, 'copies a whole database, verified row by row',
	 '120 s', NULL, 5,
	 '{"source": {"type": "string", "required": true},
	   "target": {"type": "string", "required": true},
	   "verify": {"type": "string", "enum": ["full", "counts", "none"]},
	   "mode": {"type": "string", "enum": ["auto", "pipe", "staged", "parallel"]},
	   "jobs": {"type": "integer", "min": 1, "max": 64},
	   "dry_run": {"type": "boolean"}}')
ON CONFLICT (name) DO UPDATE SET payload_keys = excluded.payload_keys;

CREATE VIEW athena.clone_events AS
SELECT athena.public_id(e.job_id) AS job_id, e.job_id AS job_number, e.seq, e.ticket, e.attempt, e.phase, e.level,
       e.kind, e.message, e.details, e.at AS created_at
  FROM athena.events AS e
  JOIN athena.jobs AS j ON j.id = e.job_id
 WHERE j.family = 'clone';
COMMENT ON VIEW athena.clone_events IS 'What clones said, in the order of (job_number, seq).';

-- The words are those that tools for clone jobs know. A failed attempt that will be repeated is
-- failed_retryable until it runs again.
CREATE VIEW athena.clone_jobs AS
SELECT athena.public_id(s.job_id) AS job_id, s.job_id AS job_number,
       CASE WHEN s.state = 'succeeded' THEN 'completed'
	    WHEN s.state = 'dead' THEN 'failed_terminal'
	    WHEN s.state = 'cancelled' THEN 'cancelled'
	    WHEN s.state <> 'running' THEN CASE WHEN s.attempt > 0 THEN 'failed_retryable' ELSE 'queued' END
	    WHEN s.cancel_requested_at IS NOT NULL THEN 'cancel_requested'
	    WHEN phase.phase IN ('dump_source', 'restore_target') THEN 'running'
	    WHEN phase.phase IN ('verify_target', 'complete') THEN 'verifying'
	    ELSE 'preparing' END AS status,
       phase.phase,
       s.attempt AS attempt_count, s.max_attempts,
       s.worker AS execution_daemon_id,
       s.cancel_requested_at IS NOT NULL AS cancel_requested,
       s.payload AS redacted_summary,
       s.progress,
       (SELECT e.details FROM athena.events AS e WHERE e.job_id = s.job_id AND e.kind = 'verification_result'
	 ORDER BY e.seq DESC LIMIT 1) AS verification_summary,
       s.error AS failure_summary,
       s.created_at, s.started_at,
       greatest(s.created_at, s.started_at, s.finished_at, phase.at) AS updated_at,
       s.finished_at AS completed_at
  FROM athena.job_status AS s
  LEFT JOIN LATERAL (
	SELECT e.phase, e.at FROM athena.events AS e WHERE e.job_id = s.job_id AND e.kind = 'phase_started'
	 ORDER BY e.seq DESC LIMIT 1) AS phase ON true
 WHERE s.family = 'clone';
COMMENT ON VIEW athena.clone_jobs IS 'Clones, in the words of tools that know clone jobs. verification_summary: what was compared, and with which result.';

GRANT SELECT ON athena.clone_jobs, athena.clone_events TO athena_reader, athena_worker;
