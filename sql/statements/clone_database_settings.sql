-- Settings of the database $1, those for single roles in it included.
SELECT CASE WHEN s.setrole <> 0 THEN pg_get_userbyid(s.setrole) END AS role,
	split_part(c.setting, '=', 1) AS name,
	substr(c.setting, strpos(c.setting, '=') + 1) AS value
FROM pg_database AS d
JOIN pg_db_role_setting AS s ON s.setdatabase = d.oid
CROSS JOIN unnest(s.setconfig) AS c (setting)
WHERE d.datname = $1::text AND c.setting NOT LIKE 'athena.clone=%'
ORDER BY s.setrole, 2
