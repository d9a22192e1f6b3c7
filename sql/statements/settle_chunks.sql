-- Ends the leases $2 of worker $1, each of many jobs that have all succeeded, with one outcome each; answers how many
-- leases that were, and which were not its leases any more (settle_recall tells what became of those).
WITH gone AS (
	DELETE FROM athena.leases AS l
	 WHERE l.ticket = ANY ($2::bigint[]) AND l.worker_id = $1::uuid
	RETURNING l.ticket, l.job_id, l.worker_id, l.family, l.attempt, l.claimed_at),
done AS (
	INSERT INTO athena.outcomes (job_id, ticket, worker_id, started_at, family, state, attempt)
	SELECT g.job_id, g.ticket, g.worker_id, g.claimed_at, g.family, 'succeeded', g.attempt FROM gone AS g),
counted AS (
	INSERT INTO athena.tallies (family, state, delta)
	SELECT n.family, d.state, d.sign * n.jobs
	  FROM (SELECT g.family, sum(coalesce(c.size, 1)) AS jobs FROM gone AS g LEFT JOIN athena.chunks AS c ON c.ticket = g.ticket GROUP BY g.family) AS n,
	       (VALUES ('running'::athena.job_state, -1), ('succeeded', 1)) AS d (state, sign))
SELECT count(*) AS settled,
       CASE WHEN count(*) < cardinality($2::bigint[])
	    THEN ARRAY(SELECT asked.ticket FROM unnest($2::bigint[]) AS asked (ticket) EXCEPT SELECT g.ticket FROM gone AS g)
       END AS missing
  FROM gone
