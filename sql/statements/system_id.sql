-- Which system and timeline this connection reached: a change is a failover. And which queue: the
-- same one on every timeline, and no other.
SELECT c.system_identifier::text || '/' || CASE WHEN pg_is_in_recovery() THEN 'standby'
       ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END AS id,
       c.system_identifier::text || '.' || d.oid AS queue
  FROM pg_control_system() AS c, pg_database AS d
 WHERE d.datname = current_database()
