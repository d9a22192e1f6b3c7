-- oldest-program: 0.1.0
--
-- Who may do what. PUBLIC nothing; producers insert named columns of jobs and read its id; readers
-- read what is redacted; workers move tickets, but neither create nor alter nor truncate; maintenance
-- runs lanes and reads figures: it can claim no job and read no payload.

SET LOCAL ROLE athena_owner;
SET LOCAL search_path = pg_catalog, pg_temp;

REVOKE ALL ON SCHEMA athena FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA athena FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA athena FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA athena FROM PUBLIC;
REVOKE ALL ON TYPE athena.job_state FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE athena_owner REVOKE ALL ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE athena_owner REVOKE ALL ON TYPES FROM PUBLIC;

GRANT USAGE ON SCHEMA athena TO athena_producer, athena_worker, athena_maintenance, athena_reader;
GRANT USAGE ON TYPE athena.job_state TO athena_worker, athena_maintenance, athena_reader;

GRANT INSERT (family, kind, payload, priority, run_at, max_attempts, timeout, unique_key, concurrency_key), SELECT (id)
	ON athena.jobs TO athena_producer;
GRANT EXECUTE ON FUNCTION athena.enqueue, athena.key_holder, athena.refuse_producer TO athena_producer;

GRANT SELECT ON athena.job_status, athena.worker_status, athena.depth, athena.families, athena.workers, athena.lanes, athena.progress,
	athena.outcomes, athena.finished, athena.chunks, athena.settings, athena.migrations TO athena_reader, athena_worker;
GRANT SELECT (job_id, seq, at, ticket, attempt, phase, level, kind, message, details) ON athena.events TO athena_reader;
GRANT SELECT (job_id, ticket, at, worker_id, attempt, kind, code, family, error, details, retry_at) ON athena.failures TO athena_reader;
GRANT EXECUTE ON FUNCTION athena.conservation, athena.jobs_in, athena.public_id, athena.job_id, athena.redact(text), athena.redact(jsonb),
	athena.redact_nested, athena.is_secret_name, athena.block_of, athena.ids_of, athena.chunk_place,
	athena.place_of, athena.limit_status, athena.held_back, athena.jobs_ahead TO athena_reader, athena_worker;

GRANT INSERT (family, kind, payload, priority, run_at, max_attempts, timeout, unique_key, concurrency_key), SELECT ON athena.jobs TO athena_worker;
GRANT UPDATE (id) ON athena.jobs TO athena_worker; -- for SELECT .. FOR KEY SHARE only; id is GENERATED ALWAYS
GRANT SELECT, INSERT, DELETE ON athena.ready, athena.scheduled, athena.waiting, athena.outcomes, athena.uniques,
	athena.cancel_requests, athena.sleepers TO athena_worker;
GRANT SELECT, INSERT, DELETE, UPDATE ON athena.leases, athena.chunks, athena.workers, athena.progress, athena.families TO athena_worker;
GRANT UPDATE ON athena.ready, athena.scheduled TO athena_worker; -- FOR UPDATE SKIP LOCKED asks for it
GRANT INSERT, SELECT ON athena.tallies, athena.events, athena.failures TO athena_worker;
GRANT SELECT ON athena.meta, athena.totals, athena.limits TO athena_worker, athena_reader;
GRANT INSERT, UPDATE ON athena.limits TO athena_worker;
GRANT USAGE ON SEQUENCE athena.tickets, athena.event_numbers TO athena_worker;
GRANT SELECT ON SEQUENCE athena.tickets TO athena_worker;
GRANT EXECUTE ON FUNCTION
	athena.require_read_committed, athena.tally, athena.place_freed, athena.make_outcome,
	athena.lease_split, athena.lease_finish, athena.lease_return, athena.lease_to_ready, athena.lease_to_scheduled, athena.lease_fail,
	athena.cancel_wanted, athena.backoff, athena.claim, athena.lock_family, athena.claim_limited, athena.free_places,
	athena.taken_starts, athena.free_starts, athena.next_start, athena.take_starts, athena.look_at_keys, athena.pick_in_line, athena.keyless,
	athena.search_keyless, athena.pick_of_keys, athena.pick_by_key, athena.pick_limited, athena.may_claim, athena.wait_for_limits,
	athena.check_result, athena.lease_settle, athena.settle, athena.settle_chunk, athena.settle_recall,
	athena.leave_chunk, athena.claim_apart, athena.take_idle, athena.request_cancel, athena.cancel, athena.take_key_again, athena.retry, athena.need_family, athena.pause, athena.resume,
	athena.wake, athena.is_own_system, athena.require_own_system, athena.register_worker, athena.unregister_worker, athena.heartbeat,
	athena.set_progress, athena.run_lane, athena.rescue, athena.enqueue, athena.key_holder, athena.refuse_producer,
	athena.refuse_job, athena.payload_problem, athena.value_problem
	TO athena_worker;

GRANT EXECUTE ON FUNCTION athena.run_lane, athena.rescue, athena.register_worker, athena.heartbeat, athena.unregister_worker, athena.limit_status
	TO athena_maintenance;
GRANT SELECT ON athena.depth, athena.families, athena.workers, athena.lanes, athena.settings, athena.migrations, athena.tallies, athena.totals
	TO athena_maintenance;
GRANT SELECT (worker_id) ON athena.leases TO athena_maintenance; -- whether a silent worker holds any
GRANT SELECT (ticket, job_id, family, priority) ON athena.ready TO athena_maintenance; -- the oldest age, of /metrics
GRANT SELECT (id, created_at, run_at) ON athena.jobs TO athena_maintenance;
GRANT SELECT (job_id, ticket, retry_at) ON athena.failures TO athena_maintenance;
GRANT SELECT ON SEQUENCE athena.tickets TO athena_maintenance;
