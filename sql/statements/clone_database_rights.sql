-- Who may do what with the database $1, one right per row; nothing when nobody has changed it.
SELECT nullif(x.grantee, 0) IS NULL AS is_public, pg_get_userbyid(x.grantee) AS grantee,
	x.privilege_type AS privilege, x.is_grantable
FROM pg_database AS d CROSS JOIN aclexplode(d.datacl) AS x
WHERE d.datname = $1::text
