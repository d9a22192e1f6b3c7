-- Rights on every object but large ones; $1: both servers are of one major version.
-- For objects of the database all that is granted, by whom; for those of Postgres itself and of
-- extensions only what somebody has changed since they were made, as pg_dump does it. MAINTAIN came
-- with 17 and is left out where one side does not know it.
WITH member AS MATERIALIZED (
	SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
), object AS (
	SELECT 'pg_class'::regclass AS classid, c.oid AS objid, 0 AS objsubid, c.relnamespace AS nspid,
		c.relowner AS owner, c.relacl AS acl, acldefault(
			CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner) AS implied
	FROM pg_class AS c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
	UNION ALL
	SELECT 'pg_class'::regclass, a.attrelid, a.attnum, c.relnamespace, c.relowner, a.attacl,
		acldefault('c', c.relowner)
	FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
	WHERE a.attacl IS NOT NULL AND NOT a.attisdropped
	UNION ALL
	SELECT 'pg_proc'::regclass, p.oid, 0, p.pronamespace, p.proowner, p.proacl,
		acldefault('f', p.proowner)
	FROM pg_proc AS p
	UNION ALL
	SELECT 'pg_type'::regclass, t.oid, 0, t.typnamespace, t.typowner, t.typacl,
		acldefault('T', t.typowner)
	FROM pg_type AS t WHERE t.typacl IS NOT NULL
	UNION ALL
	SELECT 'pg_namespace'::regclass, n.oid, 0, n.oid, n.nspowner, n.nspacl,
		acldefault('n', n.nspowner)
	FROM pg_namespace AS n WHERE n.nspname !~ '^pg_(toast|temp)'
	UNION ALL
	SELECT 'pg_language'::regclass, l.oid, 0, 0, l.lanowner, l.lanacl, acldefault('l', l.lanowner)
	FROM pg_language AS l WHERE l.lanpltrusted
	UNION ALL
	SELECT 'pg_foreign_data_wrapper'::regclass, w.oid, 0, 0, w.fdwowner, w.fdwacl,
		acldefault('F', w.fdwowner)
	FROM pg_foreign_data_wrapper AS w
	UNION ALL
	SELECT 'pg_foreign_server'::regclass, s.oid, 0, 0, s.srvowner, s.srvacl,
		acldefault('S', s.srvowner)
	FROM pg_foreign_server AS s
), judged AS (
	SELECT o.*, i.initprivs,
		(o.objid < 16384 AND n.nspname IS DISTINCT FROM 'public')
			OR coalesce(n.nspname ~ '^pg_', false)
			OR (o.classid, o.objid) IN (SELECT classid, objid FROM member) AS is_given
	FROM object AS o
	LEFT JOIN pg_namespace AS n ON n.oid = o.nspid
	LEFT JOIN pg_init_privs AS i
		ON i.classoid = o.classid AND i.objoid = o.objid AND i.objsubid = o.objsubid
	WHERE n.nspname IS DISTINCT FROM 'information_schema'
)
SELECT 'rights' AS kind, i.type || ' ' || i.identity AS name, r.rights::text AS definition
FROM judged AS o
CROSS JOIN LATERAL (
	SELECT jsonb_agg(DISTINCT format('%s %s%s by %s',
			CASE x.grantee WHEN 0 THEN 'public' ELSE quote_ident(pg_get_userbyid(x.grantee)) END,
			x.privilege_type, CASE WHEN x.is_grantable THEN ' with grant' END,
			quote_ident(pg_get_userbyid(x.grantor)))) AS rights
	FROM aclexplode(coalesce(o.acl, o.implied)) AS x
	WHERE $1::boolean OR x.privilege_type <> 'MAINTAIN') AS r
CROSS JOIN pg_identify_object(o.classid, o.objid, o.objsubid) AS i
WHERE NOT o.is_given
UNION ALL
SELECT 'changed rights', i.type || ' ' || i.identity, r.rights::text
FROM judged AS o
CROSS JOIN LATERAL (
	SELECT jsonb_agg(DISTINCT format('%s%s %s%s', x.sign,
			CASE x.grantee WHEN 0 THEN 'public' ELSE quote_ident(pg_get_userbyid(x.grantee)) END,
			x.privilege_type, CASE WHEN x.is_grantable THEN ' with grant' END)) AS rights
	FROM (
		SELECT '+' AS sign, g.* FROM (
			SELECT grantee, privilege_type, is_grantable FROM aclexplode(coalesce(o.acl, o.implied))
			EXCEPT
			SELECT grantee, privilege_type, is_grantable
			FROM aclexplode(coalesce(o.initprivs, o.implied))) AS g
		UNION ALL
		SELECT '-', g.* FROM (
			SELECT grantee, privilege_type, is_grantable
			FROM aclexplode(coalesce(o.initprivs, o.implied))
			EXCEPT
			SELECT grantee, privilege_type, is_grantable FROM aclexplode(coalesce(o.acl, o.implied))
			) AS g) AS x
	WHERE x.grantee <> o.owner AND ($1::boolean OR x.privilege_type <> 'MAINTAIN')) AS r
CROSS JOIN pg_identify_object(o.classid, o.objid, o.objsubid) AS i
WHERE o.is_given AND o.acl IS DISTINCT FROM o.initprivs AND r.rights IS NOT NULL
