-- Definitions of relations, without their columns, indexes and queries.
SELECT
	CASE c.relkind
		WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view'
		WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table'
		WHEN 'S' THEN 'sequence' ELSE 'composite type'
	END AS kind,
	format('%I.%I', n.nspname, c.relname) AS name,
	jsonb_strip_nulls(jsonb_build_object(
		'owner', pg_get_userbyid(c.relowner),
		'persistence', c.relpersistence,
		'access method', (SELECT amname FROM pg_am WHERE oid = c.relam),
		'tablespace', (SELECT spcname FROM pg_tablespace WHERE oid = c.reltablespace),
		'options', (SELECT jsonb_agg(o ORDER BY o COLLATE "C") FROM unnest(c.reloptions) AS o),
		'toast options', (SELECT jsonb_agg(o ORDER BY o COLLATE "C")
			FROM pg_class AS t, unnest(t.reloptions) AS o WHERE t.oid = c.reltoastrelid),
		'of type', CASE WHEN c.reloftype <> 0 THEN c.reloftype::regtype END,
		'replica identity', c.relreplident,
		'row security', c.relrowsecurity,
		'forced row security', c.relforcerowsecurity,
		'populated', CASE WHEN c.relkind = 'm' THEN c.relispopulated END,
		'parents', (SELECT jsonb_agg(i.inhparent::regclass ORDER BY i.inhseqno)
			FROM pg_inherits AS i WHERE i.inhrelid = c.oid),
		'partitioned by', CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END,
		'partition', pg_get_expr(c.relpartbound, c.oid),
		'foreign server', s.srvname,
		'foreign options', (SELECT jsonb_agg(o ORDER BY o COLLATE "C") FROM unnest(f.ftoptions) AS o),
		'sequence', CASE WHEN q.seqrelid IS NOT NULL THEN
			jsonb_build_array(q.seqtypid::regtype, q.seqstart, q.seqincrement, q.seqmax, q.seqmin,
				q.seqcache, q.seqcycle) END,
		'owned by', (SELECT format('%s %s.%I', d.deptype, d.refobjid::regclass, a.attname)
			FROM pg_depend AS d
			JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
			WHERE c.relkind = 'S' AND d.classid = 'pg_class'::regclass AND d.objid = c.oid
				AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i'))
	))::text AS definition
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_foreign_table AS f ON f.ftrelid = c.oid
LEFT JOIN pg_foreign_server AS s ON s.oid = f.ftserver
LEFT JOIN pg_sequence AS q ON q.seqrelid = c.oid
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')
	AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
	AND NOT EXISTS (SELECT FROM pg_depend AS m
		WHERE m.classid = 'pg_class'::regclass AND m.objid = c.oid AND m.deptype = 'e')
