-- oldest-program: 0.1.0
--
-- Every move of a ticket but the two hot ones that programs send as statements of their own
-- (claim, settle_succeeded). Each function is one transaction's worth: dying before its commit
-- changes nothing, dying after it leaves a complete state.
--
-- Lock order: settle and cancel wait for a lease; rescue and deadlines skip locked ones. Whoever
-- moves many in one transaction goes by job id, or repeats it on 40P01.

SET LOCAL ROLE athena_owner;
SET LOCAL search_path = pg_catalog, pg_temp;

-- The moves read what was committed a moment ago; under a snapshot they would fail or miss it.
CREATE FUNCTION athena.require_read_committed() RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF current_setting('transaction_isolation') <> 'read committed' THEN
		RAISE EXCEPTION 'athena functions that move jobs need READ COMMITTED, not %',
			upper(current_setting('transaction_isolation'))
			USING ERRCODE = 'object_not_in_prerequisite_state',
			HINT = 'SET default_transaction_isolation = ''read committed''';
	END IF;
END
$$;

CREATE FUNCTION athena.tally(family text, state athena.job_state, delta bigint) RETURNS void
LANGUAGE sql
BEGIN ATOMIC
	INSERT INTO athena.tallies (family, state, delta) VALUES (tally.family, tally.state, tally.delta);
END;

-- A freed place of a limited family is work in front of sleepers, as a new ticket would be.
CREATE FUNCTION athena.place_freed(family text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF EXISTS (SELECT FROM athena.families AS f WHERE f.name = place_freed.family AND coalesce(f.max_running, f.max_running_per_key) IS NOT NULL) THEN
		PERFORM athena.wake(ARRAY[place_freed.family]);
	END IF;
END
$$;

CREATE FUNCTION athena.make_outcome(
	job_id bigint, ticket bigint, family text, state athena.job_state, attempt smallint,
	has_key boolean, came_from athena.job_state, worker_id uuid DEFAULT NULL, started_at timestamptz DEFAULT NULL)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	INSERT INTO athena.outcomes (job_id, ticket, family, state, attempt, worker_id, started_at)
	VALUES (make_outcome.job_id, make_outcome.ticket, make_outcome.family, make_outcome.state,
		make_outcome.attempt, make_outcome.worker_id, make_outcome.started_at);
	IF has_key THEN
		DELETE FROM athena.uniques AS u WHERE u.job_id = make_outcome.job_id;
	END IF;
	PERFORM athena.tally(family, came_from, -1);
	PERFORM athena.tally(family, make_outcome.state, 1);
END
$$;

-- Ends the chunk that a lease stands for: its jobs, each as a lease of its own, for what follows to
-- move on one by one. They keep the ticket, which was the attempt of each of them; as there can be no
-- two leases of one ticket, every one of them has to be moved in this transaction. A lease of one job
-- is answered as it is. Expects the row locked by the caller.
CREATE FUNCTION athena.lease_split(l athena.leases) RETURNS SETOF athena.leases
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	members int8multirange;
BEGIN
	DELETE FROM athena.chunks AS c WHERE c.ticket = l.ticket RETURNING c.jobs INTO members;
	IF NOT FOUND THEN
		RETURN NEXT l;
		RETURN;
	END IF;
	DELETE FROM athena.leases AS x WHERE x.ticket = l.ticket;
	FOR l.job_id IN SELECT athena.ids_of(members) LOOP
		RETURN NEXT l;
	END LOOP;
END
$$;

-- The three ways a lease ends other than by success. Each expects the row locked by the caller, and
-- is for one job; but a chunk may go back to ready whole. How many jobs that was.

CREATE FUNCTION athena.lease_finish(l athena.leases, state athena.job_state) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	DELETE FROM athena.leases AS x WHERE x.ticket = l.ticket;
	DELETE FROM athena.cancel_requests AS c WHERE c.ticket = l.ticket AND c.job_id = l.job_id;
	PERFORM athena.make_outcome(l.job_id, l.ticket, l.family, state, l.attempt, l.has_key, 'running', l.worker_id, l.claimed_at);
	PERFORM athena.place_freed(l.family);
END
$$;

CREATE FUNCTION athena.lease_to_ready(l athena.leases, attempt integer) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	number bigint;
	chunk  integer;
BEGIN
	DELETE FROM athena.leases AS x WHERE x.ticket = l.ticket; -- first, so that the xid precedes the number
	number := nextval('athena.tickets');
	UPDATE athena.chunks AS c SET ticket = number WHERE c.ticket = l.ticket RETURNING c.size INTO chunk;
	INSERT INTO athena.ready (ticket, job_id, family, priority, attempt, has_key, timeout, concurrency_key)
	VALUES (number, l.job_id, l.family, l.priority, coalesce(-chunk, lease_to_ready.attempt), l.has_key, l.timeout, l.concurrency_key);
	PERFORM athena.tally(l.family, 'running', -coalesce(chunk, 1));
	PERFORM athena.tally(l.family, 'ready', coalesce(chunk, 1));
	RETURN coalesce(chunk, 1);
END
$$;

CREATE FUNCTION athena.lease_to_scheduled(l athena.leases, attempt integer, run_at timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	DELETE FROM athena.leases AS x WHERE x.ticket = l.ticket;
	INSERT INTO athena.scheduled (job_id, run_at, family, priority, attempt, has_key, timeout, concurrency_key)
	VALUES (l.job_id, lease_to_scheduled.run_at, l.family, l.priority, lease_to_scheduled.attempt, l.has_key, l.timeout, l.concurrency_key);
	PERFORM athena.tally(l.family, 'running', -1);
	PERFORM athena.tally(l.family, 'scheduled', 1);
	PERFORM athena.place_freed(l.family);
END
$$;

CREATE FUNCTION athena.cancel_wanted(ticket bigint, job_id bigint) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT EXISTS (SELECT FROM athena.cancel_requests AS c WHERE c.ticket = cancel_wanted.ticket AND c.job_id = cancel_wanted.job_id);
END;

-- Unrun, and so not counted; but whoever has asked for a cancel gets it. A chunk goes back whole, unless
-- somebody has. How many jobs that was, and what became of the last of them.
CREATE FUNCTION athena.lease_return(l athena.leases, OUT state athena.job_state, OUT jobs integer)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	state := 'ready';
	IF NOT EXISTS (SELECT FROM athena.cancel_requests AS c WHERE c.ticket = l.ticket) THEN
		jobs := athena.lease_to_ready(l, l.attempt - 1);
		RETURN;
	END IF;
	jobs := 0;
	FOR l IN SELECT * FROM athena.lease_split(l) LOOP
		jobs := jobs + 1;
		IF athena.cancel_wanted(l.ticket, l.job_id) THEN
			state := 'cancelled';
			PERFORM athena.lease_finish(l, state);
		ELSE
			state := 'ready';
			PERFORM athena.lease_to_ready(l, l.attempt - 1);
		END IF;
	END LOOP;
END
$$;

-- How long until attempt n + 1, after n attempts: base * 2^n, capped, give or take the jitter. In
-- seconds, since an interval would overflow before the cap is applied.
CREATE FUNCTION athena.backoff(family text, attempt integer) RETURNS interval
LANGUAGE sql VOLATILE
BEGIN ATOMIC
	SELECT make_interval(secs => (1 + f.backoff_jitter * (2 * random() - 1))
	       * least(extract(epoch FROM f.backoff_cap), extract(epoch FROM f.backoff_base) * power(2, least(backoff.attempt, 30))))
	  FROM athena.families AS f WHERE f.name = backoff.family;
END;

-- A lost attempt has waited out its lease already, so it is ready at once; others back off.
CREATE FUNCTION athena.lease_fail(
	l athena.leases, kind text, error text, code text DEFAULT NULL, details jsonb DEFAULT NULL,
	retry_in interval DEFAULT NULL, OUT state athena.job_state, OUT run_at timestamptz)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	allowed integer;
BEGIN
	SELECT coalesce(j.max_attempts, f.max_attempts, 1) INTO allowed
	  FROM athena.jobs AS j LEFT JOIN athena.families AS f ON f.name = j.family WHERE j.id = l.job_id;
	IF athena.cancel_wanted(l.ticket, l.job_id) THEN
		state := 'cancelled';
	ELSIF allowed IS NULL OR kind = 'permanent' OR l.attempt >= allowed THEN
		state := 'dead';
	ELSIF kind = 'lost' THEN
		state := 'ready';
		run_at := now();
	ELSE
		state := 'scheduled';
		run_at := now() + coalesce(retry_in, athena.backoff(l.family, l.attempt), '1 s');
	END IF;
	INSERT INTO athena.failures (job_id, ticket, worker_id, attempt, kind, code, family, error, details, retry_at)
	VALUES (l.job_id, l.ticket, l.worker_id, l.attempt, lease_fail.kind, nullif(lease_fail.code, ''), l.family,
		left(lease_fail.error, 8192), lease_fail.details, lease_fail.run_at);
	IF state = 'ready' THEN
		PERFORM athena.lease_to_ready(l, l.attempt);
	ELSIF state = 'scheduled' THEN
		PERFORM athena.lease_to_scheduled(l, l.attempt, run_at);
	ELSE
		PERFORM athena.lease_finish(l, state);
	END IF;
END
$$;

-- Takes jobs out of a chunk whose ticket the caller has just taken out of ready; the others go back
-- there under the number that they had, and so keep their turn. A floor cannot have passed that number
-- meanwhile: every snapshot sees the ticket that was there, or this one.
CREATE FUNCTION athena.leave_chunk(t athena.ready, leaving bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	rest athena.chunks;
BEGIN
	UPDATE athena.chunks AS c
	   SET size = c.size - cardinality(leaving),
	       jobs = c.jobs - (SELECT range_agg(int8range(job, job + 1)) FROM unnest(leaving) AS job)
	 WHERE c.ticket = t.ticket RETURNING c.* INTO rest;
	IF rest.size = 0 THEN
		DELETE FROM athena.chunks AS c WHERE c.ticket = t.ticket;
	ELSE
		INSERT INTO athena.ready (ticket, job_id, family, priority, attempt, has_key)
		VALUES (t.ticket, lower(rest.jobs), t.family, t.priority, -rest.size, false);
	END IF;
END
$$;

-- Leases jobs of a chunked family one by one, in the order of the line, for workers that know of
-- nothing else; answers their tickets. The jobs of a chunk get numbers of their own.
CREATE FUNCTION athena.claim_apart(worker_id uuid, fam athena.families, most integer) RETURNS bigint[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r       athena.ready;
	jobs    bigint[];
	number  bigint;
	tickets bigint[] := '{}';
BEGIN
	FOR r IN SELECT q.* FROM generate_series(0, 9) AS lane (priority),
			LATERAL (SELECT * FROM athena.ready AS x WHERE x.family = fam.name AND x.priority = lane.priority
				  ORDER BY x.ticket FOR UPDATE SKIP LOCKED LIMIT most) AS q
		  WHERE fam.paused_at IS NULL LIMIT most LOOP
		EXIT WHEN cardinality(tickets) >= most;
		DELETE FROM athena.ready AS x WHERE x.family = r.family AND x.priority = r.priority AND x.ticket = r.ticket;
		jobs := ARRAY[r.job_id];
		IF r.attempt < 0 THEN
			jobs := ARRAY(SELECT athena.ids_of(c.jobs) FROM athena.chunks AS c WHERE c.ticket = r.ticket
				       LIMIT most - cardinality(tickets));
			PERFORM athena.leave_chunk(r, jobs);
		END IF;
		FOREACH r.job_id IN ARRAY jobs LOOP
			number := CASE WHEN r.attempt < 0 THEN nextval('athena.tickets') ELSE r.ticket END;
			INSERT INTO athena.leases (ticket, job_id, worker_id, deadline_at, family, priority, attempt, has_key, timeout, concurrency_key)
			VALUES (number, r.job_id, claim_apart.worker_id, now() + coalesce(r.timeout, fam.timeout) + interval '30 s',
				r.family, r.priority, greatest(r.attempt, 0) + 1, r.has_key, r.timeout, r.concurrency_key);
			tickets := tickets || number;
		END LOOP;
	END LOOP;
	IF tickets <> '{}' THEN
		PERFORM athena.tally(fam.name, 'ready', -cardinality(tickets));
		PERFORM athena.tally(fam.name, 'running', cardinality(tickets));
	END IF;
	RETURN tickets;
END
$$;

-- Claims up to `most` jobs of one family, each with a lease of its own. Programs written in C send
-- claim.sql, claim_limited.sql and claim_chunked.sql instead; a test holds them to the same answers.
CREATE FUNCTION athena.claim(worker_id uuid, family text, most integer DEFAULT 1)
RETURNS TABLE (job_id bigint, ticket bigint, attempt smallint, priority smallint, kind text, payload jsonb, deadline_at timestamptz, answers jsonb)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
	SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
	fam athena.families;
	tickets bigint[];
BEGIN
	PERFORM athena.require_read_committed();
	IF most IS NULL OR most NOT BETWEEN 0 AND 10000 THEN -- LIMIT NULL would be no limit at all
		RAISE EXCEPTION 'a claim is for 0 to 10000 jobs, not %', most USING ERRCODE = 'invalid_parameter_value';
	END IF;
	SELECT * INTO fam FROM athena.families AS f WHERE f.name = claim.family;
	IF NOT FOUND THEN
		PERFORM athena.refuse_job(claim.family, '{}');
	ELSIF NOT EXISTS (SELECT FROM athena.workers AS w WHERE w.id = claim.worker_id) THEN
		RAISE EXCEPTION 'worker % is not registered', claim.worker_id
			USING ERRCODE = 'no_data_found', HINT = 'SELECT athena.register_worker(...) first; a silent worker is forgotten.';
	END IF;
	IF fam.is_limited THEN
		RETURN QUERY SELECT c.job_id, c.ticket, c.attempt, c.priority, c.kind, c.payload, c.deadline_at, c.answers
			       FROM athena.claim_limited(claim.worker_id, claim.family, most) AS c
			      ORDER BY c.priority, c.ticket;
		RETURN;
	END IF;
	IF fam.chunked THEN
		tickets := athena.claim_apart(claim.worker_id, fam, most);
		RETURN QUERY SELECT l.job_id, l.ticket, l.attempt, l.priority, j.kind, j.payload, l.deadline_at, athena.answers(l.job_id)
			       FROM athena.leases AS l LEFT JOIN athena.jobs AS j ON j.id = l.job_id
			      WHERE l.ticket = ANY (tickets) ORDER BY l.priority, l.ticket;
		RETURN;
	END IF;
	RETURN QUERY
	WITH picked AS (
		DELETE FROM athena.ready AS r
		 WHERE r.ctid = ANY (ARRAY(
			SELECT line.ctid
			  FROM generate_series(0, 9) AS lane (priority),
			       LATERAL (SELECT q.ctid FROM athena.ready AS q
					 WHERE q.family = claim.family AND q.priority = lane.priority AND q.attempt >= 0
					 ORDER BY q.ticket FOR UPDATE SKIP LOCKED LIMIT most) AS line
			 WHERE fam.paused_at IS NULL
			 LIMIT most))
		RETURNING r.ticket, r.job_id, r.priority, r.attempt, r.has_key, r.timeout, r.concurrency_key),
	leased AS (
		INSERT INTO athena.leases AS l (ticket, job_id, worker_id, deadline_at, family, priority, attempt, has_key, timeout, concurrency_key)
		SELECT p.ticket, p.job_id, claim.worker_id, now() + coalesce(p.timeout, fam.timeout) + interval '30 s',
		       claim.family, p.priority, p.attempt + 1, p.has_key, p.timeout, p.concurrency_key
		  FROM picked AS p
		RETURNING l.ticket, l.job_id, l.priority, l.attempt, l.deadline_at),
	counted AS (
		INSERT INTO athena.tallies (family, state, delta)
		SELECT claim.family, d.state, d.sign * n.jobs
		  FROM (SELECT count(*) AS jobs FROM picked) AS n,
		       (VALUES ('ready'::athena.job_state, -1), ('running', 1)) AS d (state, sign)
		 WHERE n.jobs > 0)
	SELECT l.job_id, l.ticket, l.attempt, l.priority, j.kind, j.payload, l.deadline_at,
	       CASE WHEN l.ticket <> l.job_id THEN athena.answers(l.job_id) END
	  FROM leased AS l LEFT JOIN athena.jobs AS j ON j.id = l.job_id
	 ORDER BY l.priority, l.ticket;
END
$$;
COMMENT ON FUNCTION athena.claim IS 'Leases up to `most` jobs of a family to a registered worker, smallest priority number first. payload is null when the body is gone: settle it as failed, permanent.';

-- Limits. Claims of a family that has any go one after the other, by an advisory lock on the family;
-- each counts what the ones before it have left running. Others never come here, and pay nothing.

CREATE FUNCTION athena.lock_family(family text) RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
	SELECT pg_advisory_xact_lock(1635018853, hashtext(lock_family.family));
END;

-- How many more may run by max_running; null: without a limit.
CREATE FUNCTION athena.free_places(fam athena.families) RETURNS integer
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN CASE WHEN fam.max_running IS NOT NULL THEN fam.max_running - (SELECT count(*) FROM (
		SELECT FROM athena.leases AS l WHERE l.family = fam.name LIMIT fam.max_running) AS busy) END;
END
$$;

-- How many starts of those that the rate allows at once are taken at a time. A taken start comes back
-- after rate_period / rate_count, one after the other, and full_at is when the last of them does. That
-- is the GCRA of ITU-T I.371, a token bucket in one number; full_at is its theoretical arrival time.
-- Within any time t there are rate_burst + t * rate_count / rate_period starts at most. The minimum
-- is for a clock that was set back, and for a burst that was made smaller.
CREATE FUNCTION athena.taken_starts(fam athena.families, at timestamptz) RETURNS double precision
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN coalesce((SELECT least(coalesce(fam.rate_burst, fam.rate_count),
				      greatest(0, extract(epoch FROM x.full_at - at) * fam.rate_count / extract(epoch FROM fam.rate_period)))
			   FROM athena.limits AS x WHERE x.family = fam.name), 0);
END
$$;

-- How many may start at a time by the rate; null: without a limit.
CREATE FUNCTION athena.free_starts(fam athena.families, at timestamptz) RETURNS integer
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN floor(coalesce(fam.rate_burst, fam.rate_count) - athena.taken_starts(fam, at));
END
$$;

-- How long until one more may start by the rate: 0 when one may; null: without a limit.
CREATE FUNCTION athena.next_start(fam athena.families, at timestamptz) RETURNS interval
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN fam.rate_period * (greatest(0, athena.taken_starts(fam, at) - coalesce(fam.rate_burst, fam.rate_count) + 1) / fam.rate_count);
END
$$;

CREATE FUNCTION athena.take_starts(fam athena.families, at timestamptz, starts integer) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	INSERT INTO athena.limits AS x (family, full_at)
	VALUES (fam.name, at + fam.rate_period * ((athena.taken_starts(fam, at) + starts) / fam.rate_count))
	ON CONFLICT (family) DO UPDATE SET full_at = excluded.full_at;
END
$$;

-- Keys that have ready jobs, in their order from after `start` on and round to it, and how many more
-- of each may run. A loose index scan: one probe per key, however many jobs it has. Looks at 256 keys,
-- and goes on until `most` of them have a place; that ends soon, since a key without one has a lease.
CREATE FUNCTION athena.look_at_keys(family text, per_key integer, most integer, start text, OUT key text, OUT places integer, OUT nth integer)
RETURNS SETOF record LANGUAGE sql STABLE
BEGIN ATOMIC
	WITH RECURSIVE seen AS (
		SELECT look_at_keys.start COLLATE "C" AS key, false AS is_round, 0 AS places, 0 AS nth, 0 AS open
		UNION ALL
		SELECT n.key, n.is_round, p.places, s.nth + 1, s.open + (p.places > 0)::integer
		  FROM seen AS s,
		       LATERAL ((SELECT r.concurrency_key AS key, s.is_round FROM athena.ready AS r
				  WHERE r.family = look_at_keys.family AND r.concurrency_key > s.key
				  ORDER BY r.concurrency_key LIMIT 1)
				UNION ALL
				(SELECT r.concurrency_key, true FROM athena.ready AS r
				  WHERE NOT s.is_round AND r.family = look_at_keys.family AND r.concurrency_key <= look_at_keys.start
				  ORDER BY r.concurrency_key LIMIT 1)
				LIMIT 1) AS n,
		       LATERAL (SELECT look_at_keys.per_key - count(*)::integer AS places FROM (
				SELECT FROM athena.leases AS l
				 WHERE l.family = look_at_keys.family AND l.concurrency_key = n.key LIMIT look_at_keys.per_key) AS busy) AS p
		 WHERE (s.nth < 256 OR s.open < look_at_keys.most)
		   AND NOT (n.is_round AND n.key > look_at_keys.start))
	SELECT s.key, s.places, s.nth FROM seen AS s WHERE s.nth > 0;
END;

-- Tickets from the lanes in that order, each after the ticket in `after`.
CREATE FUNCTION athena.pick_in_line(family text, most integer, lanes smallint[], after bigint[], but tid[]) RETURNS tid[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN ARRAY(
		SELECT line.at
		  FROM unnest(lanes, after) AS lane (priority, after),
		       LATERAL (SELECT r.ctid AS at FROM athena.ready AS r
				 WHERE r.family = pick_in_line.family AND r.priority = lane.priority AND r.ticket > lane.after AND r.attempt >= 0
				   AND r.ctid <> ALL (but)
				 ORDER BY r.ticket LIMIT most) AS line
		 LIMIT most);
END
$$;

-- Jobs without a key among the first 1000 of each lane. What stands behind so many that have one is for
-- the search below: an index of their own would cost every insert and claim of every family.
CREATE FUNCTION athena.keyless(family text, most integer, lanes smallint[], after bigint[], but tid[],
	OUT at tid, OUT priority smallint, OUT ticket bigint)
RETURNS SETOF record LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT free.at, lane.priority, free.ticket
	  FROM unnest(lanes, after) AS lane (priority, after),
	       LATERAL (SELECT front.at, front.ticket FROM (
				SELECT r.ctid AS at, r.ticket, r.concurrency_key FROM athena.ready AS r
				 WHERE r.family = keyless.family AND r.priority = lane.priority AND r.ticket > lane.after AND r.attempt >= 0
				 ORDER BY r.ticket LIMIT 1000) AS front
			 WHERE front.concurrency_key IS NULL AND front.at <> ALL (but) LIMIT most) AS free;
END;

-- Jobs without a key among the next 1000 of the whole line, after where the last search stopped; and
-- where this one did: null after the end, to begin at the front again.
CREATE FUNCTION athena.search_keyless(family text, most integer, start bigint[], but tid[], OUT picks tid[], OUT stop bigint[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	seen bigint;
BEGIN
	SELECT count(*), max(ARRAY[w.priority, w.ticket]),
	       coalesce(array_agg(w.at) FILTER (WHERE w.concurrency_key IS NULL AND w.at <> ALL (but)), '{}')
	  INTO seen, stop, picks
	  FROM (SELECT r.ctid AS at, r.priority, r.ticket, r.concurrency_key FROM athena.ready AS r
		 WHERE r.family = search_keyless.family AND r.attempt >= 0
		   AND (r.priority, r.ticket) > (coalesce(start[1], -1), coalesce(start[2], 0))
		 ORDER BY r.priority, r.ticket LIMIT 1000) AS w;
	IF cardinality(picks) > most THEN
		picks := picks[:most];
		stop := start;
	ELSIF seen < 1000 THEN
		stop := NULL;
	END IF;
END
$$;

-- Tickets of the keys given, of each as many as it has places, and of jobs without a key: by the order
-- of the lanes and the age of tickets, within what was looked at. On fair turns a key's own tickets go
-- by the order of the lanes as well, else by priority, which costs one probe instead of ten.
CREATE FUNCTION athena.pick_of_keys(family text, keys text[], places integer[], most integer, lanes smallint[], after bigint[], is_fair boolean, but tid[])
RETURNS tid[] LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN ARRAY(
		SELECT c.at FROM (
			SELECT t.at, t.priority, t.ticket
			  FROM unnest(keys, places) AS k (key, places),
			       LATERAL ((SELECT r.ctid AS at, r.priority, r.ticket FROM athena.ready AS r
					  WHERE NOT is_fair AND r.family = pick_of_keys.family AND r.concurrency_key = k.key AND r.ctid <> ALL (but)
					  ORDER BY r.priority, r.ticket LIMIT least(k.places, most))
					UNION ALL
					(SELECT q.at, q.priority, q.ticket
					   FROM unnest(lanes) AS lane (priority),
						LATERAL (SELECT r.ctid AS at, r.priority, r.ticket FROM athena.ready AS r
							  WHERE r.family = pick_of_keys.family AND r.concurrency_key = k.key
							    AND r.priority = lane.priority AND r.ctid <> ALL (but)
							  ORDER BY r.ticket LIMIT least(k.places, most)) AS q
					  WHERE is_fair LIMIT least(k.places, most))) AS t
			 WHERE k.places > 0
			UNION ALL
			SELECT f.at, f.priority, f.ticket FROM athena.keyless(family, most, lanes, after, but) AS f) AS c
		 ORDER BY array_position(lanes, c.priority), c.ticket LIMIT most);
END
$$;

-- Tickets that a claim with a limit per key may take. The search for jobs without a key that stand far
-- back goes on when there is room for more, and first of all on fair turns.
CREATE FUNCTION athena.pick_by_key(family text, per_key integer, most integer, lanes smallint[], after bigint[], is_fair boolean, but tid[])
RETURNS tid[] LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	was    athena.limits;
	stands athena.limits;
	keys   text[];
	places integer[];
	picks  tid[];
	back   tid[] := '{}';
BEGIN
	SELECT * INTO was FROM athena.limits AS x WHERE x.family = pick_by_key.family;
	stands := was;
	SELECT array_agg(k.key ORDER BY k.nth), array_agg(k.places ORDER BY k.nth) INTO keys, places
	  FROM athena.look_at_keys(family, per_key, most, coalesce(was.key_after, '')) AS k;
	IF cardinality(keys) >= 256 THEN -- there may be others: they have the next turn
		stands.key_after := keys[cardinality(keys)];
	END IF;
	picks := athena.pick_of_keys(family, keys, places, most, lanes, after, is_fair, but);
	IF is_fair OR cardinality(picks) < most THEN
		SELECT s.picks, s.stop INTO back, stands.line_after
		  FROM athena.search_keyless(family, most - CASE WHEN is_fair THEN 0 ELSE cardinality(picks) END,
			was.line_after, but || picks) AS s;
	END IF;
	IF (stands.key_after, stands.line_after) IS DISTINCT FROM (was.key_after, was.line_after) THEN
		INSERT INTO athena.limits AS x (family, key_after, line_after)
		VALUES (pick_by_key.family, stands.key_after, stands.line_after)
		ON CONFLICT ON CONSTRAINT limits_pkey DO UPDATE SET key_after = excluded.key_after, line_after = excluded.line_after;
	END IF;
	RETURN (back || picks)[:most];
END
$$;

-- Which tickets a claim may take, locked. Tickets that somebody else has locked (a cancel that is not
-- committed) are passed by, however many they are: nothing is known only when nothing else is left.
CREATE FUNCTION athena.pick_limited(fam athena.families, most integer, lanes smallint[], after bigint[], is_fair boolean)
RETURNS tid[] LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	picks  tid[];
	locked tid[];
	but    tid[] := '{}';
BEGIN
	LOOP
		picks := CASE WHEN fam.max_running_per_key IS NULL THEN athena.pick_in_line(fam.name, most, lanes, after, but)
			ELSE athena.pick_by_key(fam.name, fam.max_running_per_key, most, lanes, after, is_fair, but) END;
		locked := ARRAY(SELECT r.ctid FROM athena.ready AS r WHERE r.ctid = ANY (picks) FOR UPDATE SKIP LOCKED);
		EXIT WHEN cardinality(locked) > 0 OR cardinality(picks) = 0;
		but := but || picks;
	END LOOP;
	RETURN locked;
END
$$;

-- A claim of a limited family, for athena.claim and claim_limited.sql; `lanes` and `after` are as in
-- claim.sql. One start of the rate is taken for each lease, and stays taken if the job is handed back.
CREATE FUNCTION athena.claim_limited(
	worker_id uuid, family text, most integer, lanes smallint[] DEFAULT '{0,1,2,3,4,5,6,7,8,9}',
	after bigint[] DEFAULT '{0,0,0,0,0,0,0,0,0,0}', is_fair boolean DEFAULT random() < 0.125)
RETURNS TABLE (job_id bigint, ticket bigint, attempt smallint, priority smallint, timeout interval, kind text, payload jsonb,
	deadline_at timestamptz, waited_s double precision, answers jsonb)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	fam   athena.families;
	at    timestamptz;
	room  integer;
	picks tid[];
BEGIN
	PERFORM athena.lock_family(claim_limited.family); -- what follows sees every earlier claim
	at := clock_timestamp();
	SELECT * INTO fam FROM athena.families AS f WHERE f.name = claim_limited.family AND f.paused_at IS NULL;
	room := CASE WHEN FOUND THEN least(most, athena.free_places(fam), athena.free_starts(fam, at)) END;
	IF room > 0 THEN
		picks := athena.pick_limited(fam, room, lanes, after, is_fair);
	END IF;
	IF cardinality(picks) > 0 THEN
		IF fam.rate_count IS NOT NULL THEN
			PERFORM athena.take_starts(fam, at, cardinality(picks));
		END IF;
		RETURN QUERY
		WITH picked AS (
			DELETE FROM athena.ready AS r WHERE r.ctid = ANY (picks)
			RETURNING r.ticket, r.job_id, r.priority, r.attempt, r.has_key, r.timeout, r.concurrency_key),
		leased AS (
			INSERT INTO athena.leases AS l (ticket, job_id, worker_id, claimed_at, deadline_at, family, priority, attempt, has_key, timeout, concurrency_key)
			SELECT p.ticket, p.job_id, claim_limited.worker_id, at, at + coalesce(p.timeout, fam.timeout) + interval '30 s',
			       fam.name, p.priority, p.attempt + 1, p.has_key, p.timeout, p.concurrency_key
			  FROM picked AS p
			RETURNING l.ticket, l.job_id, l.priority, l.attempt, l.deadline_at, l.timeout),
		counted AS (
			INSERT INTO athena.tallies (family, state, delta)
			VALUES (fam.name, 'ready', -cardinality(picks)), (fam.name, 'running', cardinality(picks)))
		SELECT l.job_id, l.ticket, l.attempt, l.priority, l.timeout, j.kind, j.payload, l.deadline_at,
		       CASE WHEN l.attempt = 1 AND (l.ticket = l.job_id OR j.run_at > j.created_at)
			    THEN extract(epoch FROM at - j.run_at)::double precision END,
		       CASE WHEN l.ticket <> l.job_id THEN athena.answers(l.job_id) END
		  FROM leased AS l LEFT JOIN athena.jobs AS j ON j.id = l.job_id;
	END IF;
END
$$;

-- Whether a claim of a limited family would find something; by the snapshot of whoever asks.
CREATE FUNCTION athena.may_claim(family text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	fam  athena.families;
	line smallint[] := '{0,1,2,3,4,5,6,7,8,9}';
BEGIN
	SELECT * INTO fam FROM athena.families AS f WHERE f.name = may_claim.family AND f.paused_at IS NULL;
	IF NOT FOUND OR least(athena.free_places(fam), athena.free_starts(fam, clock_timestamp())) <= 0 THEN
		RETURN false;
	END IF;
	RETURN fam.max_running_per_key IS NULL
		OR EXISTS (SELECT FROM athena.look_at_keys(fam.name, fam.max_running_per_key, 1, '') AS k WHERE k.places > 0)
		OR EXISTS (SELECT FROM athena.keyless(fam.name, 1, line, array_fill(0::bigint, '{10}'), '{}'));
END
$$;

-- How soon a claim of a limited family may find something although no job comes and none ends, in ms:
-- when the next start is there (it may have come since a claim found none: nobody would tell of it), or
-- when the search for jobs without a key has not come to the end of the line. Null: nothing to wait for.
-- Many starts a second are waited for a few at a time, as far as the burst allows.
CREATE FUNCTION athena.wait_for_limits(family text) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	fam  athena.families;
	wait interval;
BEGIN
	SELECT * INTO fam FROM athena.families AS f WHERE f.name = wait_for_limits.family AND f.paused_at IS NULL;
	IF NOT FOUND OR NOT EXISTS (SELECT FROM athena.ready AS r WHERE r.family = fam.name) THEN
		RETURN NULL;
	END IF;
	wait := athena.next_start(fam, clock_timestamp());
	IF wait > '0' THEN
		RETURN ceil(1000 * extract(epoch FROM greatest(wait, least('20 ms',
			fam.rate_period * (coalesce(fam.rate_burst, fam.rate_count) / fam.rate_count::double precision / 2)))));
	ELSIF wait = '0' AND athena.may_claim(fam.name) THEN
		RETURN 5;
	END IF;
	RETURN (SELECT 50 FROM athena.limits AS x WHERE x.family = fam.name AND x.line_after IS NOT NULL);
END
$$;

-- Also before a settle that comes too late, so that a worker's mistakes show in its first test.
CREATE FUNCTION athena.check_result(result text, error_kind text, retry_in interval) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF result IS NULL OR result NOT IN ('succeeded', 'failed', 'cancelled', 'returned', 'snoozed', 'parked') THEN
		RAISE EXCEPTION 'unknown result "%"', result USING ERRCODE = 'invalid_parameter_value',
			DETAIL = 'Known results: succeeded, failed, cancelled, returned, snoozed, parked.';
	ELSIF error_kind NOT IN ('transient', 'permanent', 'timeout', 'crashed') THEN
		RAISE EXCEPTION 'unknown kind of error "%"', error_kind USING ERRCODE = 'invalid_parameter_value',
			DETAIL = 'Known kinds: transient, permanent, timeout, crashed.';
	ELSIF retry_in < '0' OR retry_in > '10 years' THEN
		RAISE EXCEPTION 'retry_in is 0 to 10 years, not %', retry_in USING ERRCODE = 'invalid_parameter_value';
	ELSIF result = 'parked' AND retry_in IS NULL THEN
		RAISE EXCEPTION 'a parked job needs retry_in: for how long to wait' USING ERRCODE = 'invalid_parameter_value';
	END IF;
END
$$;

-- Ends the attempt of one job in one of the ways of athena.settle. Expects the lease locked.
CREATE FUNCTION athena.lease_settle(
	l athena.leases, result text, error text, error_kind text, code text, details jsonb, retry_in interval,
	OUT state athena.job_state, OUT run_at timestamptz)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF result = 'succeeded' THEN
		state := 'succeeded';
		PERFORM athena.lease_finish(l, state);
	ELSIF result = 'failed' THEN
		SELECT f.state, f.run_at INTO lease_settle.state, lease_settle.run_at
		  FROM athena.lease_fail(l, coalesce(error_kind, 'transient'), coalesce(error, 'no reason given'), code, details, retry_in) AS f;
	ELSIF result = 'returned' THEN
		SELECT r.state INTO lease_settle.state FROM athena.lease_return(l) AS r;
	ELSIF result = 'cancelled' OR athena.cancel_wanted(l.ticket, l.job_id) THEN
		state := 'cancelled';
		PERFORM athena.lease_finish(l, state);
	ELSIF result = 'snoozed' THEN
		state := 'scheduled';
		run_at := now() + coalesce(retry_in, '0');
		PERFORM athena.lease_to_scheduled(l, l.attempt - 1, run_at);
	ELSIF result = 'parked' THEN
		SELECT p.state, p.run_at INTO lease_settle.state, lease_settle.run_at FROM athena.lease_park(l, retry_in) AS p;
	END IF;
END
$$;

-- Ends an attempt. result: succeeded, failed, cancelled, returned (unrun, not counted), snoozed (not
-- counted, again after retry_in) or parked (goes on when its wait is answered, for retry_in at most).
-- error_kind: transient, permanent, timeout, crashed.
-- answer: settled; already (this very ticket was settled before: fine); lost (not yours any more).
-- Of a chunk, job_id is the first job, and the result that of all.
CREATE FUNCTION athena.settle(
	worker_id uuid, job_id bigint, ticket bigint, result text, error text DEFAULT NULL,
	error_kind text DEFAULT 'transient', code text DEFAULT NULL, details jsonb DEFAULT NULL,
	retry_in interval DEFAULT NULL,
	OUT answer text, OUT state athena.job_state, OUT run_at timestamptz)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	l athena.leases;
BEGIN
	PERFORM athena.require_read_committed();
	PERFORM athena.check_result(result, error_kind, retry_in);
	SELECT * INTO l FROM athena.leases AS x
	 WHERE x.ticket = settle.ticket AND x.job_id = settle.job_id AND x.worker_id = settle.worker_id FOR UPDATE;
	IF NOT FOUND THEN
		SELECT r.answer, r.state INTO settle.answer, settle.state
		  FROM athena.settle_recall(settle.worker_id, settle.job_id, settle.ticket) AS r;
		RETURN;
	END IF;
	answer := 'settled';
	IF result = 'returned' THEN
		SELECT r.state INTO settle.state FROM athena.lease_return(l) AS r;
		RETURN;
	END IF;
	FOR l IN SELECT * FROM athena.lease_split(l) LOOP
		SELECT s.state, s.run_at INTO settle.state, settle.run_at
		  FROM athena.lease_settle(l, result, error, error_kind, code, details, retry_in) AS s;
	END LOOP;
END
$$;
COMMENT ON FUNCTION athena.settle IS 'Ends an attempt: result is succeeded, failed, cancelled, returned, snoozed or parked; answers settled, already or lost.';

-- Ends the attempt of a chunk whose jobs did not all succeed. results: by job id, what settle takes
-- (result, error, error_kind, code). A job that is not named was not run, and goes back; one whose
-- body is gone can never be run. Answers a row per job, as settle does.
CREATE FUNCTION athena.settle_chunk(worker_id uuid, ticket bigint, results jsonb)
RETURNS TABLE (job_id bigint, answer text, state athena.job_state, run_at timestamptz)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	l athena.leases;
	r jsonb;
BEGIN
	PERFORM athena.require_read_committed();
	PERFORM athena.check_result(given.value ->> 'result', given.value ->> 'error_kind', NULL) FROM jsonb_each(results) AS given;
	SELECT * INTO l FROM athena.leases AS x WHERE x.ticket = settle_chunk.ticket AND x.worker_id = settle_chunk.worker_id FOR UPDATE;
	IF NOT FOUND THEN
		RETURN QUERY SELECT given.key::bigint, was.answer, was.state, NULL::timestamptz
			       FROM jsonb_each(results) AS given,
				    LATERAL athena.settle_recall(settle_chunk.worker_id, given.key::bigint, settle_chunk.ticket) AS was;
		RETURN;
	END IF;
	answer := 'settled';
	FOR l IN SELECT * FROM athena.lease_split(l) LOOP
		job_id := l.job_id;
		r := coalesce(results -> l.job_id::text,
			CASE WHEN EXISTS (SELECT FROM athena.jobs AS j WHERE j.id = l.job_id) THEN '{"result": "returned"}'
			     ELSE '{"result": "failed", "error_kind": "permanent", "code": "body_missing", "error": "body missing"}' END::jsonb);
		SELECT s.state, s.run_at INTO settle_chunk.state, settle_chunk.run_at
		  FROM athena.lease_settle(l, r ->> 'result', r ->> 'error', r ->> 'error_kind', r ->> 'code', NULL, NULL) AS s;
		RETURN NEXT;
	END LOOP;
END
$$;
COMMENT ON FUNCTION athena.settle_chunk IS 'Ends an attempt of many jobs at once, when not all of them succeeded: results is an object of {"result", "error", "error_kind", "code"} by job id; jobs that are not named go back unrun.';

-- What became of a ticket that is not leased any more: the truth after an unknown COMMIT. A failure
-- that somebody else recorded comes first, since a lost last attempt ends the job, with this ticket.
CREATE FUNCTION athena.settle_recall(worker_id uuid, job_id bigint, ticket bigint, OUT answer text, OUT state athena.job_state)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	failed text;
BEGIN
	SELECT f.kind INTO failed FROM athena.failures AS f
	 WHERE f.job_id = settle_recall.job_id AND f.ticket = settle_recall.ticket AND f.worker_id = settle_recall.worker_id;
	IF failed IN ('lost', 'overdue') THEN
		answer := 'lost';
		RETURN;
	END IF;
	SELECT o.state INTO settle_recall.state FROM athena.outcomes AS o
	 WHERE o.job_id = settle_recall.job_id AND o.ticket = settle_recall.ticket AND o.worker_id = settle_recall.worker_id;
	answer := CASE WHEN FOUND OR failed IS NOT NULL OR EXISTS (SELECT FROM athena.waits AS w
			WHERE w.ticket = settle_recall.ticket AND w.worker_id = settle_recall.worker_id AND w.parked_at IS NOT NULL)
		  THEN 'already' ELSE 'lost' END;
END
$$;

-- Where the ticket of a chunk is; of many jobs, so by index probes.
CREATE FUNCTION athena.chunk_place(c athena.chunks) RETURNS SETOF athena.job_state
LANGUAGE sql STABLE ROWS 1
BEGIN ATOMIC
	SELECT o.state FROM athena.outcomes AS o WHERE o.job_id = lower((c).jobs) AND o.ticket = (c).ticket
	UNION ALL
	SELECT 'running' FROM athena.leases AS l WHERE l.ticket = (c).ticket
	UNION ALL
	SELECT 'ready' FROM athena.ready AS r
	 WHERE r.family = (c).family AND r.priority = (c).priority AND r.ticket = (c).ticket;
END;

-- Where a job is, asked in one statement: one snapshot, so exactly one place.
CREATE FUNCTION athena.place_of(job_id bigint, OUT place athena.job_state, OUT ticket bigint, OUT family text, OUT priority smallint)
LANGUAGE sql STABLE SECURITY DEFINER
BEGIN ATOMIC
	SELECT p.place, p.ticket, p.family, p.priority FROM (
		SELECT o.state AS place, o.ticket, o.family, NULL::smallint AS priority
		  FROM athena.outcomes AS o WHERE o.job_id = place_of.job_id
		UNION ALL
		SELECT 'running', l.ticket, l.family, l.priority FROM athena.leases AS l WHERE l.ticket = place_of.job_id AND l.job_id = place_of.job_id
		UNION ALL
		SELECT 'running', l.ticket, l.family, l.priority FROM athena.leases AS l WHERE l.job_id = place_of.job_id AND l.ticket <> l.job_id
		UNION ALL
		SELECT 'scheduled', NULL, s.family, s.priority FROM athena.scheduled AS s WHERE s.job_id = place_of.job_id
		UNION ALL
		SELECT 'waiting', w.ticket, w.family, w.priority FROM athena.waiting AS w WHERE w.job_id = place_of.job_id
		UNION ALL
		SELECT 'ready', r.ticket, r.family, r.priority FROM athena.jobs AS j JOIN athena.ready AS r
		    ON r.family = j.family AND r.priority = j.priority AND r.ticket = j.id
		 WHERE j.id = place_of.job_id
		UNION ALL
		SELECT 'ready', r.ticket, r.family, r.priority FROM athena.ready AS r WHERE r.job_id = place_of.job_id AND r.ticket <> r.job_id
		UNION ALL
		SELECT p.place, c.ticket, c.family, c.priority FROM athena.chunks AS c, athena.chunk_place(c) AS p (place)
		 WHERE c.block = athena.block_of(place_of.job_id) AND c.jobs @> place_of.job_id
	) AS p LIMIT 1;
END;
COMMENT ON FUNCTION athena.place_of IS 'The state and ticket of one job, by index probes only; null for an unknown job.';

-- Takes an unstarted job out of its place and reports it; null when it moved in between.
CREATE FUNCTION athena.take_idle(job_id bigint, place athena.job_state, seen_ticket bigint, seen_family text, seen_priority smallint)
RETURNS athena.leases LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t athena.leases;
BEGIN
	IF place = 'ready' THEN
		DELETE FROM athena.ready AS r
		 WHERE r.family = seen_family AND r.priority = seen_priority AND r.ticket = seen_ticket
		RETURNING r.ticket, r.job_id, r.family, r.priority, r.attempt, r.has_key, r.timeout
		     INTO t.ticket, t.job_id, t.family, t.priority, t.attempt, t.has_key, t.timeout;
		IF t.attempt < 0 THEN
			PERFORM athena.leave_chunk((t.ticket, t.job_id, t.priority, t.attempt, t.has_key, t.family, NULL, NULL)::athena.ready,
				ARRAY[take_idle.job_id]);
			t.ticket := take_idle.job_id; -- the number stays with the others
			t.job_id := take_idle.job_id;
			t.attempt := 0;
		END IF;
	ELSIF place = 'scheduled' THEN
		DELETE FROM athena.scheduled AS s WHERE s.job_id = take_idle.job_id
		RETURNING s.job_id, s.job_id, s.family, s.priority, s.attempt, s.has_key, s.timeout
		     INTO t.ticket, t.job_id, t.family, t.priority, t.attempt, t.has_key, t.timeout;
	ELSIF place = 'waiting' THEN
		UPDATE athena.waits AS w SET state = 'cancelled', ended_at = clock_timestamp()
		 WHERE w.ticket = seen_ticket AND w.state = 'open'; -- waits for whoever is just answering
		DELETE FROM athena.waiting AS w WHERE w.job_id = take_idle.job_id
		RETURNING w.ticket, w.job_id, w.family, w.priority, w.attempt, w.has_key, w.timeout
		     INTO t.ticket, t.job_id, t.family, t.priority, t.attempt, t.has_key, t.timeout;
	END IF;
	RETURN t;
END
$$;

CREATE FUNCTION athena.request_cancel(job_id bigint, seen_ticket bigint) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	holder uuid;
BEGIN
	-- The lock keeps the lease where it is until the request is committed. Waits for a settle that
	-- is under way, as settle does for us: in a transaction that cancels many, Postgres then sees
	-- when two wait for each other, which it would not if we only came back again and again.
	SELECT l.worker_id INTO holder FROM athena.leases AS l WHERE l.ticket = seen_ticket FOR KEY SHARE;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	INSERT INTO athena.cancel_requests (ticket, job_id) VALUES (seen_ticket, request_cancel.job_id)
	ON CONFLICT DO NOTHING;
	PERFORM pg_notify('athena', format('cancel %s %s %s', holder, seen_ticket, request_cancel.job_id))
	  WHERE coalesce(current_setting('athena.notify', true), 'on') <> 'off';
	RETURN true;
END
$$;

-- Cancels a job: cancelled at once when it was not running, else its worker is asked. Answers
-- cancelled, requested, or the final state that it had already. Loops because a job may move
-- between being found and being taken: every turn takes a new snapshot.
CREATE FUNCTION athena.cancel(job_id bigint) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	seen record;
	t    athena.leases;
BEGIN
	PERFORM athena.require_read_committed();
	FOR turn IN 1 .. 100 LOOP
		SELECT * INTO seen FROM athena.place_of(cancel.job_id);
		IF seen.place IS NULL AND NOT EXISTS (SELECT FROM athena.jobs AS j WHERE j.id = cancel.job_id) THEN
			RAISE EXCEPTION 'no job %', cancel.job_id USING ERRCODE = 'no_data_found',
				HINT = 'It may have been pruned: retention removes finished jobs.';
		ELSIF seen.place IS NULL THEN
			NULL; -- its leaf was being emptied; the look at the body has waited for that
		ELSIF seen.place >= 'succeeded' THEN
			RETURN seen.place::text;
		ELSIF seen.place = 'running' THEN
			IF athena.request_cancel(cancel.job_id, seen.ticket) THEN
				RETURN 'requested';
			END IF;
		ELSE
			t := athena.take_idle(cancel.job_id, seen.place, seen.ticket, seen.family, seen.priority);
			IF t.job_id IS NOT NULL THEN
				PERFORM athena.make_outcome(t.job_id, t.ticket, t.family, 'cancelled', t.attempt, t.has_key, seen.place);
				RETURN 'cancelled';
			END IF;
		END IF;
	END LOOP;
	RAISE EXCEPTION 'job % is nowhere to be found', cancel.job_id USING ERRCODE = 'data_corrupted',
		HINT = format('SELECT * FROM athena.conservation(%1$s, %1$s)', cancel.job_id);
END
$$;
COMMENT ON FUNCTION athena.cancel IS 'Cancels a job: answers cancelled, requested (it is running: its worker is asked), or the final state it had already.';

-- Takes the unique key of a job that is to be unfinished again. Waits for whoever may roll back.
CREATE FUNCTION athena.take_key_again(job athena.jobs) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	holder bigint;
BEGIN
	INSERT INTO athena.uniques (family, key, job_id) VALUES (job.family, job.unique_key, job.id)
	ON CONFLICT (family, key) DO NOTHING;
	IF NOT FOUND THEN
		holder := athena.key_holder(job.family, job.unique_key);
		RAISE EXCEPTION 'job % cannot be retried: its unique key is held by job %', job.id, holder
			USING ERRCODE = 'unique_violation', HINT = format('athena job show %s', holder);
	END IF;
END
$$;

-- Runs a dead or cancelled job again from attempt 0, without the answers it got, a scheduled one now,
-- and a waiting one without the answer it waits for. The body is locked
-- first and until the end: pruning passes by a locked one, and so no job comes back to life without
-- its body. Loops as cancel does.
CREATE FUNCTION athena.retry(job_id bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	job  athena.jobs;
	seen record;
	t    athena.leases;
BEGIN
	PERFORM athena.require_read_committed();
	SELECT * INTO job FROM athena.jobs AS j WHERE j.id = retry.job_id FOR KEY SHARE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'no job %', retry.job_id USING ERRCODE = 'no_data_found',
			HINT = 'It may have been pruned: retention removes finished jobs.';
	END IF;
	WHILE t.job_id IS NULL LOOP
		SELECT * INTO seen FROM athena.place_of(retry.job_id);
		IF seen.place = 'scheduled' THEN
			t := athena.take_idle(retry.job_id, 'scheduled', NULL, NULL, NULL);
		ELSIF seen.place = 'waiting' THEN
			t := athena.take_idle(retry.job_id, 'waiting', seen.ticket, NULL, NULL);
			t.attempt := t.attempt - 1;
		ELSIF seen.place IN ('dead', 'cancelled') THEN
			DELETE FROM athena.outcomes AS o WHERE o.job_id = retry.job_id AND o.state = seen.place
			RETURNING o.job_id, 0 INTO t.job_id, t.attempt;
			DELETE FROM athena.waits AS w WHERE w.job_id = retry.job_id;
		ELSE
			RAISE EXCEPTION 'job % is %: only dead, cancelled, scheduled and waiting jobs can be retried',
				job.id, coalesce(seen.place::text, 'nowhere')
				USING ERRCODE = 'object_not_in_prerequisite_state', HINT = format('athena job show %s', job.id);
		END IF;
	END LOOP;
	IF job.unique_key IS NOT NULL AND seen.place IN ('dead', 'cancelled') THEN
		PERFORM athena.take_key_again(job);
	END IF;
	INSERT INTO athena.ready (ticket, job_id, family, priority, attempt, has_key, timeout, concurrency_key)
	VALUES (nextval('athena.tickets'), job.id, job.family, job.priority, t.attempt, job.unique_key IS NOT NULL, job.timeout, job.concurrency_key);
	PERFORM athena.tally(job.family, seen.place, -1);
	PERFORM athena.tally(job.family, 'ready', 1);
	RETURN job.id;
END
$$;
COMMENT ON FUNCTION athena.retry IS 'Makes a dead or cancelled job ready again, from attempt 0; a scheduled or waiting one is made ready now. Returns the job id.';

CREATE FUNCTION athena.need_family(family text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM athena.families AS f WHERE f.name = need_family.family) THEN
		PERFORM athena.refuse_job(need_family.family, '{}');
	END IF;
END
$$;

-- No claim that starts after this has returned takes a job of the family.
CREATE FUNCTION athena.pause(family text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM athena.need_family(family);
	UPDATE athena.families AS f SET paused_at = now() WHERE f.name = pause.family AND f.paused_at IS NULL;
	IF FOUND THEN
		PERFORM pg_notify('athena', 'pause ' || pause.family)
		  WHERE coalesce(current_setting('athena.notify', true), 'on') <> 'off';
		RETURN true;
	END IF;
	RETURN false;
END
$$;
COMMENT ON FUNCTION athena.pause IS 'Stops claims of a family; what runs, runs on. True when it was not paused before.';

CREATE FUNCTION athena.resume(family text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM athena.need_family(family);
	UPDATE athena.families AS f SET paused_at = NULL WHERE f.name = resume.family AND f.paused_at IS NOT NULL;
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION athena.resume IS 'Allows claims of a paused family again. True when it was paused.';
