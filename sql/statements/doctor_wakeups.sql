-- Whether producers can wake sleeping workers: the queue of notifications, and roles that were told not to notify.
SELECT CASE WHEN pg_notification_queue_usage() > 0.5 THEN 'wrong' ELSE 'good' END AS verdict,
       format('the queue of notifications is %s %% full', round((100 * pg_notification_queue_usage())::numeric, 1)) AS finding,
       CASE WHEN pg_notification_queue_usage() > 0.5 THEN 'end the session that listens inside an old transaction' END AS remedy
UNION ALL
SELECT 'note', format('inserts of role %s wake nobody (athena.notify is off)', coalesce(s.setrole::regrole::text, 'any')),
       'right for two-phase commit; its jobs wait for the slow poll'
  FROM pg_db_role_setting AS s, unnest(s.setconfig) AS c (line)
 WHERE c.line = 'athena.notify=off' AND (s.setdatabase = 0 OR s.setdatabase = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()))
