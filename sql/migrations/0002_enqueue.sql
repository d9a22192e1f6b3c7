-- oldest-program: 0.1.0
--
-- Enqueueing: what an INSERT into athena.jobs checks and does.
--
-- Walk of one row: BEFORE STATEMENT the transaction gets its xid (numbers are never drawn without
-- one); BEFORE ROW a unique key is taken or the row dropped; the CHECKs of the table; AFTER
-- STATEMENT all rows of the statement are checked against their families and get their tickets;
-- the insert of the tickets notifies workers that said that they sleep.

SET LOCAL ROLE athena_owner;
SET LOCAL search_path = pg_catalog, pg_temp;

CREATE FUNCTION athena.jobs_need_xid() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM pg_current_xact_id();
	RETURN NULL;
END
$$;
CREATE TRIGGER need_xid BEFORE INSERT ON athena.jobs
	FOR EACH STATEMENT EXECUTE FUNCTION athena.jobs_need_xid();

-- Waits for the outcome of a transaction that holds the key and has not ended: it may yet roll
-- back, and an answer given earlier would lose a job. A row whose key is held by its own id
-- passes, which is how pruning puts unfinished bodies back.
CREATE FUNCTION athena.jobs_take_key() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s' AS $$
BEGIN
	INSERT INTO athena.uniques (family, key, job_id)
	VALUES (NEW.family, NEW.unique_key, NEW.id) ON CONFLICT (family, key) DO NOTHING;
	IF FOUND OR EXISTS (SELECT FROM athena.uniques AS u
			     WHERE u.family = NEW.family AND u.key = NEW.unique_key AND u.job_id = NEW.id) THEN
		RETURN NEW;
	END IF;
	RETURN NULL;
END
$$;
-- Keys and families that are too long are left to the CHECKs, which come later and say so.
CREATE TRIGGER take_key BEFORE INSERT ON athena.jobs
	FOR EACH ROW WHEN (octet_length(NEW.unique_key) BETWEEN 1 AND 512 AND length(NEW.family) <= 63)
	EXECUTE FUNCTION athena.jobs_take_key();

-- The same types, bounds and words as src/config/option.c has, where programs check once more.
CREATE FUNCTION athena.value_problem(key text, value jsonb, rule jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	wanted text := rule ->> 'type';
	found  text := jsonb_typeof(value);
	fits   boolean := CASE
		WHEN wanted = 'integer' AND found = 'number' THEN value::numeric = trunc(value::numeric)
		WHEN wanted = 'duration' AND found = 'number' THEN value::numeric >= 0
		WHEN wanted = 'duration' AND found = 'string' THEN value #>> '{}' ~ '^\d{1,18}(ms|s|m|h|d)?$'
		ELSE found = wanted END;
BEGIN
	IF NOT fits THEN
		RETURN format('key "%s" must be %s, not %s', key,
			CASE WHEN wanted = 'duration' THEN 'a duration, such as "90s" or "5m"'
			     WHEN wanted ~ '^[aio]' THEN 'an ' || wanted ELSE 'a ' || wanted END,
			CASE WHEN found = 'number' AND wanted IN ('integer', 'duration') OR found = 'string' AND wanted = 'duration'
				OR found = 'null' THEN left(value::text, 40)
			     WHEN found ~ '^[ao]' THEN 'an ' || found ELSE 'a ' || found END);
	ELSIF rule ? 'enum' AND NOT rule -> 'enum' @> value THEN
		RETURN format('key "%s" must be one of %s, not %s', key,
			(SELECT string_agg(word, ', ') FROM jsonb_array_elements_text(rule -> 'enum') AS word), left(value::text, 40));
	ELSIF found = 'number' AND (value::numeric < (rule ->> 'min')::numeric OR value::numeric > (rule ->> 'max')::numeric) THEN
		RETURN format('key "%s" must be %s, not %s', key,
			CASE WHEN NOT rule ? 'max' THEN 'at least ' || (rule ->> 'min')
			     WHEN NOT rule ? 'min' THEN 'at most ' || (rule ->> 'max')
			     ELSE format('from %s to %s', rule ->> 'min', rule ->> 'max') END, value);
	END IF;
	RETURN NULL;
END
$$;

CREATE FUNCTION athena.payload_problem(payload jsonb, keys jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	problem text;
BEGIN
	IF keys IS NULL THEN
		RETURN NULL;
	END IF;
	SELECT format('missing key "%s"', rule.key) INTO problem
	  FROM jsonb_each(keys) AS rule
	 WHERE (rule.value ->> 'required')::boolean AND NOT payload ? rule.key ORDER BY rule.key LIMIT 1;
	IF problem IS NULL THEN
		SELECT format('unknown key "%s" (known: %s)', given,
			(SELECT string_agg(known, ', ' ORDER BY known) FROM jsonb_object_keys(keys) AS known)) INTO problem
		  FROM jsonb_object_keys(payload) AS given WHERE NOT keys ? given ORDER BY given LIMIT 1;
	END IF;
	IF problem IS NULL THEN
		SELECT found.problem INTO problem
		  FROM jsonb_each(payload) AS given,
		       athena.value_problem(given.key, given.value, keys -> given.key) AS found (problem)
		 WHERE found.problem IS NOT NULL ORDER BY given.key LIMIT 1;
	END IF;
	RETURN problem;
END
$$;
COMMENT ON FUNCTION athena.payload_problem IS 'What is wrong with a payload by a family''s payload_keys, as a sentence; null for nothing.';

-- Raises for the first bad row of a statement, given as its family, its payload, and which of how many it is.
CREATE FUNCTION athena.refuse_job(family text, payload jsonb, number bigint DEFAULT 1, count bigint DEFAULT 1) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	keys    jsonb;
	problem text;
BEGIN
	SELECT f.payload_keys INTO keys FROM athena.families AS f WHERE f.name = refuse_job.family;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'unknown family "%"', refuse_job.family
			USING ERRCODE = 'foreign_key_violation',
			DETAIL = format('Known families: %s.',
				(SELECT string_agg(f.name, ', ' ORDER BY f.name) FROM athena.families AS f)),
			HINT = format('athena family add %s', refuse_job.family);
	END IF;
	problem := format('bad payload for family "%s": %s', refuse_job.family, athena.payload_problem(refuse_job.payload, keys));
	IF refuse_job.count > 1 THEN
		RAISE EXCEPTION '%', problem USING ERRCODE = 'invalid_parameter_value',
			DETAIL = format('Row %s of %s.', refuse_job.number, refuse_job.count),
			HINT = format('athena family show %s', refuse_job.family);
	END IF;
	RAISE EXCEPTION '%', problem USING ERRCODE = 'invalid_parameter_value',
		HINT = format('athena family show %s', refuse_job.family);
END
$$;

CREATE FUNCTION athena.jobs_make_tickets() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	bad     record;
	delayed boolean;
	chunked text[] := ARRAY(SELECT f.name FROM athena.families AS f WHERE f.chunked);
	most    bigint;
BEGIN
	-- payload_problem costs 15 us a row: only what is not plainly right gets there. Plainly right is
	-- a payload of known keys, of their types, without a further rule, and with all that are required.
	SELECT n.id, n.family, n.payload INTO bad
	  FROM new_jobs AS n LEFT JOIN athena.families AS f ON f.name = n.family
	 WHERE f.name IS NULL
	    OR (f.wants_keys OR f.payload_keys IS NOT NULL AND n.payload <> '{}')
	       AND (EXISTS (SELECT FROM jsonb_each(n.payload) AS given,
				   jsonb_extract_path(f.payload_keys, given.key) AS rule
			     WHERE jsonb_typeof(given.value) IS DISTINCT FROM rule ->> 'type' OR rule ?| '{enum,min,max}')
		    OR f.wants_keys
		       AND EXISTS (SELECT FROM jsonb_each(f.payload_keys) AS known
				    WHERE (known.value -> 'required')::boolean AND NOT n.payload ? known.key))
	       AND athena.payload_problem(n.payload, f.payload_keys) IS NOT NULL
	 LIMIT 1;
	IF FOUND THEN
		-- Ids are drawn row by row, whatever the order in which a plan finds them.
		PERFORM athena.refuse_job(bad.family, bad.payload, count(*) FILTER (WHERE n.id <= bad.id), count(*))
		   FROM new_jobs AS n;
	END IF;
	delayed := EXISTS (SELECT FROM new_jobs AS n WHERE n.run_at > now());
	INSERT INTO athena.ready (ticket, job_id, family, priority, attempt, has_key, timeout, concurrency_key)
	SELECT n.id, n.id, n.family, n.priority, 0, n.unique_key IS NOT NULL, n.timeout, n.concurrency_key
	  FROM new_jobs AS n WHERE n.run_at <= now()
	   AND NOT (n.family = ANY (chunked) AND n.unique_key IS NULL AND n.timeout IS NULL AND n.concurrency_key IS NULL
		    AND pg_column_size(n.payload) <= 8192);
	IF chunked <> '{}' THEN
		-- The others share tickets, in the order of their ids. A group of one is an ordinary job.
		most := athena.setting('chunk_jobs');
		WITH grouped AS (
			SELECT g.*, CASE WHEN g.size = 1 THEN g.job_id ELSE nextval('athena.tickets') END AS ticket
			  FROM (SELECT n.family, n.priority, athena.block_of(n.id) AS block, min(n.id) AS job_id,
				       count(*)::integer AS size, range_agg(int8range(n.id, n.id + 1)) AS jobs
				  FROM new_jobs AS n
				 WHERE n.run_at <= now() AND n.family = ANY (chunked)
				   AND n.unique_key IS NULL AND n.timeout IS NULL AND n.concurrency_key IS NULL
				   AND pg_column_size(n.payload) <= 8192
				 GROUP BY n.family, n.priority, athena.block_of(n.id), n.id % 1000 / most
				 ORDER BY job_id) AS g),
		listed AS (
			INSERT INTO athena.chunks (ticket, block, size, priority, family, jobs)
			SELECT g.ticket, g.block, g.size, g.priority, g.family, g.jobs FROM grouped AS g WHERE g.size > 1)
		INSERT INTO athena.ready (ticket, job_id, family, priority, attempt, has_key)
		SELECT g.ticket, g.job_id, g.family, g.priority, CASE WHEN g.size > 1 THEN -g.size ELSE 0 END, false FROM grouped AS g;
	END IF;
	IF delayed THEN
		INSERT INTO athena.scheduled (job_id, run_at, family, priority, attempt, has_key, timeout, concurrency_key)
		SELECT n.id, n.run_at, n.family, n.priority, 0, n.unique_key IS NOT NULL, n.timeout, n.concurrency_key
		  FROM new_jobs AS n WHERE n.run_at > now();
	END IF;
	INSERT INTO athena.tallies (family, state, delta)
	SELECT n.family, CASE WHEN n.run_at <= now() THEN 'ready' ELSE 'scheduled' END::athena.job_state, count(*)
	  FROM new_jobs AS n GROUP BY 1, 2;
	RETURN NULL;
END
$$;
CREATE TRIGGER make_tickets AFTER INSERT ON athena.jobs
	REFERENCING NEW TABLE AS new_jobs
	FOR EACH STATEMENT EXECUTE FUNCTION athena.jobs_make_tickets();

-- Families may name the roles that enqueue into them. The trigger runs as the producer, since in
-- a SECURITY DEFINER function current_user is the owner; the look-up does not.
CREATE FUNCTION athena.refuse_producer(producer name, families text[]) RETURNS void
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	closed text;
BEGIN
	SELECT f.name INTO closed FROM athena.families AS f
	 WHERE f.name = ANY (families) AND f.producers IS NOT NULL
	   AND NOT EXISTS (SELECT FROM unnest(f.producers) AS allowed (role)
			     JOIN pg_roles AS r ON r.rolname = allowed.role
			    WHERE pg_has_role(producer, r.oid, 'MEMBER'))
	 ORDER BY f.name LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'role "%" may not enqueue into family "%"', producer, closed
			USING ERRCODE = 'insufficient_privilege',
			HINT = 'athena.families.producers names the roles that may.';
	END IF;
END
$$;

CREATE FUNCTION athena.jobs_check_producer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM athena.refuse_producer(current_user,
		(SELECT pg_catalog.array_agg(DISTINCT n.family) FROM new_jobs AS n));
	RETURN NULL;
END
$$;
CREATE TRIGGER check_producer AFTER INSERT ON athena.jobs
	REFERENCING NEW TABLE AS new_jobs
	FOR EACH STATEMENT EXECUTE FUNCTION athena.jobs_check_producer();

-- Wakes the workers that sleep on these families. Used by whatever puts work in front of them, a
-- freed place and a resumed family included. The lock, which a new ticket has brought already, is
-- by which a worker that goes to sleep finds those who did not see its sign (src/queue/sleep.h).
CREATE FUNCTION athena.wake(families text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	LOCK TABLE athena.ready IN ROW EXCLUSIVE MODE;
	IF current_setting('athena.notify', true) = 'off' OR pg_notification_queue_usage() > 0.5 THEN
		RETURN; -- the slow poll is what is left
	END IF;
	IF current_setting('transaction_isolation') <> 'read committed' THEN
		-- This transaction's snapshot may be older than a sign: notify whoever there is.
		PERFORM pg_notify('athena', 'ready ' || family) FROM unnest(wake.families) AS family;
	ELSE
		PERFORM pg_notify('athena', 'ready ' || s.family)
		   FROM athena.sleepers AS s JOIN athena.workers AS w ON w.id = s.worker_id
		  WHERE s.family = ANY (wake.families) AND w.heartbeat_at > now() - interval '30 s'
		  GROUP BY s.family;
	END IF;
END
$$;

-- VOLATILE, so that in READ COMMITTED each statement in wake() takes a snapshot of its own, after
-- this transaction has its xid and its lock on athena.ready: the worker's side of the protocol
-- (src/queue/sleep.h) relies on that order.
CREATE FUNCTION athena.ready_wake() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF EXISTS (SELECT FROM athena.sleepers) OR current_setting('transaction_isolation') <> 'read committed' THEN
		PERFORM athena.wake((SELECT array_agg(DISTINCT n.family) FROM new_ready AS n));
	END IF;
	RETURN NULL;
END
$$;
CREATE TRIGGER wake AFTER INSERT ON athena.ready
	REFERENCING NEW TABLE AS new_ready
	FOR EACH STATEMENT EXECUTE FUNCTION athena.ready_wake();

-- A raised limit or a lifted pause puts work in front of sleepers too. Workers claim limited and chunked
-- families in other ways than others, and so are told when that changes. A changed rate begins anew.
CREATE FUNCTION athena.families_wake() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE athena.limits AS x SET full_at = NULL
	 WHERE x.family = NEW.name AND x.full_at IS NOT NULL
	   AND (OLD.rate_count, OLD.rate_period, OLD.rate_burst) IS DISTINCT FROM (NEW.rate_count, NEW.rate_period, NEW.rate_burst);
	PERFORM athena.wake(ARRAY[NEW.name]);
	PERFORM pg_notify('athena', 'limits ' || NEW.name)
	  WHERE (OLD.is_limited, OLD.chunked, OLD.max_running_per_key IS NULL) <> (NEW.is_limited, NEW.chunked, NEW.max_running_per_key IS NULL)
	    AND coalesce(current_setting('athena.notify', true), 'on') <> 'off';
	RETURN NULL;
END
$$;
CREATE TRIGGER wake AFTER UPDATE OF max_running, max_running_per_key, rate_count, rate_period, rate_burst, chunked, paused_at ON athena.families
	FOR EACH ROW WHEN ((OLD.max_running, OLD.max_running_per_key, OLD.rate_count, OLD.rate_period, OLD.rate_burst, OLD.chunked)
			IS DISTINCT FROM (NEW.max_running, NEW.max_running_per_key, NEW.rate_count, NEW.rate_period, NEW.rate_burst, NEW.chunked)
		OR OLD.paused_at IS NOT NULL AND NEW.paused_at IS NULL)
	EXECUTE FUNCTION athena.families_wake();

CREATE FUNCTION athena.refuse_truncate() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RAISE EXCEPTION 'athena.% cannot be truncated: jobs would be lost or run twice', TG_TABLE_NAME
		USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Retention: see athena maintenance status.';
END
$$;
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON athena.jobs EXECUTE FUNCTION athena.refuse_truncate();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON athena.chunks EXECUTE FUNCTION athena.refuse_truncate();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON athena.ready EXECUTE FUNCTION athena.refuse_truncate();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON athena.scheduled EXECUTE FUNCTION athena.refuse_truncate();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON athena.leases EXECUTE FUNCTION athena.refuse_truncate();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON athena.waiting EXECUTE FUNCTION athena.refuse_truncate();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON athena.outcomes EXECUTE FUNCTION athena.refuse_truncate();

CREATE FUNCTION athena.key_holder(family text, key text) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER
BEGIN ATOMIC
	SELECT u.job_id FROM athena.uniques AS u
	 WHERE u.family = key_holder.family AND u.key = key_holder.key;
END;

-- As an INSERT, but answers a duplicate unique_key with the id of the job that holds it.
CREATE FUNCTION athena.enqueue(
	family text, payload jsonb DEFAULT '{}', kind text DEFAULT NULL, priority integer DEFAULT 5,
	run_at timestamptz DEFAULT now(), max_attempts integer DEFAULT NULL,
	timeout interval DEFAULT NULL, unique_key text DEFAULT NULL, concurrency_key text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	job bigint;
BEGIN
	LOOP
		INSERT INTO athena.jobs (family, payload, kind, priority, run_at, max_attempts, timeout, unique_key, concurrency_key)
		VALUES (enqueue.family, coalesce(enqueue.payload, '{}'), enqueue.kind, coalesce(enqueue.priority, 5),
			coalesce(enqueue.run_at, now()), enqueue.max_attempts, enqueue.timeout, enqueue.unique_key, enqueue.concurrency_key)
		RETURNING id INTO job;
		IF job IS NULL THEN
			job := athena.key_holder(enqueue.family, enqueue.unique_key);
		END IF;
		EXIT WHEN job IS NOT NULL; -- else the holder finished in between: the key is free
	END LOOP;
	RETURN job;
END
$$;
COMMENT ON FUNCTION athena.enqueue IS 'Queues a job and returns its id, or the id of the unfinished job that holds the unique_key.';
