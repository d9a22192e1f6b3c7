-- Where and when the snapshot of this transaction is.
SELECT current_setting('server_version') AS server_version,
	CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END AS lsn,
	transaction_timestamp() AS at
