-- What is attached to relations by name: triggers, rules, policies, statistics, without their texts.
-- A partition's copy of its parent's trigger counts where it is enabled in another way.
SELECT 'trigger' AS kind,
	format('%I on %s', t.tgname, t.tgrelid::regclass) AS name,
	jsonb_build_object('enabled', t.tgenabled)::text AS definition
FROM pg_trigger AS t
WHERE NOT t.tgisinternal AND t.tgparentid = 0
	AND NOT EXISTS (SELECT FROM pg_depend AS m
		WHERE m.classid = 'pg_trigger'::regclass AND m.objid = t.oid AND m.deptype = 'e')
	AND NOT EXISTS (SELECT FROM pg_depend AS m
		WHERE m.classid = 'pg_class'::regclass AND m.objid = t.tgrelid AND m.deptype = 'e')
UNION ALL
SELECT 'trigger', format('%I on %s', t.tgname, t.tgrelid::regclass),
	jsonb_build_object('enabled', t.tgenabled)::text
FROM pg_trigger AS t
JOIN pg_trigger AS p ON p.oid = t.tgparentid
WHERE t.tgenabled <> p.tgenabled AND t.tgname !~ '^RI_ConstraintTrigger'
UNION ALL
SELECT 'rule', format('%I on %s', r.rulename, r.ev_class::regclass),
	jsonb_build_object('enabled', r.ev_enabled)::text
FROM pg_rewrite AS r
WHERE r.oid >= 16384 AND r.rulename <> '_RETURN'
	AND NOT EXISTS (SELECT FROM pg_depend AS m
		WHERE m.deptype = 'e' AND (m.classid, m.objid) IN (
			('pg_rewrite'::regclass, r.oid), ('pg_class'::regclass, r.ev_class)))
UNION ALL
SELECT 'policy', format('%I on %s', p.polname, p.polrelid::regclass),
	jsonb_strip_nulls(jsonb_build_object(
		'command', p.polcmd,
		'permissive', p.polpermissive,
		'roles', (SELECT jsonb_agg(CASE r WHEN 0 THEN 'public' ELSE quote_ident(pg_get_userbyid(r)) END
			ORDER BY pg_get_userbyid(r) COLLATE "C") FROM unnest(p.polroles) AS r)))::text
FROM pg_policy AS p
UNION ALL
SELECT 'statistics', format('%I.%I', n.nspname, s.stxname),
	jsonb_strip_nulls(jsonb_build_object(
		'owner', pg_get_userbyid(s.stxowner),
		'target', nullif((to_jsonb(s) ->> 'stxstattarget')::integer, -1)))::text
FROM pg_statistic_ext AS s
JOIN pg_namespace AS n ON n.oid = s.stxnamespace
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
