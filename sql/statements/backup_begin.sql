-- Notes where ticket $2 of job $1 is about to write; no row when it is not leased any more.
INSERT INTO athena.backups AS b (job_id, ticket, attempt, client, label, store, place, stem, key_id)
SELECT l.job_id, l.ticket, l.attempt, $3::text, $4::text, $5::text, $6::text, $7::text, $8::text
FROM athena.leases AS l
WHERE l.job_id = $1::bigint AND l.ticket = $2::bigint
FOR KEY SHARE
ON CONFLICT (job_id) DO UPDATE SET
	ticket = excluded.ticket, attempt = excluded.attempt, started_at = excluded.started_at,
	client = excluded.client, label = excluded.label, store = excluded.store,
	place = excluded.place, stem = excluded.stem, key_id = excluded.key_id
WHERE b.state = 'running' AND b.ticket <= excluded.ticket
RETURNING b.job_id, b.started_at
