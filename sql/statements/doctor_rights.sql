-- Who may do what nobody granted on purpose: PUBLIC; whoever gets at a leaf past its parent's triggers; and whoever
-- could lead a function astray that runs as its owner.
WITH acls (kind, object, is_leaf, owner, acl) AS (
	SELECT 'SCHEMA', 'athena', false, n.nspowner, coalesce(n.nspacl, acldefault('n', n.nspowner))
	  FROM pg_namespace AS n WHERE n.nspname = 'athena'
	UNION ALL
	SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, format('athena.%I', c.relname), c.relispartition, c.relowner,
	       coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))
	  FROM pg_class AS c WHERE c.relnamespace = 'athena'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
	UNION ALL
	SELECT 'TABLE', format('athena.%I', c.relname), c.relispartition, c.relowner, a.attacl
	  FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid WHERE c.relnamespace = 'athena'::regnamespace
	UNION ALL
	SELECT 'FUNCTION', p.oid::regprocedure::text, false, p.proowner,
	       coalesce(p.proacl, acldefault('f', p.proowner))
	  FROM pg_proc AS p WHERE p.pronamespace = 'athena'::regnamespace),
granted AS (
	SELECT a.kind, a.object, a.is_leaf, g.grantee, string_agg(DISTINCT g.privilege_type, ', ' ORDER BY g.privilege_type) AS privileges
	  FROM acls AS a, aclexplode(a.acl) AS g WHERE g.grantee <> a.owner GROUP BY a.kind, a.object, a.is_leaf, g.grantee),
found AS (
	SELECT CASE count(*) WHEN 1 THEN format('anybody (PUBLIC) has %s on %s', min(g.privileges), min(g.object))
		    ELSE format('anybody (PUBLIC) has rights on %s %ss of athena, such as %s', count(*), lower(g.kind), min(g.object)) END AS finding,
	       CASE count(*) WHEN 1 THEN format('REVOKE ALL ON %s %s FROM PUBLIC', g.kind, min(g.object))
		    ELSE format('REVOKE ALL ON ALL %sS IN SCHEMA athena FROM PUBLIC', g.kind) END AS remedy
	  FROM granted AS g WHERE g.grantee = 0 GROUP BY g.kind
	UNION ALL
	SELECT format('role %s has %s on the leaf %s, past the triggers of its parent', g.grantee::regrole, g.privileges, g.object),
	       format('REVOKE ALL ON %s FROM %s', g.object, g.grantee::regrole)
	  FROM granted AS g WHERE g.is_leaf AND g.grantee <> 0
	UNION ALL
	SELECT format('function athena.%s runs as its owner, with names looked up as its caller likes', p.proname),
	       format('ALTER FUNCTION %s SET search_path = pg_catalog, pg_temp', p.oid::regprocedure)
	  FROM pg_proc AS p
	 WHERE p.pronamespace = 'athena'::regnamespace AND p.prosecdef AND p.prosqlbody IS NULL
	   AND NOT 'search_path=pg_catalog, pg_temp' = ANY (coalesce(p.proconfig, '{}')))
SELECT 'wrong' AS verdict, f.finding, f.remedy FROM found AS f
UNION ALL
SELECT 'good', 'PUBLIC has none, leaves none of their own, and functions are closed', NULL WHERE NOT EXISTS (SELECT FROM found)
