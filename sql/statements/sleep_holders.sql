-- The transactions that may hold tickets not yet committed: those with a row lock mode on athena.ready.
SELECT DISTINCT l.virtualtransaction AS holder FROM pg_locks AS l
 WHERE l.locktype = 'relation' AND l.mode = 'RowExclusiveLock'
   AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
   AND l.relation = 'athena.ready'::regclass
   AND l.pid IS DISTINCT FROM pg_backend_pid()
