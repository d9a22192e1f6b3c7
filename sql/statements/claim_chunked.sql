-- As claim, for a chunked family: $3 is in jobs, and $6 in tickets. A ticket may stand for many jobs, so as many
-- tickets are taken as it needs to reach $3, which the last of them may exceed; fresh jobs that have one each are put
-- together, 250 at most and none that brings answers of waits. A lease answers for all jobs of its ticket: jobs is how many,
-- bodies how many of these there are, and lines, where jobs > 1, one line for each, of its id, its kind as JSON if it
-- has one, and its payload. Takes nothing of a family with limits. last_ticket is for the cursor.
WITH picked AS (
	DELETE FROM athena.ready AS r
	 WHERE r.ctid = ANY (ARRAY(
		SELECT turn.at
		  FROM (SELECT line.at, sum(line.size) OVER (ROWS UNBOUNDED PRECEDING) - line.size AS before
			  FROM (SELECT head.at, CASE WHEN head.attempt < 0 THEN -head.attempt ELSE 1 END AS size
				  FROM unnest($4::smallint[], $5::bigint[]) AS lane (priority, after),
				       LATERAL (SELECT q.ctid AS at, q.attempt FROM athena.ready AS q
						 WHERE q.family = $1::text AND q.priority = lane.priority AND q.ticket > lane.after
						 ORDER BY q.ticket FOR UPDATE SKIP LOCKED LIMIT $6::integer) AS head
				 LIMIT coalesce((
					SELECT $6::integer FROM athena.families AS f
					 WHERE f.name = $1::text AND f.paused_at IS NULL AND NOT f.is_limited), 0)) AS line) AS turn
		 WHERE turn.before < $3::integer))
	RETURNING r.ticket, r.job_id, r.priority, r.attempt, r.has_key, r.timeout, r.concurrency_key),
seen AS (
	SELECT p.*, f.timeout AS family_timeout, f.chunked AND p.attempt = 0 AND NOT p.has_key AND p.timeout IS NULL
	       AND p.concurrency_key IS NULL AND p.answers IS NULL AS may_share
	  FROM athena.families AS f,
	       (SELECT x.*, CASE WHEN x.attempt >= 0 AND x.ticket <> x.job_id THEN athena.answers(x.job_id) END AS answers
		  FROM picked AS x OFFSET 0) AS p
	 WHERE f.name = $1::text),
made AS (
	SELECT CASE WHEN g.size = 1 THEN g.last_ticket ELSE nextval('athena.tickets') END AS ticket, g.*
	  FROM (SELECT s.priority, athena.block_of(s.job_id) AS block, min(s.job_id) AS job_id, max(s.ticket) AS last_ticket,
		       count(*)::integer AS size, range_agg(int8range(s.job_id, s.job_id + 1)) AS jobs, s.family_timeout
		  FROM seen AS s WHERE s.may_share GROUP BY 1, 2, s.job_id % 1000 / 250, s.family_timeout) AS g),
listed AS (
	INSERT INTO athena.chunks (ticket, block, size, priority, family, jobs)
	SELECT m.ticket, m.block, m.size, m.priority, $1::text, m.jobs FROM made AS m WHERE m.size > 1),
frames AS (
	SELECT s.ticket, s.job_id, s.priority, s.ticket AS last_ticket, coalesce(c.size, 1) AS size, c.jobs, greatest(s.attempt, 0) AS attempt,
	       s.has_key, s.timeout, s.concurrency_key, s.answers, s.family_timeout
	  FROM seen AS s LEFT JOIN athena.chunks AS c ON s.attempt < 0 AND c.ticket = s.ticket WHERE NOT s.may_share
	UNION ALL
	SELECT m.ticket, m.job_id, m.priority, m.last_ticket, m.size, m.jobs, 0, false, NULL, NULL, NULL, m.family_timeout FROM made AS m),
leased AS (
	INSERT INTO athena.leases AS l (ticket, job_id, worker_id, deadline_at, family, priority, attempt, has_key, timeout, concurrency_key)
	SELECT f.ticket, f.job_id, $2::uuid, now() + coalesce(f.timeout, f.size * f.family_timeout) + interval '30 s',
	       $1::text, f.priority, f.attempt + 1, f.has_key, f.timeout, f.concurrency_key
	  FROM frames AS f
	RETURNING l.ticket),
counted AS (
	INSERT INTO athena.tallies (family, state, delta)
	SELECT $1::text, d.state, d.sign * n.jobs
	  FROM (SELECT sum(f.size) AS jobs FROM frames AS f) AS n,
	       (VALUES ('ready'::athena.job_state, -1), ('running', 1)) AS d (state, sign)
	 WHERE n.jobs > 0)
SELECT f.job_id, f.ticket, f.attempt + 1 AS attempt, f.priority, f.last_ticket,
       (extract(epoch FROM f.timeout) * 1000)::bigint AS timeout_ms,
       f.size AS jobs, b.bodies, b.lines, j.kind, j.payload, f.answers,
       CASE WHEN f.size > 1 THEN b.waited_s
	    WHEN f.attempt = 0 AND (f.ticket = f.job_id OR j.run_at > j.created_at) THEN date_part('epoch', now() - j.run_at) END AS waited_s
  FROM frames AS f
  LEFT JOIN athena.jobs AS j ON f.size = 1 AND j.id = f.job_id
  LEFT JOIN LATERAL (
	SELECT count(*) AS bodies, string_agg(concat(m.id, ' ', to_json(m.kind), m.payload), E'\n') AS lines,
	       avg(date_part('epoch', now() - m.run_at)) AS waited_s
	  FROM unnest(f.jobs) AS r (ids), LATERAL (SELECT * FROM athena.jobs AS i WHERE i.id >= lower(r.ids) AND i.id < upper(r.ids)) AS m) AS b ON f.size > 1
 WHERE f.ticket IN (SELECT l.ticket FROM leased AS l)
