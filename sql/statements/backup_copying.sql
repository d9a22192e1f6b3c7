-- What the tool $1 copies at this moment; in a transaction, at that of the last backup_look_anew.sql.
SELECT p.relid AS oid, p.bytes_processed AS bytes
FROM pg_stat_progress_copy AS p JOIN pg_stat_activity AS a USING (pid)
WHERE a.application_name = $1::text
