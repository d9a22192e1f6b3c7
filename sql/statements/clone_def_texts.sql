-- What Postgres deparses: queries, conditions, defaults, definitions of indexes and triggers.
-- Such texts may differ though they mean the same; clone_remake.sql finds out by kind and oid.
WITH member AS MATERIALIZED (
	SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
), relation AS (
	SELECT c.oid, c.relkind, format('%I.%I', n.nspname, c.relname) AS name
	FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
	WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
		AND ('pg_class'::regclass, c.oid) NOT IN (SELECT classid, objid FROM member)
)
SELECT CASE c.relkind WHEN 'v' THEN 'query of view' ELSE 'query of materialized view' END AS kind,
	c.name, pg_get_viewdef(c.oid) AS definition, c.oid
FROM relation AS c
WHERE c.relkind IN ('v', 'm')
UNION ALL
SELECT 'default of column', format('%s.%I', c.name, a.attname), pg_get_expr(d.adbin, d.adrelid),
	d.oid
FROM pg_attrdef AS d
JOIN relation AS c ON c.oid = d.adrelid
JOIN pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
UNION ALL
SELECT 'check', format('%I on %s', o.conname, c.name), pg_get_expr(o.conbin, o.conrelid), o.oid
FROM pg_constraint AS o JOIN relation AS c ON c.oid = o.conrelid
WHERE o.contype = 'c'
UNION ALL
SELECT 'definition of index', c.name, pg_get_indexdef(c.oid), c.oid
FROM relation AS c
JOIN pg_index AS x ON x.indexrelid = c.oid
JOIN relation AS t ON t.oid = x.indrelid
WHERE (x.indisvalid OR t.relkind = 'p') AND x.indisready
UNION ALL
SELECT 'definition of trigger', format('%I on %s', t.tgname, c.name), pg_get_triggerdef(t.oid), t.oid
FROM pg_trigger AS t JOIN relation AS c ON c.oid = t.tgrelid
WHERE NOT t.tgisinternal AND t.tgparentid = 0
	AND ('pg_trigger'::regclass, t.oid) NOT IN (SELECT classid, objid FROM member)
UNION ALL
SELECT 'definition of rule', format('%I on %s', r.rulename, c.name), pg_get_ruledef(r.oid), r.oid
FROM pg_rewrite AS r JOIN relation AS c ON c.oid = r.ev_class
WHERE r.rulename <> '_RETURN'
	AND ('pg_rewrite'::regclass, r.oid) NOT IN (SELECT classid, objid FROM member)
UNION ALL
SELECT 'conditions of policy', format('%I on %s', p.polname, c.name),
	concat_ws(' ', 'USING (' || pg_get_expr(p.polqual, p.polrelid) || ')',
		'WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')'), p.oid
FROM pg_policy AS p JOIN relation AS c ON c.oid = p.polrelid
UNION ALL
SELECT 'definition of statistics', format('%I.%I', n.nspname, s.stxname),
	pg_get_statisticsobjdef(s.oid), s.oid
FROM pg_statistic_ext AS s JOIN pg_namespace AS n ON n.oid = s.stxnamespace
JOIN relation AS c ON c.oid = s.stxrelid
UNION ALL
SELECT 'text of function', p.oid::regprocedure::text,
	concat_ws(E'\n', pg_get_function_arguments(p.oid), pg_get_function_sqlbody(p.oid)), p.oid
FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE p.prokind <> 'a' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
	AND ('pg_proc'::regclass, p.oid) NOT IN (SELECT classid, objid FROM member)
UNION ALL
SELECT 'default of type', t.oid::regtype::text, t.typdefault, t.oid
FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace
WHERE t.typdefault IS NOT NULL AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
	AND ('pg_type'::regclass, t.oid) NOT IN (SELECT classid, objid FROM member)
UNION ALL
SELECT 'check of domain', format('%I on %s', o.conname, o.contypid::regtype),
	pg_get_constraintdef(o.oid), o.oid
FROM pg_constraint AS o JOIN pg_namespace AS n ON n.oid = o.connamespace
WHERE o.contype = 'c' AND o.contypid <> 0
	AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
	AND ('pg_type'::regclass, o.contypid) NOT IN (SELECT classid, objid FROM member)
