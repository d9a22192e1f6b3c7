-- What stands under the target's name $1, whether attempts of job $2 of queue $3 made it, and what
-- this role may do. The mark is that of clone_mark(): a setting of the database, or the last line
-- of its comment.
SELECT
	d.oid IS NOT NULL AS "exists",
	EXISTS (
		SELECT FROM (
			SELECT unnest(s.setconfig) AS word
			FROM pg_db_role_setting AS s WHERE s.setdatabase = d.oid AND s.setrole = 0
			UNION ALL
			SELECT regexp_replace(shobj_description(d.oid, 'pg_database'), '^.*\n', '')) AS mark
		WHERE mark.word ~ format('^athena\.clone=queue=%s job=%s ticket=\d+ verified$', $3::text, $2::bigint)
	) AS is_ours,
	r.rolsuper OR r.rolcreatedb AS may_create,
	pg_is_in_recovery() AS is_standby,
	-- Who may not know it gets no row.
	(SELECT s.setting FROM pg_settings AS s WHERE s.name = 'data_directory') AS data_directory,
	current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint
		- (SELECT count(*) FROM pg_stat_activity AS a WHERE a.datid IS NOT NULL) AS free_sessions,
	(SELECT system_identifier FROM pg_control_system()) AS system_identifier
FROM pg_roles AS r
LEFT JOIN pg_database AS d ON d.datname = $1::text
WHERE r.rolname = current_user
