-- What the source's objects need that is not in the database: owners, roles that have rights or that
-- policies name (those by themselves, too), extensions, tablespaces.
-- The catalogs record no dependency on the role that initdb made, so its objects are looked for.
WITH member AS MATERIALIZED (
	SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
), need AS (
	SELECT d.refobjid AS role, bool_or(d.deptype = 'o') AS owns, bool_or(d.deptype = 'r') AS is_named
	FROM pg_shdepend AS d
	WHERE d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
		AND d.refclassid = 'pg_authid'::regclass AND d.deptype IN ('o', 'a', 'r')
		AND d.classid NOT IN ('pg_publication'::regclass)
		AND (d.deptype <> 'o' OR (d.classid, d.objid) NOT IN (SELECT classid, objid FROM member))
		AND NOT (d.classid = 'pg_extension'::regclass)
	GROUP BY d.refobjid
	UNION ALL
	SELECT 10, true, false
	WHERE EXISTS (SELECT FROM pg_class AS o WHERE o.relowner = 10 AND o.oid >= 16384
			AND o.relkind <> 't' AND ('pg_class'::regclass, o.oid) NOT IN (SELECT * FROM member))
		OR EXISTS (SELECT FROM pg_proc AS o WHERE o.proowner = 10 AND o.oid >= 16384
			AND ('pg_proc'::regclass, o.oid) NOT IN (SELECT * FROM member))
		OR EXISTS (SELECT FROM pg_namespace AS o WHERE o.nspowner = 10 AND o.oid >= 16384
			AND o.nspname !~ '^pg_' AND ('pg_namespace'::regclass, o.oid) NOT IN (SELECT * FROM member))
)
SELECT CASE WHEN n.owns THEN 'owner' ELSE 'role' END AS what, r.rolname::text AS name,
	NULL::text AS version
FROM need AS n JOIN pg_roles AS r ON r.oid = n.role
WHERE r.rolname !~ '^pg_'
UNION ALL
SELECT 'policy', r.rolname::text, NULL
FROM need AS n JOIN pg_roles AS r ON r.oid = n.role
WHERE n.is_named AND r.rolname !~ '^pg_'
UNION ALL
SELECT 'extension', e.extname, e.extversion FROM pg_extension AS e WHERE e.extname <> 'plpgsql'
UNION ALL
SELECT DISTINCT 'tablespace', t.spcname::text, NULL
FROM pg_class AS c JOIN pg_tablespace AS t ON t.oid = c.reltablespace
WHERE t.spcname !~ '^pg_'
ORDER BY 1, 2
