-- How many jobs are in state $1, of family $2 unless null, and ended or were queued within $3 (null: ever).
SELECT count(*) AS jobs
  FROM athena.jobs_in($1::athena.job_state, $2, 9223372036854775807, 2147483647) AS w (job_id)
  JOIN athena.jobs AS j ON j.id = w.job_id
  LEFT JOIN athena.outcomes AS o ON o.job_id = w.job_id
 WHERE $3::interval IS NULL OR coalesce(o.finished_at, j.created_at) >= now() - $3::interval
