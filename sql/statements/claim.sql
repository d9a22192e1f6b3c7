-- Leases up to $3 jobs of family $1 to worker $2, from the lanes $4 in that order, each after the ticket in $5;
-- answers exactly the leases that it wrote. Takes nothing of a family with limits (claim_limited), and no ticket of
-- many jobs, whose attempt is below 0 (claim_chunked).
-- Rows come in heap order: the caller sorts by (priority, ticket). LIMIT stands inside and outside on purpose, and
-- the array must stay an ARRAY(subquery), which is run once. waited_s: since the job fell due, where that is known.
WITH picked AS (
	DELETE FROM athena.ready AS r
	 WHERE r.ctid = ANY (ARRAY(
		SELECT line.ctid
		  FROM unnest($4::smallint[], $5::bigint[]) AS lane (priority, after),
		       LATERAL (SELECT q.ctid FROM athena.ready AS q
				 WHERE q.family = $1::text AND q.priority = lane.priority AND q.ticket > lane.after AND q.attempt >= 0
				 ORDER BY q.ticket FOR UPDATE SKIP LOCKED LIMIT $3::integer) AS line
		 LIMIT coalesce((
			SELECT $3::integer FROM athena.families AS f
			 WHERE f.name = $1::text AND f.paused_at IS NULL AND NOT f.is_limited), 0)))
	RETURNING r.ticket, r.job_id, r.priority, r.attempt, r.has_key, r.timeout, r.concurrency_key),
leased AS (
	INSERT INTO athena.leases AS l (ticket, job_id, worker_id, deadline_at, family, priority, attempt, has_key, timeout, concurrency_key)
	SELECT p.ticket, p.job_id, $2::uuid, now() + coalesce(p.timeout, f.timeout) + interval '30 s',
	       $1::text, p.priority, p.attempt + 1, p.has_key, p.timeout, p.concurrency_key
	  FROM picked AS p, athena.families AS f WHERE f.name = $1::text
	RETURNING l.ticket, l.job_id, l.priority, l.attempt, l.deadline_at, l.timeout),
counted AS (
	INSERT INTO athena.tallies (family, state, delta)
	SELECT $1::text, d.state, d.sign * n.jobs
	  FROM (SELECT count(*) AS jobs FROM picked) AS n,
	       (VALUES ('ready'::athena.job_state, -1), ('running', 1)) AS d (state, sign)
	 WHERE n.jobs > 0)
SELECT l.job_id, l.ticket, l.attempt, l.priority,
       (extract(epoch FROM l.timeout) * 1000)::bigint AS timeout_ms, j.kind, j.payload,
       CASE WHEN l.ticket <> l.job_id THEN athena.answers(l.job_id) END AS answers,
       CASE WHEN l.attempt = 1 AND (l.ticket = l.job_id OR j.run_at > j.created_at)
	    THEN date_part('epoch', now() - j.run_at) END AS waited_s
  FROM leased AS l LEFT JOIN athena.jobs AS j ON j.id = l.job_id
