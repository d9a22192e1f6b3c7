-- Backup $1 has been restored for a trial, which went well or ($2 says how) did not.
UPDATE athena.backups
SET drilled_at = CASE WHEN $2::text IS NULL THEN now() ELSE drilled_at END, drill_error = $2::text
WHERE job_id = $1::bigint AND state = 'completed'
RETURNING job_id
