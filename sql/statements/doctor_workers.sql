-- Registered processes that are silent, leases of processes that are not registered, and how many are well.
WITH silent AS (
	SELECT w.host, w.pid, w.kind, w.running, now() - w.heartbeat_at AS silent_for FROM athena.worker_status AS w WHERE w.state = 'silent'),
stray AS (
	SELECT count(*) AS jobs FROM athena.leases AS l WHERE NOT EXISTS (SELECT FROM athena.workers AS w WHERE w.id = l.worker_id))
SELECT 'wrong' AS verdict,
       format('%s on %s, process %s, has been silent for %s (jobs in hand: %s)', s.kind, s.host, s.pid, date_trunc('second', s.silent_for), s.running) AS finding,
       format('look at process %s on %s; its jobs go to others once their lease has run out', s.pid, s.host) AS remedy
  FROM silent AS s
UNION ALL
SELECT 'wrong', format('jobs leased by processes that nobody knows: %s', s.jobs), 'see that maintenance runs: lane rescue takes them'
  FROM stray AS s WHERE s.jobs > 0
UNION ALL
SELECT 'good', format('processes registered and alive: %s', count(*)), NULL
  FROM athena.worker_status AS w WHERE w.state <> 'silent'
 HAVING count(*) > 0
UNION ALL
SELECT 'note', 'no process is registered', 'athena-worker --family=NAME, or athena-daemon'
 WHERE NOT EXISTS (SELECT FROM athena.workers)
