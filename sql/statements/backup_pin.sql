-- Keeps backup $1 whatever retention says ($2), or no longer.
UPDATE athena.backups SET pinned = $2::boolean
WHERE job_id = $1::bigint AND state = 'completed'
RETURNING job_id
