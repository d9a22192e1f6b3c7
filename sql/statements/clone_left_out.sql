-- The tables that $1 names as schema.table, and partitions of theirs: as SQL names them, and as pg_dump
-- takes them for a pattern. Who asked for no table of the source gets a row without either.
SELECT asked.name AS asked, t.name, t.pattern
FROM unnest($1::text[]) AS asked (name)
LEFT JOIN LATERAL (
	SELECT format('%I.%I', pn.nspname, pc.relname) AS name,
		format('"%s"."%s"', replace(pn.nspname, '"', '""'), replace(pc.relname, '"', '""')) AS pattern
	FROM pg_class AS c
	JOIN pg_namespace AS n ON n.oid = c.relnamespace
	CROSS JOIN LATERAL (SELECT c.oid UNION SELECT relid FROM pg_partition_tree(c.oid)) AS part (oid)
	JOIN pg_class AS pc ON pc.oid = part.oid
	JOIN pg_namespace AS pn ON pn.oid = pc.relnamespace
	WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
		AND asked.name IN (concat(n.nspname, '.', c.relname), format('%I.%I', n.nspname, c.relname))) AS t ON true
