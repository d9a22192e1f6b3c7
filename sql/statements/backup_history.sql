-- All backups of client $1 that retention has to judge, newest first.
SELECT b.job_id, b.stem, b.state, b.pinned, b.verified_at IS NOT NULL AS is_verified, b.stored_bytes,
	o.job_id IS NOT NULL AS is_over, extract(epoch FROM b.started_at)::bigint AS at_s, extract(epoch FROM now())::bigint AS now_s
FROM athena.backups AS b LEFT JOIN athena.outcomes AS o ON o.job_id = b.job_id
WHERE b.client = $1::text AND b.store = $2::text AND b.place = $3::text AND b.state <> 'expired'
ORDER BY b.started_at DESC, b.job_id DESC
