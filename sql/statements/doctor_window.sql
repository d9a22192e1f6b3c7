-- Jobs that break the law between two ids, each with why.
SELECT c.job_id, c.problem, c.detail FROM athena.conservation($1::bigint, $2::bigint) AS c ORDER BY c.job_id LIMIT 20
