-- Definitions of constraints but for what they check; $1: both servers are of one major version.
-- Not those that a partition got from its parent without a say in their name (foreign keys), nor
-- those that only newer majors list (not null, which the column tells as well).
SELECT 'constraint' AS kind,
	format('%I on %s', o.conname,
		CASE WHEN o.conrelid <> 0 THEN o.conrelid::regclass::text
		ELSE o.contypid::regtype::text END) AS name,
	jsonb_strip_nulls(jsonb_build_object(
		'is', CASE WHEN o.contype NOT IN ('c', 'x') THEN pg_get_constraintdef(o.oid) END,
		'type', o.contype,
		'valid', o.convalidated,
		'not inherited', CASE WHEN o.contype = 'c' THEN o.connoinherit END,
		'deferrable', o.condeferrable,
		'deferred', o.condeferred,
		'enforced', nullif((to_jsonb(o) ->> 'conenforced')::boolean, true),
		'excludes', (SELECT jsonb_agg(x::regoperator) FROM unnest(o.conexclop) AS x)
	))::text AS definition
FROM pg_constraint AS o
JOIN pg_namespace AS n ON n.oid = o.connamespace
WHERE o.contype <> 't' AND (o.contype <> 'n' OR $1::boolean)
	AND (o.contype <> 'f' OR o.conparentid = 0)
	AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
	AND NOT EXISTS (SELECT FROM pg_depend AS m
		WHERE m.deptype = 'e' AND (m.classid, m.objid) IN (
			('pg_class'::regclass, o.conrelid), ('pg_type'::regclass, o.contypid)))
