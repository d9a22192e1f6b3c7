-- How to make the thing of kind $1 with oid $2 anew from its text, and how to read its text then.
-- Run in a transaction that is rolled back: first `before`, if there is one, then `remake`. What can
-- be made beside the thing has the name athena_again, the others are replaced.
WITH view AS (
	SELECT 'SELECT pg_get_viewdef(''pg_temp.athena_again''::regclass) AS definition' AS again
)
SELECT NULL::text AS before,
	format('CREATE TEMP VIEW athena_again AS %s', pg_get_viewdef($2::oid)) AS remake, view.again
FROM view
WHERE $1::text IN ('query of view', 'query of materialized view')
UNION ALL
SELECT NULL, format('CREATE TEMP VIEW athena_again AS SELECT (%s) AS value FROM ONLY %s',
	pg_get_expr(d.adbin, d.adrelid), d.adrelid::regclass), view.again
FROM pg_attrdef AS d, view
WHERE $1::text = 'default of column' AND d.oid = $2::oid
UNION ALL
SELECT NULL, format('CREATE TEMP VIEW athena_again AS SELECT (%s) AS value FROM ONLY %s',
	pg_get_expr(o.conbin, o.conrelid), o.conrelid::regclass), view.again
FROM pg_constraint AS o, view
WHERE $1::text = 'check' AND o.oid = $2::oid
UNION ALL
SELECT NULL, format('CREATE TEMP VIEW athena_again AS SELECT (%s) AS value', t.typdefault), view.again
FROM pg_type AS t, view
WHERE $1::text = 'default of type' AND t.oid = $2::oid
UNION ALL
SELECT NULL, format('ALTER DOMAIN %s ADD CONSTRAINT athena_again %s NOT VALID', o.contypid::regtype,
		regexp_replace(pg_get_constraintdef(o.oid), ' NOT VALID$', '')),
	format('SELECT pg_get_constraintdef(oid) AS definition FROM pg_constraint'
		' WHERE conname = ''athena_again'' AND contypid = %s', o.contypid)
FROM pg_constraint AS o
WHERE $1::text = 'check of domain' AND o.oid = $2::oid
UNION ALL
SELECT format('CREATE TEMP TABLE athena_again (LIKE %s)', x.indrelid::regclass),
	-- After the table's name: its own name may be anything, this word included.
	format('CREATE %s INDEX athena_again_index ON athena_again%s',
		CASE WHEN x.indisunique THEN 'UNIQUE' END,
		substr(pg_get_indexdef(c.oid), 1 + length(concat('CREATE ',
			CASE WHEN x.indisunique THEN 'UNIQUE ' END, 'INDEX ', quote_ident(c.relname), ' ON ',
			CASE WHEN c.relkind = 'I' THEN 'ONLY ' END, x.indrelid::regclass)))),
	'SELECT pg_get_indexdef(''pg_temp.athena_again_index''::regclass) AS definition'
FROM pg_index AS x JOIN pg_class AS c ON c.oid = x.indexrelid
WHERE $1::text = 'definition of index' AND c.oid = $2::oid
UNION ALL
SELECT NULL, concat(made.kind, 'athena_again', substr(pg_get_triggerdef(t.oid),
		1 + length(concat(made.kind, quote_ident(t.tgname))))),
	format('SELECT pg_get_triggerdef(oid) AS definition FROM pg_trigger'
		' WHERE tgname = ''athena_again'' AND tgrelid = %s', t.tgrelid)
FROM pg_trigger AS t
CROSS JOIN LATERAL (SELECT CASE WHEN t.tgconstraint <> 0 THEN 'CREATE CONSTRAINT TRIGGER '
	ELSE 'CREATE TRIGGER ' END AS kind) AS made
WHERE $1::text = 'definition of trigger' AND t.oid = $2::oid
UNION ALL
SELECT NULL, regexp_replace(pg_get_ruledef($2::oid), '^CREATE RULE', 'CREATE OR REPLACE RULE'),
	format('SELECT pg_get_ruledef(%s) AS definition', $2::oid)
WHERE $1::text = 'definition of rule'
UNION ALL
SELECT NULL, format('ALTER POLICY %I ON %s %s', p.polname, p.polrelid::regclass,
		concat_ws(' ', 'USING (' || pg_get_expr(p.polqual, p.polrelid) || ')',
			'WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')')),
	format('SELECT concat_ws('' '', ''USING ('' || pg_get_expr(polqual, polrelid) || '')'', '
		'''WITH CHECK ('' || pg_get_expr(polwithcheck, polrelid) || '')'') AS definition '
		'FROM pg_policy WHERE oid = %s', p.oid)
FROM pg_policy AS p
WHERE $1::text = 'conditions of policy' AND p.oid = $2::oid
UNION ALL
SELECT NULL, format('CREATE STATISTICS %I.athena_again%s', n.nspname,
		substr(pg_get_statisticsobjdef(s.oid),
			1 + length(format('CREATE STATISTICS %I.%I', n.nspname, s.stxname)))),
	format('SELECT pg_get_statisticsobjdef(oid) AS definition FROM pg_statistic_ext'
		' WHERE stxname = ''athena_again'' AND stxnamespace = %s', n.oid)
FROM pg_statistic_ext AS s JOIN pg_namespace AS n ON n.oid = s.stxnamespace
WHERE $1::text = 'definition of statistics' AND s.oid = $2::oid
UNION ALL
SELECT NULL, pg_get_functiondef($2::oid),
	format('SELECT concat_ws(E''\n'', pg_get_function_arguments(%1$s), pg_get_function_sqlbody(%1$s))'
		' AS definition', $2::oid)
WHERE $1::text = 'text of function'
