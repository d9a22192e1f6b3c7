-- Backups, newest first, before id $2, $3 of them; of client $1 unless null; expired ones if $4.
SELECT b.job_id, b.client, b.label,
	CASE WHEN b.state = 'running' AND o.state IS NOT NULL THEN 'failed'
		WHEN b.state = 'completed' AND b.verify_error IS NOT NULL THEN 'damaged'
		ELSE b.state END AS status,
	b.pinned, b.started_at, b.completed_at,
	extract(epoch FROM b.completed_at - b.started_at) AS took_s,
	b.bytes, b.stored_bytes,
	b.verified_at, b.drilled_at, b.store, b.place, b.stem || '.dump' AS key,
	b.key_id IS NOT NULL AS encrypted, b.key_id, b.sha256, b.stored_sha256,
	coalesce(b.verify_error, b.drill_error) AS error, b.expired_at, b.expire_reason
FROM athena.backups AS b LEFT JOIN athena.outcomes AS o ON o.job_id = b.job_id
WHERE ($1::text IS NULL OR b.client = $1::text) AND ($2::bigint IS NULL OR b.job_id < $2::bigint)
	AND ($4::boolean OR b.state <> 'expired')
ORDER BY b.job_id DESC
LIMIT $3::bigint
