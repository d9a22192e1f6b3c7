-- oldest-program: 0.1.0
--
-- A refusal for good is for the job, as an answer is, and not for the attempt that asked: should that
-- end without parking, whoever asks next is refused by the same one.

SET LOCAL ROLE athena_owner;
SET LOCAL search_path = pg_catalog, pg_temp;

-- Again by the same attempt, before anybody answered, it replaces the token: the first one may have
-- been lost with the answer of a COMMIT, and then nobody has it.
--
-- Whoever is just ending the wait of an earlier attempt has seen its lease, and is waited for: what he
-- is told must hold, also where the job has moved on before he commits. Later he would find it stale.
CREATE OR REPLACE FUNCTION athena.open_wait(worker_id uuid, job_id bigint, ticket bigint, name text DEFAULT '') RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	token text := translate(encode(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), 'base64'), '+/=', '-_');
	refusal athena.waits;
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
	PERFORM FROM athena.waits AS w
	  WHERE w.job_id = open_wait.job_id AND w.ticket <> open_wait.ticket AND w.parked_at IS NULL FOR SHARE;
	SELECT * INTO refusal FROM athena.waits AS w
	 WHERE w.job_id = open_wait.job_id AND w.ticket <> open_wait.ticket AND w.state = 'failed' AND w.permanent LIMIT 1;
	INSERT INTO athena.waits AS w (token_hash, job_id, ticket, worker_id, name, state, ended_at, error, permanent)
	VALUES (athena.token_hash(token), open_wait.job_id, open_wait.ticket, open_wait.worker_id, open_wait.name,
		coalesce(refusal.state, 'open'), refusal.ended_at, refusal.error, coalesce(refusal.permanent, false))
	ON CONFLICT ON CONSTRAINT waits_ticket_key DO UPDATE SET token_hash = excluded.token_hash, name = excluded.name
	 WHERE w.state = excluded.state;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'ticket % has a wait that is answered already', ticket
			USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'One wait per attempt: settle as parked, the answer is there at once.';
	END IF;
	RETURN token;
END
$$;
