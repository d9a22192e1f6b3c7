-- Backup $1, or (null) the newest verified one of client $2.
SELECT b.job_id, b.state, b.client, b.store, b.place, b.stem, b.bytes, b.sha256, b.stored_bytes,
	b.stored_sha256, b.key_id, b.manifest, b.verified_at IS NOT NULL AS is_verified
FROM athena.backups AS b
WHERE CASE WHEN $1::bigint IS NULL
	THEN b.client = $2::text AND b.state = 'completed' AND b.verified_at IS NOT NULL
	ELSE b.job_id = $1::bigint END
ORDER BY b.started_at DESC, b.job_id DESC
LIMIT 1
