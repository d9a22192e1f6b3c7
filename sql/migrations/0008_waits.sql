-- oldest-program: 0.1.0
--
-- Waits: jobs that are parked until somebody outside answers.
--
-- Walk of one wait. The attempt opens it and gets a token, which it hands out; then it settles as
-- parked, and its ticket moves from leases to waiting. Whoever has the token completes the wait: the
-- job is ready again, with the answer for its next attempt, which has the same number. Or he fails
-- it, or nobody comes in time: then the attempt has failed like any other.
--
-- The token is known outside before the job is parked, so the answer may be first. It is kept here,
-- in a row that was committed before the token was told, and parking finds it: no answer that was
-- accepted is lost, even if the attempt dies instead of parking. Tokens of attempts that ended in
-- another way are refused.
--
-- A token is 43 characters of A-Z a-z 0-9 - _, made from 244 random bits, fit for a URL. Only its
-- hash is stored: who can read tables or backups cannot answer.
--
-- Lock order: the lease, then the wait, then the ticket in waiting.

SET LOCAL ROLE athena_owner;
SET LOCAL search_path = pg_catalog, pg_temp;

CREATE TABLE athena.waits (
	token_hash bytea PRIMARY KEY,
	job_id     bigint NOT NULL,
	ticket     bigint NOT NULL UNIQUE,
	worker_id  uuid NOT NULL,
	opened_at  timestamptz NOT NULL DEFAULT now(),
	parked_at  timestamptz,
	ended_at   timestamptz,
	permanent  boolean NOT NULL DEFAULT false,
	name       text COLLATE "C" NOT NULL
		CONSTRAINT "the name of a wait has at most 200 characters" CHECK (length(name) <= 200),
	state      text COLLATE "C" NOT NULL DEFAULT 'open'
		CHECK (state IN ('open', 'completed', 'failed', 'timed_out', 'cancelled')),
	error      text,
	answer     jsonb
		CONSTRAINT "an answer has at most 64 KiB" CHECK (octet_length(answer::text) <= 65536)
);
CREATE INDEX waits_job ON athena.waits (job_id, ticket);
CREATE INDEX waits_opened ON athena.waits (opened_at);
COMMENT ON TABLE athena.waits IS 'What attempts waited for, or may yet: one wait per attempt, kept as long as the job. A job that is parked has its ticket in athena.waiting.';

CREATE FUNCTION athena.token_hash(token text) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN sha256(convert_to(token, 'UTF8'));

-- Again by the same attempt, before anybody answered, it replaces the token: the first one may have
-- been lost with the answer of a COMMIT, and then nobody has it.
CREATE FUNCTION athena.open_wait(worker_id uuid, job_id bigint, ticket bigint, name text DEFAULT '') RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	token text := translate(encode(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), 'base64'), '+/=', '-_');
BEGIN
	PERFORM athena.require_read_committed();
	PERFORM FROM athena.leases AS l
	  WHERE l.ticket = open_wait.ticket AND l.job_id = open_wait.job_id AND l.worker_id = open_wait.worker_id FOR KEY SHARE;
	IF NOT FOUND THEN
		RETURN NULL;
	ELSIF EXISTS (SELECT FROM athena.chunks AS c WHERE c.ticket = open_wait.ticket) THEN
		RAISE EXCEPTION 'ticket % is that of many jobs, none of which can wait', ticket
			USING ERRCODE = 'object_not_in_prerequisite_state';
	END IF;
	INSERT INTO athena.waits AS w (token_hash, job_id, ticket, worker_id, name)
	VALUES (athena.token_hash(token), open_wait.job_id, open_wait.ticket, open_wait.worker_id, open_wait.name)
	ON CONFLICT ON CONSTRAINT waits_ticket_key DO UPDATE SET token_hash = excluded.token_hash, name = excluded.name WHERE w.state = 'open';
	IF NOT FOUND THEN
		RAISE EXCEPTION 'ticket % has a wait that is answered already', ticket
			USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'One wait per attempt: settle as parked, the answer is there at once.';
	END IF;
	RETURN token;
END
$$;
COMMENT ON FUNCTION athena.open_wait IS 'Opens a wait for a leased job and returns its token, this once; null when the lease is lost. Then hand the token out, and settle as parked.';

-- The answers that a job has got so far, by the names of the waits.
CREATE FUNCTION athena.answers(job_id bigint) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT jsonb_object_agg(w.name, w.answer ORDER BY w.ticket) FROM athena.waits AS w
	 WHERE w.job_id = answers.job_id AND w.state = 'completed';
END;

CREATE FUNCTION athena.wait_event(job_id bigint, ticket bigint, attempt smallint, kind text, message text) RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
	INSERT INTO athena.events (job_id, ticket, attempt, kind, message)
	VALUES (wait_event.job_id, wait_event.ticket, wait_event.attempt, wait_event.kind, wait_event.message);
END;

-- The attempt of a wait that has ended goes on, or has failed. It expects the lease to be locked.
CREATE FUNCTION athena.lease_after_wait(l athena.leases, w athena.waits, OUT state athena.job_state, OUT run_at timestamptz)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF w.state = 'completed' THEN
		state := 'ready';
		PERFORM athena.lease_to_ready(l, l.attempt - 1);
	ELSE
		SELECT f.state, f.run_at INTO lease_after_wait.state, lease_after_wait.run_at
		  FROM athena.lease_fail(l, CASE WHEN w.state = 'timed_out' THEN 'timeout' WHEN w.permanent THEN 'permanent' ELSE 'transient' END,
			w.error, CASE w.state WHEN 'timed_out' THEN 'wait_timed_out' ELSE 'wait_failed' END) AS f;
	END IF;
END
$$;

-- settle's part: from leases to waiting, or past it when the answer was first.
CREATE FUNCTION athena.lease_park(l athena.leases, wait_for interval, OUT state athena.job_state, OUT run_at timestamptz)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	w athena.waits;
BEGIN
	UPDATE athena.waits AS x SET parked_at = clock_timestamp() WHERE x.ticket = l.ticket RETURNING * INTO w;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'job % has no wait to be parked for', l.job_id
			USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'SELECT athena.open_wait(...) first, and give its token to whoever is to answer.';
	ELSIF w.state <> 'open' THEN
		SELECT a.state, a.run_at INTO lease_park.state, lease_park.run_at FROM athena.lease_after_wait(l, w) AS a;
		RETURN;
	END IF;
	state := 'waiting';
	run_at := now() + wait_for;
	DELETE FROM athena.leases AS x WHERE x.ticket = l.ticket;
	INSERT INTO athena.waiting (job_id, ticket, expires_at, claimed_at, family, priority, attempt, has_key, timeout, concurrency_key)
	VALUES (l.job_id, l.ticket, run_at, l.claimed_at, l.family, l.priority, l.attempt, l.has_key, l.timeout, l.concurrency_key);
	PERFORM athena.tally(l.family, 'running', -1);
	PERFORM athena.tally(l.family, 'waiting', 1);
	PERFORM athena.wait_event(l.job_id, l.ticket, l.attempt, 'parked', concat('waits for an answer', ': ' || nullif(w.name, '')));
	PERFORM athena.place_freed(l.family);
END
$$;

-- The other way. A parked job is back under its lease for the blink of this transaction, and then
-- ends as every attempt does. False when it is not parked (yet).
CREATE FUNCTION athena.unpark(w athena.waits) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	l athena.leases;
BEGIN
	DELETE FROM athena.waiting AS x WHERE x.job_id = w.job_id AND x.ticket = w.ticket
	RETURNING x.ticket, x.job_id, w.worker_id, x.claimed_at, x.family, x.priority, x.attempt, x.has_key, x.timeout, x.concurrency_key
	     INTO l.ticket, l.job_id, l.worker_id, l.claimed_at, l.family, l.priority, l.attempt, l.has_key, l.timeout, l.concurrency_key;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	INSERT INTO athena.leases SELECT l.*;
	PERFORM athena.tally(l.family, 'waiting', -1);
	PERFORM athena.tally(l.family, 'running', 1);
	PERFORM athena.lease_after_wait(l, w);
	RETURN true;
END
$$;

-- The first answer counts. While the wait is locked its job can neither be parked nor unparked.
CREATE FUNCTION athena.end_wait(token text, ending text, given jsonb, why text, is_permanent boolean, OUT answer text, OUT state text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	w athena.waits;
BEGIN
	PERFORM athena.require_read_committed();
	SELECT * INTO w FROM athena.waits AS x WHERE x.token_hash = athena.token_hash(end_wait.token) FOR UPDATE;
	answer := 'refused';
	IF NOT FOUND THEN
		state := 'unknown';
	ELSIF w.state <> 'open' THEN
		answer := CASE w.state WHEN ending THEN 'already' ELSE 'refused' END;
		state := w.state;
	ELSIF NOT EXISTS (SELECT FROM athena.leases AS l WHERE l.ticket = w.ticket
			   UNION ALL SELECT FROM athena.waiting AS t WHERE t.job_id = w.job_id AND t.ticket = w.ticket) THEN
		state := 'stale';
	ELSE
		answer := 'accepted';
		state := ending;
		UPDATE athena.waits AS x SET state = ending, ended_at = clock_timestamp(), answer = given, error = why, permanent = is_permanent
		 WHERE x.ticket = w.ticket RETURNING * INTO w;
		IF ending = 'completed' THEN
			PERFORM athena.wait_event(w.job_id, w.ticket, NULL, 'answered', concat('answered', ': ' || nullif(w.name, '')));
		END IF;
		PERFORM athena.unpark(w);
	END IF;
END
$$;

CREATE FUNCTION athena.complete_wait(token text, payload jsonb DEFAULT '{}', OUT answer text, OUT state text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	SELECT e.answer, e.state INTO complete_wait.answer, complete_wait.state
	  FROM athena.end_wait(token, 'completed', coalesce(payload, 'null'), NULL, false) AS e;
END
$$;
COMMENT ON FUNCTION athena.complete_wait IS 'Ends a wait well: its job is ready again, with the payload as the answer. Answers accepted, already (the first answer stands) or refused, and how the wait ended.';

CREATE FUNCTION athena.fail_wait(token text, error text, permanent boolean DEFAULT false, OUT answer text, OUT state text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	SELECT e.answer, e.state INTO fail_wait.answer, fail_wait.state
	  FROM athena.end_wait(token, 'failed', NULL, left(coalesce(error, 'no reason given'), 8192), coalesce(permanent, false)) AS e;
END
$$;
COMMENT ON FUNCTION athena.fail_wait IS 'Ends a wait badly: the attempt has failed with this error, and is tried again by the rules of its family unless permanent. Answers as complete_wait does.';

-- Waits that nobody answered in time. Whoever is just answering is first.
CREATE FUNCTION athena.lane_waits(most integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	late  record;
	w     athena.waits;
	ended bigint := 0;
BEGIN
	FOR late IN SELECT t.ticket, t.expires_at - x.parked_at AS waited
		      FROM athena.waiting AS t JOIN athena.waits AS x ON x.ticket = t.ticket
		     WHERE t.expires_at <= now() AND x.state = 'open'
		     ORDER BY t.expires_at LIMIT most FOR UPDATE OF x SKIP LOCKED LOOP
		UPDATE athena.waits AS x SET state = 'timed_out', ended_at = clock_timestamp(),
		       error = format('nobody answered within %s s', round(extract(epoch FROM late.waited), 1))
		 WHERE x.ticket = late.ticket RETURNING * INTO w;
		ended := ended + athena.unpark(w)::integer;
	END LOOP;
	RETURN ended;
END
$$;

-- Forgets waits whose jobs are forgotten. Those of long waits are looked at again and again; they
-- are few, since most jobs do not live that long.
CREATE FUNCTION athena.prune_waits(keep interval) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	gone bigint;
BEGIN
	DELETE FROM athena.waits AS w WHERE w.ctid = ANY (ARRAY(
		SELECT x.ctid FROM athena.waits AS x
		 WHERE x.opened_at < now() - keep AND NOT EXISTS (SELECT FROM athena.jobs AS j WHERE j.id = x.job_id)
		 ORDER BY x.opened_at LIMIT athena.setting('prune_batch_rows') FOR UPDATE SKIP LOCKED));
	GET DIAGNOSTICS gone = ROW_COUNT;
	RETURN gone;
END
$$;

GRANT EXECUTE ON FUNCTION athena.complete_wait, athena.fail_wait TO athena_producer, athena_worker;
GRANT EXECUTE ON FUNCTION athena.open_wait, athena.answers, athena.token_hash, athena.lease_park, athena.lease_after_wait, athena.wait_event
	TO athena_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON athena.waits TO athena_worker;
GRANT SELECT (job_id, ticket, name, state, opened_at, parked_at, ended_at) ON athena.waits TO athena_reader;
