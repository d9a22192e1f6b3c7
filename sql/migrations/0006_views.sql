-- oldest-program: 0.1.0
--
-- What people and tests read: the state of jobs, and the proof that none is lost.

SET LOCAL ROLE athena_owner;
SET LOCAL search_path = pg_catalog, pg_temp;

-- Whether the value of a member of this name is a secret.
CREATE FUNCTION athena.is_secret_name(name text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN name ~* '(password|passwd|passphrase|secret|token|(access|secret|private|api)[_-]?key|amz[_-]signature|authorization)$';

-- Masks passwords in URIs, values of telling names in key=value strings, JSON and SQL, and headers.
-- The counts keep it linear in the length of the text. What programs write into events and failures
-- was cleaned by src/base/redact.c, which knows more; this is for payloads and for what others wrote.
CREATE FUNCTION athena.redact(value text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE WHEN value !~* '//|passw|passphrase|secret|token|key|signature|authorization' THEN value ELSE
		regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(value,
		'(//[^:/?#@"\s]{0,128}:)[^"\s]{1,250}@', '\1***@', 'g'),
		'("[^"]{0,64}(?:password|passwd|passphrase|secret|token|(?:access|secret|private|api)[_-]?key|authorization)"\s*:\s*")(?:[^"\\]|\\.)+', '\1***', 'gi'),
		'("[^"]{0,64}(?:password|passwd|passphrase|secret|token|(?:access|secret|private|api)[_-]?key|authorization)"\s*:\s*)[-0-9.]+', '\1***', 'gi'),
		'((?:password|passwd|passphrase|secret|token|(?:access|secret|private|api)[_-]?key|amz[_-]signature)\s*=\s*|\mpassword\s+(?=''))(?:''(?:[^''\\]|\\.|'''')*''?|"[^"]*"?|[^\s&"'']+)', '\1***', 'gi'),
		'(authorization\s*:\s*)[^"\r\n]+', '\1***', 'gi') END;
END;

-- By its structure, so that what was JSON stays JSON. What is nested too deep for a recursion is
-- masked whole, if there may be anything to mask in it.
CREATE FUNCTION athena.redact_nested(value jsonb, depth integer) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF value IS NULL OR value::text !~* '//|passw|passphrase|secret|token|key|signature|authorization' THEN
		RETURN value;
	ELSIF jsonb_typeof(value) = 'string' THEN
		RETURN to_jsonb(athena.redact(value #>> '{}'));
	ELSIF depth > 16 THEN
		RETURN '"***"';
	ELSIF jsonb_typeof(value) = 'array' THEN
		RETURN (SELECT jsonb_agg(athena.redact_nested(a.item, depth + 1) ORDER BY a.place)
			  FROM jsonb_array_elements(value) WITH ORDINALITY AS a (item, place));
	END IF;
	RETURN (SELECT jsonb_object_agg(m.key, CASE
			WHEN athena.is_secret_name(m.key) AND jsonb_typeof(m.value) NOT IN ('null', 'boolean') THEN '"***"'
			ELSE athena.redact_nested(m.value, depth + 1) END)
		  FROM jsonb_each(value) AS m);
END
$$;

CREATE FUNCTION athena.redact(value jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN athena.redact_nested(value, 0);

-- A job id in the form of a uuid, and back: reversible, for interfaces that speak of uuids.
CREATE FUNCTION athena.public_id(job_id bigint) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
	SELECT (substr(h.hex, 1, 8) || substr(h.hex, 9, 4) || '8' || substr(h.hex, 13, 3) || 'a' || substr(h.hex, 16, 1) || '00' || '617468656e61')::uuid
	  FROM (SELECT lpad(to_hex(public_id.job_id), 16, '0') AS hex) AS h;
END;

CREATE FUNCTION athena.job_id(public_id uuid) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
	SELECT ('x' || substr(h.hex, 1, 12) || substr(h.hex, 14, 3) || substr(h.hex, 18, 1))::bit(64)::bigint
	  FROM (SELECT replace(public_id::text, '-', '') AS hex) AS h
	 WHERE substr(h.hex, 13, 1) = '8' AND substr(h.hex, 17, 1) = 'a' AND substr(h.hex, 19) = '00617468656e61';
END;

-- A job that is nowhere else is ready, by the conservation law; asking for one job costs index
-- probes only. One that shares a ticket is found by its chunk.
CREATE VIEW athena.job_status AS
SELECT j.id AS job_id, j.family, j.kind,
       coalesce(o.state, CASE WHEN l.ticket IS NOT NULL THEN 'running' WHEN s.job_id IS NOT NULL THEN 'scheduled'
			      WHEN w.job_id IS NOT NULL THEN 'waiting' ELSE 'ready' END::athena.job_state) AS state,
       j.priority,
       coalesce(o.attempt, l.attempt, s.attempt, w.attempt, greatest(r.attempt, 0::smallint)) AS attempt,
       coalesce(j.max_attempts, f.max_attempts) AS max_attempts,
       coalesce(s.run_at, w.expires_at, j.run_at) AS run_at,
       j.created_at,
       coalesce(o.started_at, l.claimed_at) AS started_at,
       o.finished_at,
       (SELECT format('%s:%s', k.host, k.pid) FROM athena.workers AS k WHERE k.id = coalesce(o.worker_id, l.worker_id)) AS worker,
       (SELECT jsonb_build_object('phase', p.phase, 'done', p.done, 'total', p.total, 'unit', p.unit, 'at', p.at)
	  FROM athena.progress AS p WHERE p.job_id = j.id AND p.ticket = coalesce(o.ticket, l.ticket)) AS progress,
       CASE WHEN o.state IS DISTINCT FROM 'succeeded' THEN
	       (SELECT athena.redact(x.error) FROM athena.failures AS x WHERE x.job_id = j.id ORDER BY x.at DESC LIMIT 1)
       END AS error,
       athena.redact(j.payload) AS payload,
       j.unique_key, j.concurrency_key,
       coalesce(j.timeout, f.timeout) AS timeout,
       coalesce(o.ticket, l.ticket) AS ticket,
       coalesce(o.worker_id, l.worker_id) AS worker_id,
       (SELECT q.requested_at FROM athena.cancel_requests AS q WHERE q.ticket = l.ticket AND q.job_id = j.id) AS cancel_requested_at
  FROM athena.jobs AS j
  LEFT JOIN athena.families AS f ON f.name = j.family
  LEFT JOIN athena.chunks AS c ON c.block = athena.block_of(j.id) AND c.jobs @> j.id
  LEFT JOIN athena.outcomes AS o ON o.job_id = coalesce(lower(c.jobs), j.id)
  LEFT JOIN athena.scheduled AS s ON s.job_id = j.id
  LEFT JOIN athena.waiting AS w ON w.job_id = j.id
  LEFT JOIN LATERAL (
	SELECT x.ticket, x.attempt, x.claimed_at, x.worker_id FROM athena.leases AS x WHERE x.ticket = coalesce(c.ticket, j.id)
	UNION ALL
	SELECT x.ticket, x.attempt, x.claimed_at, x.worker_id FROM athena.leases AS x
	 WHERE c.ticket IS NULL AND x.job_id = j.id AND x.ticket <> x.job_id) AS l ON true
  LEFT JOIN LATERAL (
	SELECT x.attempt FROM athena.ready AS x WHERE x.family = j.family AND x.priority = j.priority AND x.ticket = j.id
	UNION ALL
	SELECT x.attempt FROM athena.ready AS x WHERE x.job_id = j.id AND x.ticket <> x.job_id) AS r ON true;
COMMENT ON VIEW athena.job_status IS 'Every job that has not been pruned: where it is, how often it was tried, what went wrong. Secrets in payload and error are masked.';

CREATE VIEW athena.finished AS
SELECT coalesce(m.id, o.job_id) AS job_id, o.ticket, o.started_at, o.finished_at, o.worker_id, o.state, o.attempt, o.family
  FROM athena.outcomes AS o
  LEFT JOIN athena.chunks AS c ON c.ticket = o.ticket AND lower(c.jobs) = o.job_id
  LEFT JOIN LATERAL athena.ids_of(c.jobs) AS m (id) ON true;
COMMENT ON VIEW athena.finished IS 'How each finished job ended: athena.outcomes, but with a row for every job of a chunk.';

-- Ids of jobs in one state, or in any, newest first. The view above would have to look at every
-- job to find the few that are running; here each state reads its own thin table. Of chunks, those of
-- the last blocks, until there are enough: their jobs are younger than those of any other block.
CREATE FUNCTION athena.jobs_in(state athena.job_state, family text, before bigint, most integer)
RETURNS SETOF bigint LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 20
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	place text := CASE state WHEN 'running' THEN 'leases' WHEN 'ready' THEN 'ready' WHEN 'scheduled' THEN 'scheduled'
			  WHEN 'waiting' THEN 'waiting' ELSE 'outcomes' END;
BEGIN
	IF state IS NULL THEN
		RETURN QUERY SELECT j.id FROM athena.jobs AS j
			      WHERE j.id < before AND (jobs_in.family IS NULL OR j.family = jobs_in.family)
			      ORDER BY j.id DESC LIMIT most;
		RETURN;
	END IF;
	RETURN QUERY EXECUTE format('(SELECT p.job_id FROM athena.%I AS p WHERE p.job_id < $1%s%s ORDER BY p.job_id DESC LIMIT $2)
		UNION ALL
		(SELECT m.id
		   FROM (SELECT c.* FROM athena.chunks AS c
			  WHERE $3 IN (''ready'', ''running'', ''succeeded'') AND c.block <= athena.block_of($1)
			    AND ($4 IS NULL OR c.family = $4) AND EXISTS (SELECT FROM athena.chunk_place(c) AS p WHERE p = $3)
			    AND c.jobs && int8multirange(int8range(lower(c.jobs) + 1, greatest(lower(c.jobs) + 1, $1)))
			  ORDER BY c.block DESC FETCH FIRST $2 ROWS WITH TIES) AS c, athena.ids_of(c.jobs) AS m (id)
		  WHERE m.id < $1 AND m.id <> lower(c.jobs) ORDER BY m.id DESC LIMIT $2)
		 ORDER BY 1 DESC LIMIT $2',
		place, CASE WHEN place = 'outcomes' THEN ' AND p.state = $3' END,
		CASE WHEN jobs_in.family IS NOT NULL THEN ' AND p.family = $4' END)
		USING before, most, state, family;
END
$$;
COMMENT ON FUNCTION athena.jobs_in IS 'Ids of up to `most` jobs before an id, newest first, in a state and of a family unless these are null.';

-- A worker is alive while its heartbeat is fresh; a silent one may have lost its connection.
CREATE VIEW athena.worker_status AS
SELECT w.id, w.kind, w.host, w.pid, w.version, w.families, w.started_at, w.heartbeat_at,
       CASE WHEN w.heartbeat_at < now() - interval '15 s' THEN 'silent'
	    WHEN w.stopping THEN 'stopping' ELSE 'alive' END AS state,
       coalesce(l.running, 0) AS running,
       EXISTS (SELECT FROM athena.sleepers AS s WHERE s.worker_id = w.id) AS asleep
  FROM athena.workers AS w
  LEFT JOIN (SELECT x.worker_id, sum(coalesce(c.size, 1)) AS running
	       FROM athena.leases AS x LEFT JOIN athena.chunks AS c ON c.ticket = x.ticket GROUP BY x.worker_id) AS l ON l.worker_id = w.id;
COMMENT ON VIEW athena.worker_status IS 'Registered processes: alive, silent (no heartbeat for 15 s) or stopping, and how many jobs each holds.';

-- How the limits of families stand. used: jobs that run, keys that are full (of the first 256 with ready
-- jobs), starts that are taken; is_holding: ready jobs wait for it. Running jobs come from the tallies.
CREATE FUNCTION athena.limit_status(OUT family text, OUT limit_name text, OUT allowed integer, OUT used bigint, OUT is_holding boolean, OUT next_in interval)
RETURNS SETOF record LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	fam       athena.families;
	has_ready boolean;
BEGIN
	FOR fam IN SELECT * FROM athena.families AS f WHERE f.is_limited ORDER BY f.name LOOP
		family := fam.name;
		next_in := NULL;
		has_ready := EXISTS (SELECT FROM athena.ready AS r WHERE r.family = fam.name);
		IF fam.max_running IS NOT NULL THEN
			limit_name := 'max_running';
			allowed := fam.max_running;
			used := (SELECT coalesce(sum(t.delta), 0) FROM athena.tallies AS t WHERE t.family = fam.name AND t.state = 'running');
			is_holding := has_ready AND used >= allowed;
			RETURN NEXT;
		END IF;
		IF fam.max_running_per_key IS NOT NULL THEN
			limit_name := 'max_running_per_key';
			allowed := fam.max_running_per_key;
			used := (SELECT count(*) FILTER (WHERE k.places = 0) FROM athena.look_at_keys(fam.name, fam.max_running_per_key, 0, '') AS k);
			is_holding := used > 0;
			RETURN NEXT;
		END IF;
		IF fam.rate_count IS NOT NULL THEN
			limit_name := 'rate';
			allowed := fam.rate_count;
			used := ceil(athena.taken_starts(fam, clock_timestamp()));
			next_in := athena.next_start(fam, clock_timestamp());
			is_holding := has_ready AND next_in > '0';
			RETURN NEXT;
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION athena.limit_status IS 'Limits of families, how much of each is used, and whether ready jobs wait for it now.';

-- Which limit a ready job waits for, in words; null: none.
CREATE FUNCTION athena.held_back(family text, concurrency_key text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	fam athena.families;
BEGIN
	SELECT * INTO fam FROM athena.families AS f WHERE f.name = held_back.family AND f.is_limited;
	RETURN CASE
		WHEN NOT FOUND THEN NULL
		WHEN athena.free_places(fam) <= 0 THEN format('max_running: %s run', fam.max_running)
		WHEN (SELECT count(*) FROM athena.leases AS l
		       WHERE l.family = fam.name AND l.concurrency_key = held_back.concurrency_key) >= fam.max_running_per_key
			THEN format('max_running_per_key: %s of its key run', fam.max_running_per_key)
		WHEN athena.next_start(fam, clock_timestamp()) > '0'
			THEN format('rate: the next start is in %s ms', ceil(extract(epoch FROM athena.next_start(fam, clock_timestamp())) * 1000))
	END;
END
$$;

-- How many jobs of its family are claimed before a ready one, counted no further than `most`; 0 for one
-- that is not ready. Of those that share its ticket none is: they are claimed with it. Backwards from its own ticket: tickets that are dead, but that some old
-- snapshot keeps, lie at the other end.
CREATE FUNCTION athena.jobs_ahead(job_id bigint, most integer) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_sort = off SET jit = off
BEGIN ATOMIC
	SELECT least(coalesce(sum(greatest(-ahead.attempt, 1)), 0), most) FROM (
		SELECT r.priority, r.ticket, r.family FROM athena.jobs AS j
		  JOIN athena.ready AS r ON r.family = j.family AND r.priority = j.priority AND r.ticket = j.id
		 WHERE j.id = jobs_ahead.job_id
		UNION ALL
		SELECT r.priority, r.ticket, r.family FROM athena.ready AS r WHERE r.job_id = jobs_ahead.job_id AND r.ticket <> r.job_id
		UNION ALL
		SELECT c.priority, c.ticket, c.family FROM athena.chunks AS c, athena.chunk_place(c) AS p (place)
		 WHERE c.block = athena.block_of(jobs_ahead.job_id) AND c.jobs @> jobs_ahead.job_id
		   AND p.place = 'ready' AND lower(c.jobs) <> jobs_ahead.job_id) AS own
	 CROSS JOIN LATERAL (
		SELECT r.attempt FROM athena.ready AS r
		 WHERE r.family = own.family AND (r.priority, r.ticket) < (own.priority, own.ticket)
		 ORDER BY r.priority DESC, r.ticket DESC LIMIT most) AS ahead;
END;
COMMENT ON FUNCTION athena.jobs_ahead IS 'How many jobs of its family are claimed before a ready one; counts no further than `most`.';

-- The law: every unpruned job is in exactly one place. One statement, so one snapshot: two would
-- see a job that moves in between twice, or never. It holds that snapshot while it runs, so on a
-- big system ask by windows of ids.
CREATE FUNCTION athena.conservation(from_id bigint DEFAULT 0, to_id bigint DEFAULT 9223372036854775807)
RETURNS TABLE (job_id bigint, problem text, detail text)
LANGUAGE sql STABLE SECURITY DEFINER
BEGIN ATOMIC
	WITH places AS (
		SELECT r.job_id, 'ready' AS place, r.ticket, r.has_key, true AS unfinished FROM athena.ready AS r WHERE r.job_id BETWEEN from_id AND to_id
		UNION ALL SELECT s.job_id, 'scheduled', NULL, s.has_key, true FROM athena.scheduled AS s WHERE s.job_id BETWEEN from_id AND to_id
		UNION ALL SELECT l.job_id, 'leases', l.ticket, l.has_key, true FROM athena.leases AS l WHERE l.job_id BETWEEN from_id AND to_id
		UNION ALL SELECT w.job_id, 'waiting', w.ticket, w.has_key, true FROM athena.waiting AS w WHERE w.job_id BETWEEN from_id AND to_id
		UNION ALL SELECT o.job_id, 'outcomes', o.ticket, false, false FROM athena.outcomes AS o WHERE o.job_id BETWEEN from_id AND to_id
		UNION ALL SELECT m.id, CASE WHEN p.state = 'ready' THEN 'ready' WHEN p.state = 'running' THEN 'leases' ELSE 'outcomes' END,
			c.ticket, false, p.state < 'succeeded'
		  FROM athena.chunks AS c, athena.chunk_place(c) AS p (state), athena.ids_of(c.jobs) AS m (id)
		 WHERE c.block BETWEEN athena.block_of(from_id) AND athena.block_of(to_id)
		   AND m.id BETWEEN from_id AND to_id AND m.id <> lower(c.jobs)),
	bodies AS (SELECT j.id, j.family, j.unique_key FROM athena.jobs AS j WHERE j.id BETWEEN from_id AND to_id)
	SELECT b.id, 'no place', 'the job has a body but is neither ready, scheduled, leased, waiting nor finished'
	  FROM bodies AS b WHERE NOT EXISTS (SELECT FROM places AS p WHERE p.job_id = b.id)
	UNION ALL
	SELECT p.job_id, 'two places', string_agg(p.place, ', ' ORDER BY p.place)
	  FROM places AS p GROUP BY p.job_id HAVING count(*) > 1
	UNION ALL
	SELECT p.job_id, 'no body', concat('in ', p.place, ', ticket ' || p.ticket)
	  FROM places AS p WHERE NOT EXISTS (SELECT FROM bodies AS b WHERE b.id = p.job_id)
	UNION ALL
	SELECT l.job_id, 'no worker', format('leased by %s, which is not registered', l.worker_id)
	  FROM athena.leases AS l WHERE l.job_id BETWEEN from_id AND to_id
	   AND NOT EXISTS (SELECT FROM athena.workers AS w WHERE w.id = l.worker_id)
	UNION ALL
	SELECT lower(c.jobs), 'bad chunk', format('chunk %s says %s jobs and has %s; its ticket is in %s places',
		c.ticket, c.size, (SELECT count(*) FROM athena.ids_of(c.jobs)), (SELECT count(*) FROM athena.chunk_place(c)))
	  FROM athena.chunks AS c WHERE c.block BETWEEN athena.block_of(from_id) AND athena.block_of(to_id)
	   AND (c.size <> (SELECT count(*) FROM athena.ids_of(c.jobs)) OR (SELECT count(*) FROM athena.chunk_place(c)) <> 1)
	UNION ALL
	SELECT u.job_id, 'stray key', format('unique key "%s" of family "%s" is held by a job that is not unfinished', u.key, u.family)
	  FROM athena.uniques AS u WHERE u.job_id BETWEEN from_id AND to_id
	   AND NOT EXISTS (SELECT FROM places AS p WHERE p.job_id = u.job_id AND p.unfinished)
	UNION ALL
	SELECT b.id, 'no key', format('unfinished, but its unique key "%s" is not held by it', b.unique_key)
	  FROM bodies AS b JOIN places AS p ON p.job_id = b.id AND p.unfinished
	 WHERE b.unique_key IS NOT NULL
	   AND NOT (p.has_key AND EXISTS (SELECT FROM athena.uniques AS u WHERE u.family = b.family AND u.key = b.unique_key AND u.job_id = b.id));
END;
COMMENT ON FUNCTION athena.conservation IS 'Jobs that break the law "exactly one place", each with why; no rows when all is well. Ask by windows of ids on a big system.';

CREATE VIEW athena.depth AS
SELECT t.family, t.state, sum(t.delta)::bigint AS jobs
  FROM athena.tallies AS t GROUP BY t.family, t.state HAVING sum(t.delta) <> 0;
COMMENT ON VIEW athena.depth IS 'Jobs per family and state, summed from deltas; counts no table.';
