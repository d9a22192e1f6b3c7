-- What earlier attempts of job $1 have noted; is_ours: not those of a job that had this id before.
SELECT b.ticket, b.state, b.store, b.place, b.stem, b.started_at >= j.created_at AS is_ours
FROM athena.backups AS b JOIN athena.jobs AS j ON j.id = b.job_id
WHERE b.job_id = $1::bigint
