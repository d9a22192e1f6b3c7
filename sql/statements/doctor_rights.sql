-- Who may do what nobody granted on purpose: PUBLIC; whoever gets at a leaf past its parent's triggers; and whoever
-- could lead a function astray that runs as its owner. And what workers do not get at, though they have to.
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
needed (kind, name, privileges) AS (
	VALUES ('SEQUENCE', 'event_numbers', 'USAGE'), ('SEQUENCE', 'tickets', 'SELECT, USAGE'),
	       ('TABLE', 'backups', 'INSERT, SELECT, UPDATE'), ('TABLE', 'cancel_requests', 'DELETE, INSERT, SELECT'),
	       ('TABLE', 'chunks', 'DELETE, INSERT, SELECT, UPDATE'), ('TABLE', 'events', 'INSERT, SELECT'),
	       ('TABLE', 'failures', 'INSERT, SELECT'), ('TABLE', 'families', 'DELETE, INSERT, SELECT, UPDATE'),
	       ('TABLE', 'fires', 'SELECT'), ('TABLE', 'jobs', 'SELECT'), ('TABLE', 'lanes', 'SELECT'),
	       ('TABLE', 'leases', 'DELETE, INSERT, SELECT, UPDATE'), ('TABLE', 'limits', 'INSERT, SELECT, UPDATE'),
	       ('TABLE', 'meta', 'SELECT'), ('TABLE', 'migrations', 'SELECT'),
	       ('TABLE', 'outcomes', 'DELETE, INSERT, SELECT'),
	       ('TABLE', 'progress', 'DELETE, INSERT, SELECT, UPDATE'),
	       ('TABLE', 'ready', 'DELETE, INSERT, SELECT, UPDATE'),
	       ('TABLE', 'scheduled', 'DELETE, INSERT, SELECT, UPDATE'), ('TABLE', 'schedules', 'DELETE, SELECT'),
	       ('TABLE', 'settings', 'SELECT'), ('TABLE', 'sleepers', 'DELETE, INSERT, SELECT'),
	       ('TABLE', 'tallies', 'INSERT, SELECT'), ('TABLE', 'totals', 'SELECT'),
	       ('TABLE', 'uniques', 'DELETE, INSERT, SELECT'), ('TABLE', 'waiting', 'DELETE, INSERT, SELECT'),
	       ('TABLE', 'waits', 'DELETE, INSERT, SELECT, UPDATE'),
	       ('TABLE', 'workers', 'DELETE, INSERT, SELECT, UPDATE')),
lacking AS (
	SELECT n.kind, n.name, string_agg(p.privilege, ', ' ORDER BY p.privilege) AS privileges
	  FROM needed AS n JOIN pg_class AS c ON c.relname = n.name AND c.relnamespace = 'athena'::regnamespace
	  JOIN pg_roles AS r ON r.rolname = 'athena_worker',
	       unnest(string_to_array(n.privileges, ', ')) AS p(privilege)
	 WHERE CASE n.kind WHEN 'SEQUENCE' THEN NOT has_sequence_privilege(r.oid, c.oid, p.privilege)
		    ELSE NOT has_table_privilege(r.oid, c.oid, p.privilege) END
	 GROUP BY n.kind, n.name),
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
	SELECT format('role athena_worker lacks %s on athena.%s: workers cannot work', l.privileges, l.name),
	       format('GRANT %s ON %s athena.%I TO athena_worker', l.privileges, l.kind, l.name)
	  FROM lacking AS l
	UNION ALL
	SELECT format('function athena.%s runs as its owner, with names looked up as its caller likes', p.proname),
	       format('ALTER FUNCTION %s SET search_path = pg_catalog, pg_temp', p.oid::regprocedure)
	  FROM pg_proc AS p
	 WHERE p.pronamespace = 'athena'::regnamespace AND p.prosecdef AND p.prosqlbody IS NULL
	   AND NOT 'search_path=pg_catalog, pg_temp' = ANY (coalesce(p.proconfig, '{}')))
SELECT 'wrong' AS verdict, f.finding, f.remedy FROM found AS f
UNION ALL
SELECT 'good', 'PUBLIC has none, leaves none of their own, workers theirs, and functions are closed', NULL WHERE NOT EXISTS (SELECT FROM found)
