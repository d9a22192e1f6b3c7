-- All objects of backup $1 are gone.
UPDATE athena.backups SET state = 'expired', expired_at = now()
WHERE job_id = $1::bigint AND state = 'expiring'
RETURNING job_id
