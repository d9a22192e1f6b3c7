-- Definitions of schemas, extensions, languages, event triggers, default rights, dependencies.
-- An extension's version is a row of its own: a newer server may offer only a newer one.
SELECT 'schema' AS kind, quote_ident(n.nspname) AS name,
	jsonb_build_object('owner', pg_get_userbyid(n.nspowner))::text AS definition
FROM pg_namespace AS n
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
	AND NOT EXISTS (SELECT FROM pg_depend AS m
		WHERE m.classid = 'pg_namespace'::regclass AND m.objid = n.oid AND m.deptype = 'e')
UNION ALL
SELECT 'extension', e.extname::text, jsonb_build_object('schema', e.extnamespace::regnamespace)::text
FROM pg_extension AS e
WHERE e.extname <> 'plpgsql'
UNION ALL
SELECT 'extension version', e.extname::text, e.extversion
FROM pg_extension AS e
WHERE e.extname <> 'plpgsql'
UNION ALL
SELECT 'language', l.lanname::text,
	jsonb_build_object('owner', pg_get_userbyid(l.lanowner), 'trusted', l.lanpltrusted,
		'handler', l.lanplcallfoid::regprocedure, 'inline', l.laninline::regprocedure,
		'validator', l.lanvalidator::regprocedure)::text
FROM pg_language AS l
WHERE l.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_depend AS m
	WHERE m.classid = 'pg_language'::regclass AND m.objid = l.oid AND m.deptype = 'e')
UNION ALL
SELECT 'event trigger', t.evtname::text,
	jsonb_build_object('owner', pg_get_userbyid(t.evtowner), 'event', t.evtevent,
		'enabled', t.evtenabled, 'function', t.evtfoid::regprocedure,
		'tags', (SELECT jsonb_agg(g ORDER BY g COLLATE "C") FROM unnest(t.evttags) AS g))::text
FROM pg_event_trigger AS t
WHERE NOT EXISTS (SELECT FROM pg_depend AS m
	WHERE m.classid = 'pg_event_trigger'::regclass AND m.objid = t.oid AND m.deptype = 'e')
UNION ALL
SELECT 'default rights',
	format('of %I on %s%s', pg_get_userbyid(a.defaclrole), a.defaclobjtype,
		CASE WHEN a.defaclnamespace <> 0 THEN ' in ' || a.defaclnamespace::regnamespace END),
	(SELECT jsonb_agg(format('%s %s%s', CASE x.grantee WHEN 0 THEN 'public'
				ELSE quote_ident(pg_get_userbyid(x.grantee)) END,
			x.privilege_type, CASE WHEN x.is_grantable THEN ' with grant' END) ORDER BY 1)
		FROM (SELECT DISTINCT grantee, privilege_type, is_grantable FROM aclexplode(a.defaclacl)
			ORDER BY 1, 2) AS x)::text
FROM pg_default_acl AS a
UNION ALL
SELECT 'dependency', format('%s %s on extension %I', o.type, o.identity, e.extname), ''
FROM pg_depend AS d
JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
CROSS JOIN pg_identify_object(d.classid, d.objid, d.objsubid) AS o
WHERE d.deptype = 'x'
