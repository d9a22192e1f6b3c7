-- Nobody counts on backup $1 from here on, for reason $2; no row: it was pinned meanwhile.
UPDATE athena.backups
SET state = 'expiring', expire_reason = coalesce(expire_reason, $2::text)
WHERE job_id = $1::bigint AND (state = 'expiring' OR (state = 'completed' AND NOT pinned))
RETURNING job_id
