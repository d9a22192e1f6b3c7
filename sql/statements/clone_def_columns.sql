-- Definitions of columns of tables, views and composite types, without their defaults.
-- The place among its neighbours counts, except where CREATE TABLE ... INHERITS decides about it.
-- pg_attver among the options is bookkeeping of the server's own (from 15.20 on): pg_dump leaves it
-- out, and it differs from database to database.
SELECT 'column' AS kind,
	format('%I.%I.%I', n.nspname, c.relname, a.attname) AS name,
	jsonb_strip_nulls(jsonb_build_object(
		'type', format_type(a.atttypid, a.atttypmod),
		'place', CASE WHEN c.relispartition
			OR NOT EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhrelid = c.oid)
			THEN row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum) END,
		'collation', CASE WHEN a.attcollation <> t.typcollation
			THEN a.attcollation::regcollation END,
		'not null', a.attnotnull,
		'identity', a.attidentity,
		'generated', a.attgenerated,
		'storage', a.attstorage,
		'compression', a.attcompression,
		'statistics', nullif(a.attstattarget, -1),
		'options', (SELECT jsonb_agg(o ORDER BY o COLLATE "C")
			FROM unnest(a.attoptions) AS o WHERE o NOT LIKE 'pg\_attver=%'),
		'foreign options', (SELECT jsonb_agg(o ORDER BY o COLLATE "C")
			FROM unnest(a.attfdwoptions) AS o)
	))::text AS definition
FROM pg_attribute AS a
JOIN pg_class AS c ON c.oid = a.attrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_type AS t ON t.oid = a.atttypid
WHERE a.attnum > 0 AND NOT a.attisdropped
	AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
	AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
	AND NOT EXISTS (SELECT FROM pg_depend AS m
		WHERE m.classid = 'pg_class'::regclass AND m.objid = c.oid AND m.deptype = 'e')
