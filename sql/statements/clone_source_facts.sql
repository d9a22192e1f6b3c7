-- What has to be known of the source before a database like it can be made.
SELECT
	pg_encoding_to_char(d.encoding) AS encoding,
	d.datcollate AS "collate",
	d.datctype AS ctype,
	coalesce(to_jsonb(d) ->> 'datlocprovider', 'c') AS provider,
	coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') AS locale,
	to_jsonb(d) ->> 'daticurules' AS rules,
	to_regnamespace('public') IS NULL AS lacks_public,
	(SELECT system_identifier FROM pg_control_system()) AS system_identifier,
	(SELECT coalesce(sum(pg_table_size(c.oid)), 0)::bigint + pg_table_size('pg_largeobject')
		FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^pg_'
			AND n.nspname <> 'information_schema') AS bytes,
	(SELECT count(*) FROM pg_publication) AS publications,
	(SELECT count(*) FROM pg_largeobject_metadata) AS large_objects,
	(SELECT count(*) FROM pg_foreign_table) AS foreign_tables,
	(SELECT count(*) FROM pg_user_mappings) AS user_mappings,
	(SELECT count(*) FROM pg_class AS c WHERE c.relkind = 'r' AND c.relpersistence = 'u'
		AND pg_is_in_recovery()) AS unreadable_tables,
	(SELECT count(*) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_'
			AND n.nspname <> 'information_schema') AS tables,
	pg_database_size(d.oid) AS database_bytes,
	pg_is_in_recovery() AND current_setting('max_standby_streaming_delay') <> '-1'
		AND current_setting('hot_standby_feedback') = 'off' AS may_be_interrupted,
	(SELECT extract(epoch FROM now() - min(a.xact_start))::bigint FROM pg_stat_activity AS a
		WHERE a.pid <> pg_backend_pid() AND a.datid = d.oid) AS oldest_transaction_s,
	current_setting('max_locks_per_transaction')::bigint * (current_setting('max_connections')::bigint
		+ current_setting('max_prepared_transactions')::bigint) AS lock_room,
	-- This session is one of those that are counted.
	current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint
		- (SELECT count(*) FROM pg_stat_activity AS a WHERE a.datid IS NOT NULL) AS free_sessions
FROM pg_database AS d
WHERE d.datname = current_database()
