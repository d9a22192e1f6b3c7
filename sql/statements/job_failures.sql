-- A job's failed attempts, in order, with the worker where it is still known.
SELECT f.at, f.attempt, f.ticket, f.kind, f.code, f.error, f.details, f.retry_at,
       w.host || ':' || w.pid AS worker
  FROM athena.failures AS f
  LEFT JOIN athena.workers AS w ON w.id = f.worker_id
 WHERE f.job_id = $1
 ORDER BY f.at, f.ticket
