-- Tables in the order in which pg_dump copies them: how large each is, and all that come before it.
SELECT c.oid, pg_table_size(c.oid) AS bytes,
	sum(pg_table_size(c.oid)) OVER (ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C") - pg_table_size(c.oid) AS before
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
	AND NOT EXISTS (SELECT FROM pg_depend AS m
		WHERE m.classid = 'pg_class'::regclass AND m.objid = c.oid AND m.deptype = 'e')
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
