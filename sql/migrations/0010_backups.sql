-- oldest-program: 0.1.0
--
-- Backups: the catalog of what jobs of the family `backup` have put into a store.
--
-- Walk of one backup. Before the first byte leaves, the attempt writes its row: running, with the
-- stem that all its keys begin with, which carries job and ticket. If it dies, the next attempt
-- finds the stem here, removes what stands or is unfinished under it, and writes its own over it.
-- When everything is in the store and has been read back from there, one update makes the row
-- completed, with the manifest. Expiring marks the row first, so that nobody counts on a backup of
-- which a part may be gone, and removes objects then; the row stays, as expired.
--
-- An update names job and ticket: who lost his lease to a newer attempt finds its ticket here.

SET LOCAL ROLE athena_owner;
SET LOCAL search_path = pg_catalog, pg_temp;

CREATE TABLE athena.backups (
	job_id        bigint PRIMARY KEY,
	ticket        bigint NOT NULL,
	started_at    timestamptz NOT NULL DEFAULT now(),
	completed_at  timestamptz,
	verified_at   timestamptz,
	drilled_at    timestamptz,
	expired_at    timestamptz,
	bytes         bigint,
	stored_bytes  bigint,
	attempt       smallint NOT NULL,
	pinned        boolean NOT NULL DEFAULT false,
	state         text COLLATE "C" NOT NULL DEFAULT 'running'
		CHECK (state IN ('running', 'completed', 'expiring', 'expired')),
	client        text COLLATE "C" NOT NULL,
	label         text,
	store         text NOT NULL,
	place         text NOT NULL,
	stem          text COLLATE "C" NOT NULL UNIQUE,
	sha256        text,
	stored_sha256 text,
	key_id        text,
	verify_error  text,
	drill_error   text,
	expire_reason text,
	manifest      jsonb,
	CONSTRAINT "a backup that is completed has a manifest" CHECK (state = 'running' OR manifest IS NOT NULL)
);
CREATE INDEX backups_client ON athena.backups (client, started_at, job_id);
COMMENT ON TABLE athena.backups IS 'The catalog of backups, by the job that made each: where it is, what it holds, when it was last proved to be good.';
COMMENT ON COLUMN athena.backups.verified_at IS 'When all of it was last read back and found right; null: never, or it was found wrong since.';

CREATE VIEW athena.backup_jobs AS
SELECT s.job_id AS id, coalesce(nullif(s.kind, ''), 'backup') AS job_type,
       coalesce(b.client, s.payload ->> 'database') AS client_name,
       coalesce(b.label, s.payload ->> 'label') AS label,
       CASE s.state WHEN 'running' THEN 'running' WHEN 'succeeded' THEN 'completed' WHEN 'dead' THEN 'failed'
		    WHEN 'cancelled' THEN 'cancelled' ELSE 'pending' END AS status,
       s.progress ->> 'phase' AS progress_stage,
       round((s.progress ->> 'done')::numeric * 100 / nullif((s.progress ->> 'total')::numeric, 0), 1) AS progress_pct,
       s.error AS error_message,
       CASE WHEN b.store = 's3' THEN b.place END AS s3_bucket,
       CASE WHEN b.store = 's3' THEN b.stem || '.dump' END AS s3_key,
       b.stored_bytes AS size_bytes,
       s.worker AS execution_daemon_id,
       s.created_at,
       coalesce(s.finished_at, (s.progress ->> 'at')::timestamptz, s.started_at, s.created_at) AS updated_at,
       s.finished_at AS completed_at
  FROM athena.job_status AS s
  LEFT JOIN athena.backups AS b ON b.job_id = s.job_id
 WHERE s.family = 'backup';
COMMENT ON VIEW athena.backup_jobs IS 'Jobs of the family backup: backups, restores, verifications, drills and expiries, under names that other tools of this trade read.';

CREATE VIEW athena.backup_logs AS
SELECT e.job_id, e.seq AS id, e.at AS created_at, e.level, e.phase AS progress_stage, e.kind, e.message, e.details
  FROM athena.events AS e JOIN athena.jobs AS j ON j.id = e.job_id
 WHERE j.family = 'backup';
COMMENT ON VIEW athena.backup_logs IS 'What jobs of the family backup said: their events.';

INSERT INTO athena.families (name, builtin, summary, lease, timeout, max_attempts, payload_keys) VALUES
	('backup', true, 'backs databases up, and restores, verifies, drills and expires backups',
	 '120 s', NULL, 5,
	 '{"database": {"type": "string"},
	   "label": {"type": "string"},
	   "verify": {"type": "string", "enum": ["full", "counts", "none"]},
	   "backup": {"type": "integer"},
	   "target": {"type": "string"},
	   "replace": {"type": "string"},
	   "keep_last": {"type": "integer", "min": 0, "max": 100000},
	   "keep_hourly": {"type": "integer", "min": 0, "max": 100000},
	   "keep_daily": {"type": "integer", "min": 0, "max": 100000},
	   "keep_weekly": {"type": "integer", "min": 0, "max": 100000},
	   "keep_monthly": {"type": "integer", "min": 0, "max": 100000},
	   "keep_yearly": {"type": "integer", "min": 0, "max": 100000},
	   "min_age": {"type": "duration"},
	   "dry_run": {"type": "boolean"}}');

REVOKE ALL ON athena.backups, athena.backup_jobs, athena.backup_logs FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE ON athena.backups TO athena_worker;
GRANT SELECT ON athena.backups TO athena_reader;
GRANT SELECT (client, state, started_at, verified_at, drilled_at) ON athena.backups TO athena_maintenance; -- their age, of /metrics
GRANT SELECT ON athena.backup_jobs, athena.backup_logs TO athena_reader, athena_worker;
