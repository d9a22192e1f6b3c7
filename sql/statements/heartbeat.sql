-- Says that this worker lives; answers its leases older than 10 s, tickets to cancel, paused families.
SELECT h.what, h.family, h.job_id, h.ticket FROM athena.heartbeat($1::uuid) AS h
