-- What this role may not read of the source, each with a machine word for why.
SELECT x.code, x.name
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
	SELECT 'no_usage' AS code, quote_ident(n.nspname) AS name
	WHERE NOT has_schema_privilege(n.oid, 'USAGE')
	UNION ALL
	SELECT 'no_select', format('%I.%I', n.nspname, c.relname)
	WHERE CASE WHEN c.relkind = 'S' THEN NOT has_sequence_privilege(c.oid, 'SELECT')
		ELSE NOT has_table_privilege(c.oid, 'SELECT') END
	UNION ALL
	SELECT 'row_security', format('%I.%I', n.nspname, c.relname)
	WHERE c.relkind IN ('r', 'p') AND row_security_active(c.oid)) AS x
WHERE c.relkind IN ('r', 'p', 'm', 'S')
	AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
	AND (NOT EXISTS (SELECT FROM pg_depend AS m
			WHERE m.classid = 'pg_class'::regclass AND m.objid = c.oid AND m.deptype = 'e')
		OR EXISTS (SELECT FROM pg_extension AS e WHERE c.oid = ANY (e.extconfig)))
GROUP BY x.code, x.name
ORDER BY x.code, x.name
