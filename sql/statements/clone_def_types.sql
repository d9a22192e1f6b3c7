-- Definitions of types, without their defaults; of composite ones the owner, they have columns.
SELECT
	CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' WHEN 'r' THEN 'range'
		WHEN 'c' THEN 'row type' ELSE 'type' END AS kind,
	t.oid::regtype::text AS name,
	jsonb_strip_nulls(jsonb_build_object(
		'owner', pg_get_userbyid(t.typowner),
		'defined', t.typisdefined,
		'labels', (SELECT jsonb_agg(e.enumlabel ORDER BY e.enumsortorder)
			FROM pg_enum AS e WHERE e.enumtypid = t.oid),
		'domain', CASE WHEN t.typtype = 'd' THEN jsonb_build_array(
			format_type(t.typbasetype, t.typtypmod), t.typnotnull,
			t.typcollation::regcollation) END,
		'range', CASE WHEN r.rngtypid IS NOT NULL THEN jsonb_build_array(
			r.rngsubtype::regtype, r.rngmultitypid::regtype, r.rngcollation::regcollation,
			(SELECT opcname FROM pg_opclass WHERE oid = r.rngsubopc),
			r.rngcanonical::regprocedure, r.rngsubdiff::regprocedure) END,
		'base', CASE WHEN t.typtype = 'b' THEN jsonb_build_array(
			t.typlen, t.typbyval, t.typcategory, t.typispreferred, t.typdelim, t.typalign,
			t.typstorage, t.typcollation::regcollation,
			t.typinput::regprocedure, t.typoutput::regprocedure, t.typreceive::regprocedure,
			t.typsend::regprocedure, t.typmodin::regprocedure, t.typmodout::regprocedure,
			t.typanalyze::regprocedure, t.typsubscript::regprocedure, t.typelem::regtype) END
	))::text AS definition
FROM pg_type AS t
JOIN pg_namespace AS n ON n.oid = t.typnamespace
LEFT JOIN pg_range AS r ON r.rngtypid = t.oid
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
	AND t.typtype <> 'm'
	AND NOT EXISTS (SELECT FROM pg_type AS e WHERE e.typarray = t.oid)
	AND NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = t.typrelid AND c.relkind <> 'c')
	AND NOT EXISTS (SELECT FROM pg_depend AS m
		WHERE m.classid = 'pg_type'::regclass AND m.objid = t.oid AND m.deptype = 'e')
