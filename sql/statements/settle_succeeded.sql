-- Ends the leases $2 of worker $1 as succeeded; answers how many, and which were not its leases any more
-- (settle_recall tells what became of those). The hot half of athena.settle. A freed place of a limited family
-- wakes; the sub-select in the answer is what makes that CTE run.
WITH gone AS (
	DELETE FROM athena.leases AS l
	 WHERE l.ticket = ANY ($2::bigint[]) AND l.worker_id = $1::uuid
	RETURNING l.ticket, l.job_id, l.worker_id, l.family, l.attempt, l.claimed_at, l.has_key),
done AS (
	INSERT INTO athena.outcomes (job_id, ticket, worker_id, started_at, family, state, attempt)
	SELECT g.job_id, g.ticket, g.worker_id, g.claimed_at, g.family, 'succeeded', g.attempt FROM gone AS g),
freed AS (
	DELETE FROM athena.uniques AS u USING gone AS g WHERE g.has_key AND u.job_id = g.job_id),
summed AS (
	SELECT g.family, count(*) AS jobs FROM gone AS g GROUP BY g.family),
counted AS (
	INSERT INTO athena.tallies (family, state, delta)
	SELECT n.family, d.state, d.sign * n.jobs
	  FROM summed AS n, (VALUES ('running'::athena.job_state, -1), ('succeeded', 1)) AS d (state, sign)),
woken AS (
	SELECT athena.wake(ARRAY[f.name]) FROM summed AS n JOIN athena.families AS f ON f.name = n.family
	 WHERE coalesce(f.max_running, f.max_running_per_key) IS NOT NULL)
SELECT count(*) AS settled, (SELECT count(*) FROM woken) AS woken,
       CASE WHEN count(*) < cardinality($2::bigint[])
	    THEN ARRAY(SELECT asked.ticket FROM unnest($2::bigint[]) AS asked (ticket) EXCEPT SELECT g.ticket FROM gone AS g)
       END AS missing
  FROM gone
