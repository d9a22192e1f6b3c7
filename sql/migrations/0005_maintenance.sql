-- oldest-program: 0.1.0
--
-- Maintenance lanes. Each step is bounded, is one transaction, and is safe even if two processes
-- run it at once; the advisory lock only saves work. The functions belong to athena_owner, since
-- making and emptying leaves takes ownership; athena_worker may call run_lane and rescue only.

SET LOCAL ROLE athena_owner;
SET LOCAL search_path = pg_catalog, pg_temp;

CREATE FUNCTION athena.setting(name text) RETURNS bigint
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT s.value::bigint FROM athena.settings AS s WHERE s.name = setting.name;
END;

-- Whoever ran a lane last keeps it while its mark is fresh, so that idle lanes write a row a
-- second and not one per step. Ten intervals overdue, the lock is not asked any more: anybody can
-- take an advisory lock.
CREATE FUNCTION athena.lane_begin(lane text, worker_id uuid) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	l athena.lanes;
BEGIN
	PERFORM athena.require_read_committed();
	PERFORM athena.require_own_system();
	SELECT * INTO STRICT l FROM athena.lanes AS x WHERE x.lane = lane_begin.lane;
	IF l.last_by <> lane_begin.worker_id
		AND l.last_at > clock_timestamp() - greatest(l.every * 2, '2 s') THEN
		RETURN false;
	END IF;
	RETURN pg_try_advisory_xact_lock(1635018855, l.number)
		OR coalesce(l.last_at, '-infinity') < clock_timestamp() - greatest(l.every * 10, '10 s');
END
$$;

-- Figures are not worth waiting for: a row that somebody has locked, such as a leader that stands
-- still inside a step, stays as it is.
CREATE FUNCTION athena.lane_end(lane text, worker_id uuid, did bigint, started timestamptz) RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
	UPDATE athena.lanes AS l
	   SET last_at = clock_timestamp(), next_at = clock_timestamp() + l.every, last_by = lane_end.worker_id,
	       took_ms = extract(epoch FROM clock_timestamp() - lane_end.started) * 1000,
	       did = lane_end.did, total = l.total + lane_end.did, runs = l.runs + 1
	 WHERE l.lane = (SELECT x.lane FROM athena.lanes AS x WHERE x.lane = lane_end.lane FOR UPDATE SKIP LOCKED)
	   AND (lane_end.did > 0 OR l.last_by IS DISTINCT FROM lane_end.worker_id
		OR l.last_at IS NULL OR l.last_at < clock_timestamp() - interval '1 s');
END;

-- Promotion deletes before it draws numbers, so that its xid comes first.
CREATE FUNCTION athena.lane_promote(most integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	promoted bigint;
BEGIN
	WITH due AS (
		DELETE FROM athena.scheduled AS s
		 WHERE s.ctid = ANY (ARRAY(
			SELECT d.ctid FROM athena.scheduled AS d WHERE d.run_at <= now()
			 ORDER BY d.run_at FOR UPDATE SKIP LOCKED LIMIT most))
		RETURNING s.*),
	entered AS (
		INSERT INTO athena.ready (ticket, job_id, family, priority, attempt, has_key, timeout, concurrency_key)
		SELECT nextval('athena.tickets'), d.job_id, d.family, d.priority, d.attempt, d.has_key, d.timeout, d.concurrency_key
		  FROM (SELECT * FROM due ORDER BY run_at, job_id) AS d),
	counted AS (
		INSERT INTO athena.tallies (family, state, delta)
		SELECT d.family, s.state, s.sign * count(*)
		  FROM due AS d, (VALUES ('scheduled'::athena.job_state, -1), ('ready', 1)) AS s (state, sign)
		 GROUP BY d.family, s.state, s.sign)
	SELECT count(*) INTO promoted FROM due;
	RETURN promoted;
END
$$;

-- Chunks of families that are not chunked any more end, and their jobs join the ends of their lines.
CREATE FUNCTION athena.split_ready(most integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off AS $$
DECLARE
	split bigint;
BEGIN
	WITH gone AS (
		DELETE FROM athena.ready AS r
		 WHERE r.ctid = ANY (ARRAY(
			SELECT d.ctid FROM athena.families AS f,
			       LATERAL (SELECT x.ctid FROM athena.ready AS x WHERE x.family = f.name AND x.attempt < 0
					 ORDER BY x.priority, x.ticket FOR UPDATE SKIP LOCKED LIMIT most) AS d
			 WHERE NOT f.chunked LIMIT most))
		RETURNING r.ticket),
	ended AS (
		DELETE FROM athena.chunks AS c WHERE c.ticket = ANY (ARRAY(SELECT g.ticket FROM gone AS g)) RETURNING c.*),
	entered AS (
		INSERT INTO athena.ready (ticket, job_id, family, priority, attempt, has_key)
		SELECT nextval('athena.tickets'), e.job_id, e.family, e.priority, 0, false
		  FROM (SELECT m.id AS job_id, c.family, c.priority FROM ended AS c, athena.ids_of(c.jobs) AS m (id)
			 ORDER BY c.ticket, m.id) AS e)
	SELECT sum(e.size) INTO split FROM ended AS e;
	RETURN coalesce(split, 0);
END
$$;

-- Takes an attempt from its worker, and keeps count of it: how many jobs that was.
CREATE FUNCTION athena.lease_rescue(l athena.leases, kind text, reason text, why text) RETURNS integer
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	jobs integer := 0;
BEGIN
	FOR l IN SELECT * FROM athena.lease_split(l) LOOP
		PERFORM athena.lease_fail(l, kind, why, reason);
		jobs := jobs + 1;
	END LOOP;
	INSERT INTO athena.totals (family, what, delta) VALUES (l.family, reason, jobs);
	RETURN jobs;
END
$$;

-- The worker of such an attempt enforces the timeout itself, 30 s earlier; this is for the one
-- that cannot any more. A deadline counts as a failed attempt.
CREATE FUNCTION athena.lane_deadlines(most integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	l athena.leases;
	failed bigint := 0;
BEGIN
	FOR l IN SELECT * FROM athena.leases AS x WHERE x.deadline_at < now()
		  ORDER BY x.job_id LIMIT most FOR UPDATE SKIP LOCKED LOOP
		failed := failed + athena.lease_rescue(l, 'overdue', 'overdue', format('worker %s was still at it 30 s after the timeout', l.worker_id));
		EXIT WHEN failed >= most;
	END LOOP;
	RETURN failed;
END
$$;

-- Takes the leases of one worker that the caller has watched: its heartbeat has been seen_at for
-- watched_for, or its process is known to be dead. Postgres' clock has to agree. Leases of
-- families with a longer lease stay until their time. That a process is dead only its neighbours
-- on the same host can know, so they need not lead the lane.
CREATE FUNCTION athena.rescue(rescuer uuid, worker_id uuid, seen_at timestamptz, watched_for interval, is_dead boolean, most integer DEFAULT 1000)
RETURNS bigint LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	w athena.workers;
	l athena.leases;
	rescued bigint := 0;
	why text;
	started timestamptz := clock_timestamp();
	leads boolean := athena.lane_begin('rescue', rescuer);
BEGIN
	IF NOT leads AND NOT is_dead THEN
		RETURN NULL;
	END IF;
	SELECT * INTO w FROM athena.workers AS x WHERE x.id = rescue.worker_id AND x.heartbeat_at = seen_at FOR UPDATE SKIP LOCKED;
	IF NOT FOUND THEN
		RETURN 0; -- it has just beaten, or is doing so
	END IF;
	why := CASE WHEN is_dead THEN format('its worker died (%s, pid %s)', w.host, w.pid)
	       ELSE format('its worker was silent for %s s (%s, pid %s)', round(extract(epoch FROM clock_timestamp() - seen_at)), w.host, w.pid) END;
	FOR l IN SELECT x.* FROM athena.leases AS x LEFT JOIN athena.families AS f ON f.name = x.family
		  WHERE x.worker_id = rescue.worker_id
		    AND (is_dead OR watched_for >= coalesce(f.lease, '20 s') AND clock_timestamp() - seen_at >= coalesce(f.lease, '20 s'))
		  ORDER BY x.job_id LIMIT most FOR UPDATE OF x SKIP LOCKED LOOP
		rescued := rescued + athena.lease_rescue(l, 'lost', CASE WHEN is_dead THEN 'dead' ELSE 'silent' END, why);
		EXIT WHEN rescued >= most; -- a lease may be of many jobs
	END LOOP;
	DELETE FROM athena.sleepers AS s WHERE s.worker_id = rescue.worker_id;
	IF is_dead AND NOT EXISTS (SELECT FROM athena.leases AS x WHERE x.worker_id = rescue.worker_id) THEN
		DELETE FROM athena.workers AS x WHERE x.id = rescue.worker_id;
	END IF;
	IF leads THEN
		PERFORM athena.lane_end('rescue', rescuer, rescued, started);
	END IF;
	RETURN rescued;
END
$$;

-- Leases whose worker is not even registered, which nothing but an accident can cause.
CREATE FUNCTION athena.lane_rescue(most integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	l athena.leases;
	rescued bigint := 0;
BEGIN
	FOR l IN SELECT * FROM athena.leases AS x
		  WHERE NOT EXISTS (SELECT FROM athena.workers AS w WHERE w.id = x.worker_id)
		  ORDER BY x.job_id LIMIT most FOR UPDATE SKIP LOCKED LOOP
		rescued := rescued + athena.lease_rescue(l, 'lost', 'unregistered', format('its worker %s is not registered', l.worker_id));
		EXIT WHEN rescued >= most;
	END LOOP;
	RETURN rescued;
END
$$;

CREATE FUNCTION athena.lane_tallies() RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	folded bigint;
	others bigint;
BEGIN
	WITH gone AS (DELETE FROM athena.tallies AS t
		       WHERE (SELECT count(*) FROM (SELECT FROM athena.tallies LIMIT 100) AS few) = 100
		       RETURNING t.*),
	kept AS (
		INSERT INTO athena.tallies (family, state, delta)
		SELECT g.family, g.state, sum(g.delta) FROM gone AS g GROUP BY 1, 2 HAVING sum(g.delta) <> 0)
	SELECT count(*) INTO folded FROM gone;
	WITH gone AS (DELETE FROM athena.totals AS t
		       WHERE (SELECT count(*) FROM (SELECT FROM athena.totals LIMIT 1000) AS few) = 1000
		       RETURNING t.*),
	kept AS (
		INSERT INTO athena.totals (family, what, delta)
		SELECT g.family, g.what, sum(g.delta) FROM gone AS g GROUP BY 1, 2)
	SELECT count(*) INTO others FROM gone;
	RETURN folded + others;
END
$$;

-- Leaves and pruning go by one rule: whatever takes a lock that others meet does nothing else in its
-- transaction, waits 20 ms for it at most, and gives up quietly. Somebody holds all tables for hours
-- (pg_dump), or some for long (an open producer); then there is a next time.

-- One leaf of a table partitioned by number or time, made aside and attached: ATTACH passes while
-- producers are open, CREATE .. PARTITION OF does not. It does need the default leaf for itself.
CREATE FUNCTION athena.make_leaf(parent text, leaf text, low text, high text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	EXECUTE format('CREATE TABLE athena.%I (LIKE athena.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)', leaf, parent);
	EXECUTE format('ALTER TABLE athena.%I ATTACH PARTITION athena.%I FOR VALUES FROM (%L) TO (%L)', parent, leaf, low, high);
END
$$;

-- Both leaves of a range of ids, or none: jobs_<low> and outcomes_<low>.
CREATE FUNCTION athena.make_pair(low bigint, high bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET lock_timeout = '20ms' AS $$
BEGIN
	PERFORM athena.make_leaf('outcomes', 'outcomes_' || low, low::text, high::text);
	PERFORM athena.make_leaf('jobs', 'jobs_' || low, low::text, high::text);
	RETURN true;
EXCEPTION WHEN lock_not_available OR check_violation THEN
	RETURN false; -- a lock is held, or rows of the range lie in default already
END
$$;

-- The pairs of leaves that exist, from the catalog.
CREATE FUNCTION athena.pairs(OUT low bigint, OUT high bigint) RETURNS SETOF record
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT substring(c.relname FROM '^jobs_(\d+)$')::bigint,
	       substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \(''(\d+)''\)')::bigint
	  FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
	 WHERE i.inhparent = 'athena.jobs'::regclass AND c.relname ~ '^jobs_\d+$'
	 ORDER BY 1
$$;

-- Keeps three pairs ahead of the numbers, and never more than eight. An INSERT that began before a
-- leaf was attached never learns of it: it would put the leaf's ids into default, and be refused
-- there. So a new leaf begins half a step above the numbers at least, also where they have outrun
-- the leaves; what lies in default stays there.
CREATE FUNCTION athena.make_next_pair() RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	ids  bigint := athena.setting('leaf_ids');
	used bigint := (SELECT last_value FROM athena.tickets);
	top  bigint := coalesce((SELECT max(p.high) FROM athena.pairs() AS p), 0);
	low  bigint := CASE WHEN top >= used + ids / 2 OR used < ids AND top = 0 THEN top
			    ELSE ((used + ids / 2) / ids + 1) * ids END;
BEGIN
	IF low > used + 3 * ids OR (SELECT count(*) FROM athena.pairs()) >= 8 THEN
		RETURN false;
	END IF;
	RETURN athena.make_pair(low, (low / ids + 1) * ids); -- whole steps, also after a change of leaf_ids
END
$$;

CREATE FUNCTION athena.make_week(parent text, weeks_ahead integer) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '20ms' AS $$
DECLARE
	week timestamptz := date_trunc('week', now()) + weeks_ahead * interval '7 days';
	leaf text := parent || to_char(week, '_YYYYMMDD');
BEGIN
	IF to_regclass('athena.' || leaf) IS NOT NULL THEN
		RETURN false;
	END IF;
	PERFORM athena.make_leaf(parent, leaf, week::text, (week + interval '7 days')::text);
	RETURN true;
EXCEPTION WHEN lock_not_available OR check_violation THEN
	RETURN false;
END
$$;

-- One leaf or pair a step.
CREATE FUNCTION athena.lane_leaves() RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	parent text;
BEGIN
	IF athena.make_next_pair() THEN
		RETURN 1;
	END IF;
	FOREACH parent IN ARRAY ARRAY['events', 'failures'] LOOP
		FOR ahead IN 0 .. 2 LOOP
			IF athena.make_week(parent, ahead) THEN
				RETURN 1;
			END IF;
		END LOOP;
	END LOOP;
	RETURN 0;
END
$$;

-- The jobs of chunks but the first of each, which is in the row of the ticket itself; with the outcome
-- of the chunk, or nulls.
CREATE FUNCTION athena.chunked_between(low bigint, high bigint, OUT job_id bigint, OUT outcome athena.outcomes)
RETURNS SETOF record LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT m.id, o FROM athena.chunks AS c
	  LEFT JOIN athena.outcomes AS o ON o.job_id = lower(c.jobs) AND o.ticket = c.ticket
	 CROSS JOIN LATERAL athena.ids_of(c.jobs) AS m (id)
	 WHERE c.block BETWEEN athena.block_of(low) AND athena.block_of(high - 1)
	   AND m.id >= low AND m.id < high AND m.id <> lower(c.jobs);
END;

CREATE FUNCTION athena.unfinished_between(low bigint, high bigint) RETURNS SETOF bigint
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT r.job_id FROM athena.ready AS r WHERE r.job_id >= low AND r.job_id < high
	UNION ALL SELECT s.job_id FROM athena.scheduled AS s WHERE s.job_id >= low AND s.job_id < high
	UNION ALL SELECT l.job_id FROM athena.leases AS l WHERE l.job_id >= low AND l.job_id < high
	UNION ALL SELECT w.job_id FROM athena.waiting AS w WHERE w.job_id >= low AND w.job_id < high
	UNION ALL SELECT c.job_id FROM athena.chunked_between(low, high) AS c WHERE (c.outcome).ticket IS NULL;
END;

CREATE FUNCTION athena.is_expired(finished_at timestamptz, state athena.job_state, finished interval, dead interval)
RETURNS boolean LANGUAGE sql STABLE
RETURN finished_at <= now() - CASE WHEN state = 'dead' THEN dead ELSE finished END;

-- The jobs of a range that have to stay: unfinished, or finished not long enough ago. In one
-- statement, so that a job that finishes meanwhile is seen once. No more than most + 1 of them; the
-- latest first, so that a range with many is known at once.
CREATE FUNCTION athena.kept_between(low bigint, high bigint, finished interval, dead interval, most bigint)
RETURNS bigint[] LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT ARRAY(
		(SELECT o.job_id FROM athena.outcomes AS o
		  WHERE o.job_id >= low AND o.job_id < high AND NOT athena.is_expired(o.finished_at, o.state, finished, dead)
		  ORDER BY o.job_id DESC LIMIT most + 1)
		UNION ALL
		(SELECT c.job_id FROM athena.chunked_between(low, high) AS c
		  WHERE NOT athena.is_expired((c.outcome).finished_at, (c.outcome).state, finished, dead) LIMIT most + 1)
		UNION ALL SELECT u.id FROM athena.unfinished_between(low, high) AS u (id)
		LIMIT most + 1);
END;

-- Whether nobody else uses a pair right now: asked before anything slow, and given back at once.
CREATE FUNCTION athena.pair_is_free(low bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET lock_timeout = '20ms' AS $$
BEGIN
	EXECUTE format('LOCK TABLE athena.jobs_%1$s, athena.outcomes_%1$s IN ACCESS EXCLUSIVE MODE', low);
	RAISE EXCEPTION USING ERRCODE = 'AT001'; -- what gives a lock back is the end of this block
EXCEPTION
	WHEN lock_not_available THEN RETURN false;
	WHEN SQLSTATE 'AT001' THEN RETURN true;
END
$$;

-- TRUNCATE is not for old snapshots: whoever has one, but no lock yet, would find the leaf empty and
-- what was put back not there yet. Statements under READ COMMITTED take their locks before their
-- snapshot; a dump takes its snapshot first, and would miss bodies of unfinished jobs.
CREATE FUNCTION athena.refuse_beside_dump() RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM pg_stat_clear_snapshot();
	IF EXISTS (SELECT FROM pg_stat_activity AS a WHERE a.datname = current_database() AND a.application_name LIKE 'pg_dump%') THEN
		RAISE EXCEPTION USING ERRCODE = 'AT002';
	END IF;
END
$$;

-- Chunks that have succeeded, and lie on both sides of a leaf's end, become jobs of their own: each leaf
-- is emptied by itself.
CREATE FUNCTION athena.split_finished(at bigint) RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
	WITH split AS (
		DELETE FROM athena.chunks AS c
		 WHERE c.block = athena.block_of(at) AND lower(c.jobs) < at AND upper(c.jobs) > at
		   AND EXISTS (SELECT FROM athena.outcomes AS o WHERE o.job_id = lower(c.jobs) AND o.ticket = c.ticket)
		RETURNING c.*)
	INSERT INTO athena.outcomes (job_id, ticket, started_at, finished_at, worker_id, state, attempt, family)
	SELECT m.id, o.ticket, o.started_at, o.finished_at, o.worker_id, o.state, o.attempt, o.family
	  FROM split AS s JOIN athena.outcomes AS o ON o.job_id = lower(s.jobs)
	 CROSS JOIN LATERAL athena.ids_of(s.jobs) AS m (id) WHERE m.id <> o.job_id;
END;

-- Truncates a pair and puts what is kept back into the same leaves, past the triggers of the
-- parents, and past the leaf's own for unique keys: a finished job that is kept must not take its
-- key again, nor be dropped because another job holds it by now. Bodies never change, so they are
-- copied before the lock that stops claims.
CREATE FUNCTION athena.empty_pair(low bigint, high bigint, keep bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	EXECUTE format('CREATE UNLOGGED TABLE athena.kept_jobs (LIKE athena.jobs_%s)', low);
	EXECUTE format('CREATE UNLOGGED TABLE athena.kept_outcomes (LIKE athena.outcomes_%s)', low);
	EXECUTE format('INSERT INTO athena.kept_jobs SELECT j.* FROM athena.jobs_%s AS j WHERE j.id = ANY ($1)', low) USING keep;
	IF pg_table_size('athena.kept_jobs') > athena.setting('prune_keep_bytes') THEN
		RAISE EXCEPTION USING ERRCODE = 'AT002';
	END IF;
	EXECUTE format('LOCK TABLE athena.jobs_%1$s, athena.outcomes_%1$s IN ACCESS EXCLUSIVE MODE', low);
	PERFORM athena.refuse_beside_dump();
	EXECUTE format('INSERT INTO athena.kept_outcomes SELECT o.* FROM athena.outcomes_%s AS o WHERE o.job_id = ANY ($1)', low) USING keep;
	EXECUTE format('TRUNCATE athena.jobs_%1$s, athena.outcomes_%1$s', low);
	EXECUTE format('ALTER TABLE athena.jobs_%s DISABLE TRIGGER take_key', low);
	EXECUTE format('INSERT INTO athena.jobs_%s OVERRIDING SYSTEM VALUE SELECT * FROM athena.kept_jobs', low);
	EXECUTE format('ALTER TABLE athena.jobs_%s ENABLE TRIGGER take_key', low);
	EXECUTE format('INSERT INTO athena.outcomes_%s SELECT * FROM athena.kept_outcomes', low);
	DROP TABLE athena.kept_jobs, athena.kept_outcomes;
	DELETE FROM athena.chunks AS c
	 WHERE c.block BETWEEN athena.block_of(low) AND athena.block_of(high - 1)
	   AND NOT EXISTS (SELECT FROM athena.chunk_place(c));
	PERFORM athena.refuse_beside_dump(); -- one that came meanwhile waits for us, with its snapshot
END
$$;

-- Empties a pair of leaves that numbers have left behind, once little of it has to stay: looks,
-- then locks, then looks again. EXCLUSIVE keeps out whoever could add a body (a late producer) or
-- bring a finished job back (retry), and lets claims, settles and pg_dump pass while it reads; a
-- settle can only end a job that is kept anyway. Bodies that are neither kept nor finished are lost
-- jobs: then nothing is removed, so that conservation() can still name them.
CREATE FUNCTION athena.prune_pair(low bigint, high bigint, finished interval, dead interval) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET lock_timeout = '20ms' AS $$
DECLARE
	most   bigint := athena.setting('prune_keep_rows');
	keep   bigint[];
	gone   athena.tallies[];
	bodies bigint;
	pruned bigint;
BEGIN
	EXECUTE format('LOCK TABLE athena.jobs_%s IN EXCLUSIVE MODE', low);
	PERFORM athena.split_finished(low), athena.split_finished(high);
	keep := athena.kept_between(low, high, finished, dead, most);
	gone := ARRAY(SELECT (o.family, o.state, -sum(o.jobs))::athena.tallies
			FROM (SELECT o.family, o.state, count(*) AS jobs FROM athena.outcomes AS o
			       WHERE o.job_id >= low AND o.job_id < high AND athena.is_expired(o.finished_at, o.state, finished, dead)
			       GROUP BY 1, 2
			      UNION ALL
			      SELECT (c.outcome).family, (c.outcome).state, count(*) FROM athena.chunked_between(low, high) AS c
			       WHERE athena.is_expired((c.outcome).finished_at, (c.outcome).state, finished, dead)
			       GROUP BY 1, 2) AS o
		       GROUP BY o.family, o.state);
	pruned := (SELECT coalesce(-sum(g.delta), 0) FROM unnest(gone) AS g);
	EXECUTE format('SELECT count(*) FROM athena.jobs_%s', low) INTO bodies;
	IF cardinality(keep) > most THEN
		RAISE EXCEPTION USING ERRCODE = 'AT002';
	ELSIF bodies <> pruned + cardinality(keep) THEN
		RAISE WARNING 'athena.jobs_% is not pruned: of its % jobs % are finished for good and % have to stay',
			low, bodies, pruned, cardinality(keep) USING HINT = format('SELECT * FROM athena.conservation(%s, %s)', low, high - 1);
		RAISE EXCEPTION USING ERRCODE = 'AT002';
	END IF;
	PERFORM athena.empty_pair(low, high, keep);
	INSERT INTO athena.tallies (family, state, delta) SELECT g.family, g.state, g.delta FROM unnest(gone) AS g;
	INSERT INTO athena.totals (family, what, delta) SELECT g.family, 'pruned', -sum(g.delta) FROM unnest(gone) AS g GROUP BY 1;
	RETURN pruned;
EXCEPTION WHEN lock_not_available OR SQLSTATE 'AT002' THEN
	RETURN 0; -- and the locks are given back
END
$$;

-- What needs no lock to be asked, before what does.
CREATE FUNCTION athena.may_prune_pair(low bigint, high bigint, finished interval, dead interval) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	most bigint := athena.setting('prune_keep_rows');
BEGIN
	RETURN cardinality(athena.kept_between(low, high, finished, dead, most)) <= most
		AND EXISTS (SELECT FROM athena.outcomes AS o WHERE o.job_id >= low AND o.job_id < high
				AND athena.is_expired(o.finished_at, o.state, finished, dead))
		AND athena.pair_is_free(low);
END
$$;

CREATE FUNCTION athena.pair_has_rows(low bigint) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	answer boolean;
BEGIN
	EXECUTE format('SELECT EXISTS (SELECT FROM athena.jobs_%1$s) OR EXISTS (SELECT FROM athena.outcomes_%1$s)', low) INTO answer;
	RETURN answer;
END
$$;

-- An empty pair below the numbers goes when the parents' locks are free, which they may never be.
-- Looking at it may mean to walk over millions of dead rows, so again: look, lock out writers, look.
CREATE FUNCTION athena.drop_pair(low bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET lock_timeout = '20ms' AS $$
BEGIN
	IF athena.pair_has_rows(low) THEN
		RETURN false;
	END IF;
	EXECUTE format('LOCK TABLE athena.jobs_%1$s, athena.outcomes_%1$s IN EXCLUSIVE MODE', low);
	IF athena.pair_has_rows(low) THEN
		RETURN false;
	END IF;
	EXECUTE format('DROP TABLE athena.jobs_%1$s, athena.outcomes_%1$s', low);
	RETURN true;
EXCEPTION WHEN lock_not_available THEN
	RETURN false;
END
$$;

-- Where a leaf is still being filled, and in default, expired jobs go by small batches. Each step
-- looks at so many outcomes from where the last one stopped, and begins anew at the end. A body
-- that somebody has locked (retry) is passed by, and its outcome with it; a chunk goes whole. leaf is null where
-- numbers have outrun the leaves.
CREATE FUNCTION athena.prune_rows(leaf text, finished interval, dead interval) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	look   bigint := athena.setting('prune_look_rows');
	batch  bigint := athena.setting('prune_batch_rows');
	start  bigint := (SELECT l.position FROM athena.lanes AS l WHERE l.lane = 'prune');
	seen   bigint;
	upto   bigint;
	is_full boolean;
	chosen bigint[];
	pruned bigint;
BEGIN
	EXECUTE format('SELECT count(*), max(w.job_id), coalesce(max(w.jobs), 0) >= $5,
			       coalesce(array_agg(w.job_id ORDER BY w.job_id) FILTER (WHERE w.is_expired AND w.jobs - w.size < $5), ''{}'')
			  FROM (SELECT e.*, sum(e.size) FILTER (WHERE e.is_expired) OVER (ORDER BY e.job_id) AS jobs
				  FROM (SELECT o.job_id, coalesce(c.size, 1) AS size, athena.is_expired(o.finished_at, o.state, $3, $4) AS is_expired
					  FROM (%s) AS o LEFT JOIN athena.chunks AS c ON c.ticket = o.ticket
					 WHERE o.job_id > $1 ORDER BY o.job_id LIMIT $2) AS e) AS w',
		concat('SELECT job_id, ticket, finished_at, state FROM athena.outcomes_default',
			' UNION ALL SELECT job_id, ticket, finished_at, state FROM athena.' || leaf))
	   INTO seen, upto, is_full, chosen USING start, look, finished, dead, batch;
	WITH wanted AS (
		SELECT o.job_id AS first, coalesce(m.id, o.job_id) AS id
		  FROM athena.outcomes AS o LEFT JOIN athena.chunks AS c ON c.ticket = o.ticket AND lower(c.jobs) = o.job_id
		  LEFT JOIN LATERAL athena.ids_of(c.jobs) AS m (id) ON true
		 WHERE o.job_id = ANY (chosen)),
	bodies AS (
		SELECT j.id FROM athena.jobs AS j WHERE j.id = ANY (ARRAY(SELECT w.id FROM wanted AS w)) FOR UPDATE SKIP LOCKED),
	whole AS (
		SELECT w.first, count(*) AS size FROM wanted AS w LEFT JOIN bodies AS b ON b.id = w.id
		 GROUP BY w.first HAVING count(*) = count(b.id)),
	gone AS (
		DELETE FROM athena.outcomes AS o WHERE o.job_id = ANY (ARRAY(SELECT w.first FROM whole AS w))
		   AND athena.is_expired(o.finished_at, o.state, finished, dead)
		RETURNING o.job_id, o.ticket, o.family, o.state),
	removed AS (
		DELETE FROM athena.jobs AS j WHERE j.id = ANY (ARRAY(SELECT w.id FROM wanted AS w JOIN gone AS g ON g.job_id = w.first))),
	unlisted AS (
		DELETE FROM athena.chunks AS c USING gone AS g WHERE c.ticket = g.ticket AND lower(c.jobs) = g.job_id),
	counts AS (
		SELECT g.family, g.state, sum(w.size) AS jobs FROM gone AS g JOIN whole AS w ON w.first = g.job_id GROUP BY 1, 2),
	counted AS (
		INSERT INTO athena.tallies (family, state, delta) SELECT n.family, n.state, -n.jobs FROM counts AS n),
	totalled AS (
		INSERT INTO athena.totals (family, what, delta) SELECT n.family, 'pruned', sum(n.jobs) FROM counts AS n GROUP BY 1)
	SELECT coalesce(sum(n.jobs), 0) INTO pruned FROM counts AS n;
	UPDATE athena.lanes AS l
	   SET position = CASE WHEN is_full THEN chosen[cardinality(chosen)] WHEN seen = look THEN upto ELSE 0 END
	 WHERE l.lane = 'prune';
	RETURN pruned;
END
$$;

-- One statement about one leaf that needs it for itself.
CREATE FUNCTION athena.try_leaf(statement text, leaf text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET lock_timeout = '20ms' AS $$
BEGIN
	EXECUTE format(statement, leaf);
	RETURN true;
EXCEPTION WHEN lock_not_available THEN
	RETURN false;
END
$$;

-- Weeks of events and failures go whole, once older than the longer retention. Emptying needs the
-- leaf only; dropping it needs the parent as well, and so comes in a step of its own.
CREATE FUNCTION athena.prune_weeks(parent text, keep interval) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
	leaf     text;
	has_rows boolean;
	gone     bigint;
BEGIN
	FOR leaf IN SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
		     WHERE i.inhparent = ('athena.' || parent)::regclass AND c.relname ~ '_\d{8}$'
		       AND to_timestamp(right(c.relname, 8), 'YYYYMMDD') + interval '7 days' < now() - keep
		     ORDER BY 1 LOOP
		EXECUTE format('SELECT EXISTS (SELECT FROM athena.%I)', leaf) INTO has_rows;
		IF athena.try_leaf(CASE WHEN has_rows THEN 'TRUNCATE athena.%I' ELSE 'DROP TABLE athena.%I' END, leaf) THEN
			RETURN 1;
		END IF;
	END LOOP;
	EXECUTE format('DELETE FROM athena.%I AS x WHERE x.ctid = ANY (ARRAY(
		SELECT d.ctid FROM athena.%1$I AS d WHERE d.at < now() - $1 LIMIT $2))', parent || '_default')
		USING keep, athena.setting('prune_batch_rows');
	GET DIAGNOSTICS gone = ROW_COUNT;
	RETURN gone;
END
$$;

-- One leaf, one pair, or one batch a step.
CREATE FUNCTION athena.lane_prune(finished interval, dead interval) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	used bigint := (SELECT last_value FROM athena.tickets);
	did  bigint;
	pair record;
BEGIN
	did := athena.prune_weeks('events', greatest(finished, dead));
	IF did = 0 THEN
		did := athena.prune_weeks('failures', greatest(finished, dead));
	END IF;
	IF did = 0 THEN
		did := athena.prune_waits(greatest(finished, dead));
	END IF;
	FOR pair IN SELECT * FROM athena.pairs() AS p WHERE p.high <= used LOOP
		EXIT WHEN did > 0;
		IF athena.may_prune_pair(pair.low, pair.high, finished, dead) THEN
			did := athena.prune_pair(pair.low, pair.high, finished, dead);
		END IF;
		IF did = 0 AND athena.drop_pair(pair.low) THEN
			did := 1;
		END IF;
	END LOOP;
	IF did = 0 THEN
		did := athena.prune_rows(
			(SELECT 'outcomes_' || p.low FROM athena.pairs() AS p WHERE p.low <= used AND p.high > used),
			finished, dead);
	END IF;
	RETURN did;
END
$$;

-- Forgets workers that have been silent for an hour and hold nothing; a row with leases stays, for
-- rescue to find. Signs of the silent go after a minute, since every producer pays for them.
CREATE FUNCTION athena.lane_registry() RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	gone bigint;
	others bigint;
BEGIN
	DELETE FROM athena.workers AS w
	 WHERE w.heartbeat_at < now() - interval '1 hour'
	   AND NOT EXISTS (SELECT FROM athena.leases AS l WHERE l.worker_id = w.id);
	GET DIAGNOSTICS gone = ROW_COUNT;
	DELETE FROM athena.sleepers AS s
	 WHERE NOT EXISTS (SELECT FROM athena.workers AS w WHERE w.id = s.worker_id AND w.heartbeat_at > now() - interval '1 minute');
	GET DIAGNOSTICS others = ROW_COUNT;
	gone := gone + others;
	DELETE FROM athena.cancel_requests AS c
	 WHERE c.requested_at < now() - interval '1 minute'
	   AND NOT EXISTS (SELECT FROM athena.leases AS l WHERE l.ticket = c.ticket);
	GET DIAGNOSTICS others = ROW_COUNT;
	gone := gone + others;
	DELETE FROM athena.progress AS p
	 WHERE p.at < now() - interval '1 hour'
	   AND NOT EXISTS (SELECT FROM athena.leases AS l WHERE l.ticket = p.ticket);
	GET DIAGNOSTICS others = ROW_COUNT;
	RETURN gone + others;
END
$$;

-- One step of one lane: what it did, or null when another process leads the lane. args: most
-- (rows per step), finished and dead (retention).
CREATE FUNCTION athena.run_lane(lane text, worker_id uuid, args jsonb DEFAULT '{}') RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	started  timestamptz := clock_timestamp();
	most     integer := coalesce((args ->> 'most')::integer, 1000);
	finished interval := coalesce((args ->> 'finished')::interval, '7 days');
	dead     interval := coalesce((args ->> 'dead')::interval, '30 days');
	did      bigint;
BEGIN
	IF NOT athena.lane_begin(lane, worker_id) THEN
		RETURN NULL;
	END IF;
	did := CASE lane
		WHEN 'promote' THEN athena.lane_promote(most) + athena.split_ready(most / 50)
		WHEN 'rescue' THEN athena.lane_rescue(most)
		WHEN 'deadlines' THEN athena.lane_deadlines(most)
		WHEN 'waits' THEN athena.lane_waits(most)
		WHEN 'tallies' THEN athena.lane_tallies()
		WHEN 'leaves' THEN athena.lane_leaves()
		WHEN 'prune' THEN athena.lane_prune(finished, dead)
		WHEN 'registry' THEN athena.lane_registry()
	END;
	PERFORM athena.lane_end(lane, worker_id, did, started);
	RETURN did;
END
$$;

DO $$
BEGIN
	WHILE athena.lane_leaves() > 0 LOOP
	END LOOP;
END
$$;
