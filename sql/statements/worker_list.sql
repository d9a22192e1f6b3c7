-- The processes that are registered.
SELECT w.id, w.kind, w.host, w.pid, w.version, array_to_json(w.families) AS families,
       array_to_string(w.families, ', ') AS family_names,
       w.state, w.running, w.asleep, w.started_at, w.heartbeat_at
  FROM athena.worker_status AS w
 ORDER BY w.host, w.started_at, w.id
