-- Backup $1 has been read as a whole, and was right or ($2 says what) wrong.
UPDATE athena.backups
SET verified_at = CASE WHEN $2::text IS NULL THEN now() END, verify_error = $2::text
WHERE job_id = $1::bigint AND state = 'completed'
RETURNING job_id
