-- What holds rows, largest first, but for tables $2, each with the statement that counts and digests
-- them. $1: how many percent of the rows are digested; which ones, their primary keys decide, and
-- where there is none it is all.
-- The digest does not depend on the order of rows, nor on that of columns, which inheritance may
-- change. Rows of an extension's configuration tables are those that pg_dump would dump.
SELECT
	CASE c.relkind WHEN 'm' THEN 'rows of materialized view' ELSE 'rows of table' END AS kind,
	format('%I.%I', n.nspname, c.relname) AS name,
	pg_table_size(c.oid) AS bytes,
	format('SELECT count(*) AS rows, %s AS digest FROM ONLY %s AS t %s',
		CASE WHEN $1::bigint > 0
			THEN format('sum((''x'' || left(md5(ROW(%s)::text), 16))::bit(64)::bigint::numeric)%s',
				columns.list, CASE WHEN $1::bigint < 100 AND primary_key.list IS NOT NULL THEN format(
					' FILTER (WHERE (''x'' || left(md5(ROW(%s)::text), 8))::bit(32)::bigint %% 100 < %s)',
					primary_key.list, $1::bigint) END)
			ELSE 'NULL' END,
		c.oid::regclass, config.condition) AS statement
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
	SELECT string_agg(format('t.%I', a.attname), ', ' ORDER BY a.attname) AS list
	FROM pg_attribute AS a
	WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
CROSS JOIN LATERAL (
	SELECT string_agg(format('t.%I', a.attname), ', ' ORDER BY a.attname) AS list
	FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
	WHERE i.indrelid = c.oid AND i.indisprimary) AS primary_key
LEFT JOIN LATERAL (
	SELECT x.condition
	FROM pg_extension AS e CROSS JOIN unnest(e.extconfig, e.extcondition) AS x (oid, condition)
	WHERE x.oid = c.oid) AS config ON true
WHERE c.relkind IN ('r', 'm') AND (c.relkind = 'r' OR c.relispopulated)
	AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
	AND format('%I.%I', n.nspname, c.relname) <> ALL ($2::text[])
	AND NOT (c.relpersistence = 'u' AND pg_is_in_recovery())
	AND (config.condition IS NOT NULL OR NOT EXISTS (SELECT FROM pg_depend AS m
		WHERE m.classid = 'pg_class'::regclass AND m.objid = c.oid AND m.deptype = 'e'))
ORDER BY bytes DESC, name
