-- The backup of ticket $2 of job $1 is whole and was read back; no row: it is another attempt's.
UPDATE athena.backups
SET state = 'completed', completed_at = now(), verified_at = now(), verify_error = NULL,
	bytes = $3::bigint, sha256 = $4::text, stored_bytes = $5::bigint, stored_sha256 = $6::text,
	manifest = $7::jsonb
WHERE job_id = $1::bigint AND ticket = $2::bigint AND state IN ('running', 'completed')
RETURNING job_id
