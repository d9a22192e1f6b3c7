-- Up to $4 jobs in state $1, of family $2 unless null, before id $3, newest first; kept says whether the job ended, or
-- was queued where it has not ended, within $5 (null: ever).
SELECT w.job_id, $5::interval IS NULL OR coalesce(o.finished_at, j.created_at) >= now() - $5::interval AS kept
  FROM athena.jobs_in($1::athena.job_state, $2, $3, $4) AS w (job_id)
  JOIN athena.jobs AS j ON j.id = w.job_id
  LEFT JOIN athena.outcomes AS o ON o.job_id = w.job_id
 ORDER BY w.job_id DESC
