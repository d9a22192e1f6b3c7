-- oldest-program: 0.1.0
--
-- Schedules of backups, in the words that other tools of this trade read: schedules like any other, of the family
-- `backup`. What they keep is in their payload, and is judged by each backup when it is complete.

SET LOCAL ROLE athena_owner;
SET LOCAL search_path = pg_catalog, pg_temp;

CREATE VIEW athena.backup_schedules AS
SELECT s.name AS id, s.payload ->> 'database' AS client_name, s.payload ->> 'label' AS label,
       coalesce(nullif(s.kind, ''), 'backup') AS job_type, s.cron AS frequency, s.zone AS time_zone,
       s.state <> 'paused' AS enabled, s.next_at AS next_run_at, s.last_fire AS last_run_at, s.last_job AS last_job_id,
       s.last_job_state,
       (SELECT jsonb_object_agg(k.key, k.value) FROM jsonb_each(s.payload) AS k
	 WHERE k.key LIKE 'keep\_%' OR k.key = 'min_age') AS retention
  FROM athena.schedule_status AS s
 WHERE s.family = 'backup';
COMMENT ON VIEW athena.backup_schedules IS 'Schedules of the family backup, under names that other tools of this trade read; retention is what each backup keeps.';

REVOKE ALL ON athena.backup_schedules FROM PUBLIC;
GRANT SELECT ON athena.backup_schedules TO athena_reader, athena_worker;
