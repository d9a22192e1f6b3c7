-- A job's events after number $2, in order.
SELECT e.seq, e.at, e.attempt, e.ticket, e.phase, e.level, e.kind, e.message, e.details
  FROM athena.events AS e
 WHERE e.job_id = $1 AND e.seq > $2
 ORDER BY e.seq
 LIMIT $3
