-- Cancels these jobs, or asks their workers to; those that have ended otherwise meanwhile stay as they are.
SELECT athena.cancel(asked.job_id) FROM unnest($1::bigint[]) AS asked (job_id)
