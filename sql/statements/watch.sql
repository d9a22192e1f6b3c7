-- Who is registered and when each last said that it lives; reads only, so that watching never waits for anybody.
SELECT w.id, w.kind, w.heartbeat_at, w.boot_id, w.pid, w.pid_started,
       (SELECT (extract(epoch FROM min(f.lease)) * 1000)::bigint FROM athena.families AS f) AS shortest_lease_ms
  FROM athena.workers AS w
