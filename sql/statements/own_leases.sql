-- All leases of a worker: what a lost COMMIT answer may have left with it.
SELECT l.family, l.job_id, l.ticket FROM athena.leases AS l WHERE l.worker_id = $1::uuid
