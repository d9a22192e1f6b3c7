-- oldest-program: 0.1.0
--
-- The runtime registry: what workers in any language tell about themselves, and hear back. Its
-- functions run as their owner, so that a process for maintenance alone needs no right to touch leases.

SET LOCAL ROLE athena_owner;
SET LOCAL search_path = pg_catalog, pg_temp;

-- A copy of a database (dump and restore, a template, a promoted snapshot) must not run the
-- original's jobs until somebody has said that it is a system of its own.
CREATE FUNCTION athena.is_own_system() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER
BEGIN ATOMIC
	SELECT EXISTS (SELECT FROM athena.meta AS m, pg_control_system() AS c, pg_database AS d
			WHERE m.system_identifier = c.system_identifier
			  AND d.datname = current_database() AND m.database_oid = d.oid);
END;

CREATE FUNCTION athena.require_own_system() RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT athena.is_own_system() THEN
		RAISE EXCEPTION 'this database is a copy of another system, whose jobs it must not run'
			USING ERRCODE = 'object_not_in_prerequisite_state',
			HINT = 'If it is meant to run jobs of its own: athena adopt';
	END IF;
END
$$;

CREATE FUNCTION athena.adopt() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	l athena.leases;
	returned bigint := 0;
BEGIN
	PERFORM athena.require_read_committed();
	PERFORM pg_current_xact_id();
	-- Ids and tickets that the original gave out after the copy was made are not given out again.
	PERFORM setval('athena.tickets', (SELECT last_value FROM athena.tickets) + 1000000);
	PERFORM setval('athena.event_numbers', (SELECT last_value FROM athena.event_numbers) + 1000000);
	FOR l IN SELECT * FROM athena.leases FOR UPDATE LOOP
		returned := returned + (SELECT r.jobs FROM athena.lease_return(l) AS r);
	END LOOP;
	DELETE FROM athena.workers;
	DELETE FROM athena.sleepers;
	DELETE FROM athena.cancel_requests;
	UPDATE athena.meta SET adopted_at = now(),
	       system_identifier = (SELECT c.system_identifier FROM pg_control_system() AS c),
	       database_oid = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database());
	RETURN returned;
END
$$;
COMMENT ON FUNCTION athena.adopt IS 'Declares a restored or copied database to be a system of its own: hands back all leases, renews numbers, forgets workers. Returns the number of leases handed back.';

CREATE FUNCTION athena.register_worker(
	families text[], kind text DEFAULT 'sql', host text DEFAULT 'unknown', version text DEFAULT '',
	worker_id uuid DEFAULT gen_random_uuid(), boot_id text DEFAULT '', pid integer DEFAULT 0,
	pid_started bigint DEFAULT 0) RETURNS uuid
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM athena.require_own_system();
	PERFORM athena.need_family(family) FROM unnest(families) AS family;
	INSERT INTO athena.workers (id, kind, host, boot_id, pid, pid_started, version, families)
	VALUES (worker_id, register_worker.kind, register_worker.host, register_worker.boot_id,
		register_worker.pid, register_worker.pid_started, register_worker.version, register_worker.families);
	RETURN worker_id;
END
$$;
COMMENT ON FUNCTION athena.register_worker IS 'Registers a process that will claim jobs of these families, and returns its id. Call athena.heartbeat at least every 5 s from then on.';

-- One heartbeat per process. The first row says whether the worker is still registered (alive) or
-- not (fenced: stop everything, register anew). Then: lease, our leases older than 10 s; cancel,
-- tickets to stop; paused, families of ours that are paused.
CREATE FUNCTION athena.heartbeat(worker_id uuid)
RETURNS TABLE (what text, family text, job_id bigint, ticket bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	served text[];
BEGIN
	UPDATE athena.workers AS w SET heartbeat_at = clock_timestamp()
	 WHERE w.id = heartbeat.worker_id RETURNING w.families INTO served;
	IF NOT FOUND THEN
		RETURN QUERY SELECT 'fenced', NULL::text, NULL::bigint, NULL::bigint;
		RETURN;
	END IF;
	RETURN QUERY SELECT 'alive', NULL::text, NULL::bigint, NULL::bigint;
	RETURN QUERY SELECT 'lease', l.family, l.job_id, l.ticket FROM athena.leases AS l
		      WHERE l.worker_id = heartbeat.worker_id AND l.claimed_at < now() - interval '10 s';
	RETURN QUERY SELECT 'cancel', l.family, c.job_id, l.ticket
		       FROM athena.leases AS l, -- never a scan of leases
			    LATERAL (SELECT q.job_id FROM athena.cancel_requests AS q WHERE q.ticket = l.ticket OFFSET 0) AS c
		      WHERE l.ticket = ANY (ARRAY(SELECT q.ticket FROM athena.cancel_requests AS q))
			AND l.worker_id = heartbeat.worker_id;
	RETURN QUERY SELECT 'paused', f.name, NULL::bigint, NULL::bigint FROM athena.families AS f
		      WHERE f.name = ANY (served) AND f.paused_at IS NOT NULL;
END
$$;
COMMENT ON FUNCTION athena.heartbeat IS 'Says that a worker lives; answers alive or fenced, then its leases older than 10 s, the tickets it should cancel, and its paused families.';

-- A clean goodbye. Leases that are left (there should be none) are handed back.
CREATE FUNCTION athena.unregister_worker(worker_id uuid) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	l athena.leases;
	returned bigint := 0;
BEGIN
	PERFORM athena.require_read_committed();
	FOR l IN SELECT * FROM athena.leases AS x WHERE x.worker_id = unregister_worker.worker_id
		  ORDER BY x.job_id FOR UPDATE LOOP
		returned := returned + (SELECT r.jobs FROM athena.lease_return(l) AS r);
	END LOOP;
	DELETE FROM athena.sleepers AS s WHERE s.worker_id = unregister_worker.worker_id;
	DELETE FROM athena.workers AS w WHERE w.id = unregister_worker.worker_id;
	RETURN returned;
END
$$;

-- Progress of a running attempt; refused (false) once the lease is gone.
CREATE FUNCTION athena.set_progress(worker_id uuid, job_id bigint, ticket bigint, done bigint, total bigint, unit text, phase text DEFAULT NULL)
RETURNS boolean LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	INSERT INTO athena.progress AS p (ticket, job_id, phase, done, total, unit)
	SELECT l.ticket, set_progress.job_id, set_progress.phase, set_progress.done, set_progress.total, set_progress.unit
	  FROM athena.leases AS l
	 WHERE l.ticket = set_progress.ticket AND l.worker_id = set_progress.worker_id
	   AND (l.job_id = set_progress.job_id
		OR EXISTS (SELECT FROM athena.chunks AS c WHERE c.ticket = l.ticket AND c.jobs @> set_progress.job_id))
	ON CONFLICT (ticket) DO UPDATE SET at = now(), job_id = excluded.job_id, phase = excluded.phase,
	       done = CASE WHEN p.unit = excluded.unit AND p.job_id = excluded.job_id THEN greatest(p.done, excluded.done) ELSE excluded.done END, total = excluded.total, unit = excluded.unit;
	RETURN FOUND;
END
$$;
