-- Makes all of these jobs ready again, or none: the first refusal ends it.
SELECT athena.retry(asked.job_id) FROM unnest($1::bigint[]) AS asked (job_id)
