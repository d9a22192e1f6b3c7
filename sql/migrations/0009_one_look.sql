-- oldest-program: 0.1.0
--
-- Bulk enqueueing looks once at what a statement holds: its families, and how much of each is due.
-- Rows are looked at again one by one only where a family declares its keys or names its producers.
-- Each look at the rows of a COPY costs a tenth of a microsecond per row or more, and what was asked
-- of each row here (its family, its tally, its producer) is the same for all of a family.

SET LOCAL ROLE athena_owner;
SET LOCAL search_path = pg_catalog, pg_temp;

CREATE OR REPLACE FUNCTION athena.jobs_make_tickets() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	held     record;
	bad      record;
	chunked  text[];
	most     bigint;
BEGIN
	SELECT array_agg(g.family) AS families, array_agg(g.state) AS states, array_agg(g.jobs) AS jobs,
	       bool_or(g.state = 'scheduled') AS some_delayed,
	       bool_or(f.name IS NULL OR f.wants_keys OR f.payload_keys IS NOT NULL AND g.some_filled) AS some_checked,
	       coalesce(array_agg(f.name) FILTER (WHERE f.chunked AND g.state = 'ready'), '{}') AS chunked
	  INTO held
	  FROM (SELECT n.family, CASE WHEN n.run_at <= now() THEN 'ready' ELSE 'scheduled' END::athena.job_state AS state,
		       count(*) AS jobs, bool_or(n.payload <> '{}') AS some_filled
		  FROM new_jobs AS n GROUP BY 1, 2) AS g
	  LEFT JOIN athena.families AS f ON f.name = g.family;
	IF held.families IS NULL THEN
		RETURN NULL; -- no row
	END IF;
	chunked := held.chunked;
	IF held.some_checked THEN
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
	END IF;
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
	IF held.some_delayed THEN
		INSERT INTO athena.scheduled (job_id, run_at, family, priority, attempt, has_key, timeout, concurrency_key)
		SELECT n.id, n.run_at, n.family, n.priority, 0, n.unique_key IS NOT NULL, n.timeout, n.concurrency_key
		  FROM new_jobs AS n WHERE n.run_at > now();
	END IF;
	INSERT INTO athena.tallies (family, state, delta)
	SELECT t.family, t.state, t.jobs FROM unnest(held.families, held.states, held.jobs) AS t (family, state, jobs);
	RETURN NULL;
END
$$;

CREATE FUNCTION athena.families_with_producers() RETURNS text[]
LANGUAGE sql STABLE SECURITY DEFINER
BEGIN ATOMIC
	SELECT ARRAY(SELECT f.name FROM athena.families AS f WHERE f.producers IS NOT NULL);
END;
REVOKE EXECUTE ON FUNCTION athena.families_with_producers FROM PUBLIC;
GRANT EXECUTE ON FUNCTION athena.families_with_producers TO athena_producer, athena_worker;

-- It runs as the producer and with his search_path: everything it names is qualified.
CREATE OR REPLACE FUNCTION athena.jobs_check_producer() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	named text[] := athena.families_with_producers();
BEGIN
	IF pg_catalog.cardinality(named) OPERATOR(pg_catalog.>) 0 THEN
		PERFORM athena.refuse_producer(current_user,
			(SELECT pg_catalog.array_agg(DISTINCT n.family) FROM new_jobs AS n
			  WHERE n.family OPERATOR(pg_catalog.=) ANY (named)));
	END IF;
	RETURN NULL;
END
$$;
