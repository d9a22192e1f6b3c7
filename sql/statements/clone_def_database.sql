-- What belongs to the database named $1 and not to its contents. The mark of a clone is no part of it.
SELECT 'database' AS kind, 'encoding and locale' AS name,
	jsonb_strip_nulls(jsonb_build_object('encoding', pg_encoding_to_char(d.encoding),
		'collate', d.datcollate, 'ctype', d.datctype,
		'provider', coalesce(to_jsonb(d) ->> 'datlocprovider', 'c'),
		'locale', coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale'),
		'rules', to_jsonb(d) ->> 'daticurules'))::text AS definition
FROM pg_database AS d WHERE d.datname = $1::text
UNION ALL
SELECT 'owner of database', '', pg_get_userbyid(d.datdba)
FROM pg_database AS d WHERE d.datname = $1::text
UNION ALL
SELECT 'connection limit of database', '', d.datconnlimit::text
FROM pg_database AS d WHERE d.datname = $1::text
UNION ALL
SELECT 'comment on database', '', shobj_description(d.oid, 'pg_database')
FROM pg_database AS d
WHERE d.datname = $1::text AND shobj_description(d.oid, 'pg_database') IS NOT NULL
UNION ALL
SELECT 'right on database',
	format('%s %s%s', CASE x.grantee WHEN 0 THEN 'public' ELSE quote_ident(pg_get_userbyid(x.grantee)) END,
		x.privilege_type, CASE WHEN x.is_grantable THEN ' with grant' END), ''
FROM pg_database AS d
CROSS JOIN aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) AS x
WHERE d.datname = $1::text
UNION ALL
SELECT 'setting of database',
	concat_ws(' for ', split_part(c.setting, '=', 1),
		CASE WHEN s.setrole <> 0 THEN quote_ident(pg_get_userbyid(s.setrole)) END),
	substr(c.setting, strpos(c.setting, '=') + 1)
FROM pg_database AS d
JOIN pg_db_role_setting AS s ON s.setdatabase = d.oid
CROSS JOIN unnest(s.setconfig) AS c (setting)
WHERE d.datname = $1::text AND c.setting NOT LIKE 'athena.clone=%'
UNION ALL
SELECT 'security label of ' || l.provider, 'database', l.label
FROM pg_database AS d
JOIN pg_shseclabel AS l ON l.classoid = 'pg_database'::regclass AND l.objoid = d.oid
WHERE d.datname = $1::text
