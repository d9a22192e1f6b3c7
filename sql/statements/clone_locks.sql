-- Statements that lock the tables as pg_dump does, so that none of them changes under the clone.
SELECT format('LOCK TABLE %s IN ACCESS SHARE MODE',
	string_agg(format('ONLY %s', t.oid::regclass), ', ')) AS statement
FROM (
	SELECT c.oid, row_number() OVER (ORDER BY n.nspname, c.relname) AS place
	FROM pg_class AS c
	JOIN pg_namespace AS n ON n.oid = c.relnamespace
	WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
		AND (NOT EXISTS (SELECT FROM pg_depend AS m
				WHERE m.classid = 'pg_class'::regclass AND m.objid = c.oid AND m.deptype = 'e')
			OR EXISTS (SELECT FROM pg_extension AS e WHERE c.oid = ANY (e.extconfig)))) AS t
GROUP BY (t.place - 1) / 200
ORDER BY min(t.place)
