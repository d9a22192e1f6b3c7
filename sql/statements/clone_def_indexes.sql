-- What else there is to an index beside its definition. One that is invalid is not dumped, and so does not count.
SELECT 'index' AS kind,
	format('%I.%I', n.nspname, c.relname) AS name,
	jsonb_strip_nulls(jsonb_build_object(
		'on', x.indrelid::regclass,
		'valid', x.indisvalid,
		'clustered on', x.indisclustered,
		'replica identity', x.indisreplident,
		'tablespace', (SELECT spcname FROM pg_tablespace WHERE oid = c.reltablespace),
		'part of', (SELECT i.inhparent::regclass FROM pg_inherits AS i WHERE i.inhrelid = c.oid),
		'statistics', (SELECT jsonb_object_agg(a.attnum, a.attstattarget) FROM pg_attribute AS a
			WHERE a.attrelid = c.oid AND a.attstattarget >= 0)
	))::text AS definition
FROM pg_index AS x
JOIN pg_class AS c ON c.oid = x.indexrelid
JOIN pg_class AS t ON t.oid = x.indrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE (x.indisvalid OR t.relkind = 'p') AND x.indisready
	AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
	AND NOT EXISTS (SELECT FROM pg_depend AS m
		WHERE m.classid = 'pg_class'::regclass AND m.objid = t.oid AND m.deptype = 'e')
