-- Statements that read the values of all sequences, a hundred at a time.
SELECT string_agg(format('SELECT %L::text AS name, %s::bigint AS step, %L::boolean AS cycles, '
		'last_value, is_called FROM %s', s.name, s.seqincrement, s.seqcycle, s.seqrelid::regclass),
	' UNION ALL ') AS statement
FROM (
	SELECT q.*, format('%I.%I', n.nspname, c.relname) AS name,
		row_number() OVER (ORDER BY n.nspname, c.relname) AS place
	FROM pg_sequence AS q
	JOIN pg_class AS c ON c.oid = q.seqrelid
	JOIN pg_namespace AS n ON n.oid = c.relnamespace
	WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
		AND NOT (c.relpersistence = 'u' AND pg_is_in_recovery())
		AND (NOT EXISTS (SELECT FROM pg_depend AS m
				WHERE m.classid = 'pg_class'::regclass AND m.objid = c.oid AND m.deptype = 'e')
			OR EXISTS (SELECT FROM pg_extension AS e WHERE c.oid = ANY (e.extconfig)))) AS s
GROUP BY (s.place - 1) / 100
