-- Pieces of tables to copy, largest first, each with the commands for source and clone. A table of
-- more than $1 bytes is cut by blocks into several; no row moves as long as the table is locked.
-- $2: encoding of both databases, so that nothing is converted; $3: tables without rows. Of an
-- extension's configuration tables those rows are copied that pg_dump would dump, and are added to
-- what the extension has made itself.
SELECT t.name, t.bytes / t.pieces AS bytes, piece.number, t.pieces, t.condition IS NOT NULL AS is_alone,
	format('COPY %s TO STDOUT (ENCODING %L)',
		CASE WHEN t.pieces = 1 AND t.condition IS NULL THEN concat(t.place, t.columns)
			ELSE format('(SELECT %s FROM ONLY %s %s)', t.list, t.place, CASE WHEN t.pieces = 1
				THEN t.condition
				ELSE format('WHERE ctid >= %L::tid%s', format('(%s,0)', piece.number * t.blocks / t.pieces),
					CASE WHEN piece.number < t.pieces - 1 THEN format(' AND ctid < %L::tid',
						format('(%s,0)', (piece.number + 1) * t.blocks / t.pieces)) END)
				END) END, $2::text) AS source,
	-- Rows that nobody else can see yet need not be looked at again by a vacuum.
	CASE WHEN t.pieces = 1 AND t.condition IS NULL
		THEN format('BEGIN; TRUNCATE ONLY %1$s; COPY %1$s%2$s FROM STDIN (ENCODING %3$L, FREEZE); COMMIT',
			t.place, t.columns, $2::text)
		ELSE format('COPY %s%s FROM STDIN (ENCODING %L)', t.place, t.columns, $2::text) END AS staging
FROM (
	SELECT format('%I.%I', n.nspname, c.relname) AS name,
		c.oid::regclass::text AS place,
		c.oid, config.condition, pg_table_size(c.oid) AS bytes, size.blocks,
		coalesce(cols.list, '') AS list,
		'(' || cols.list || ')' AS columns,
		CASE WHEN config.condition IS NULL AND am.amname = 'heap'
			THEN greatest(1, least(size.blocks, pg_table_size(c.oid) / $1::bigint)) ELSE 1 END AS pieces
	FROM pg_class AS c
	JOIN pg_namespace AS n ON n.oid = c.relnamespace
	LEFT JOIN pg_am AS am ON am.oid = c.relam
	CROSS JOIN LATERAL (
		SELECT pg_relation_size(c.oid) / current_setting('block_size')::bigint AS blocks) AS size
	CROSS JOIN LATERAL (
		SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS list
		FROM pg_attribute AS a
		WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '') AS cols
	LEFT JOIN LATERAL (
		SELECT x.condition
		FROM pg_extension AS e CROSS JOIN unnest(e.extconfig, e.extcondition) AS x (oid, condition)
		WHERE x.oid = c.oid) AS config ON true
	WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
		AND format('%I.%I', n.nspname, c.relname) <> ALL ($3::text[])
		AND NOT (c.relpersistence = 'u' AND pg_is_in_recovery())
		AND (config.condition IS NOT NULL OR NOT EXISTS (SELECT FROM pg_depend AS m
			WHERE m.classid = 'pg_class'::regclass AND m.objid = c.oid AND m.deptype = 'e'))) AS t
CROSS JOIN LATERAL generate_series(0, t.pieces - 1) AS piece (number)
-- Tables of an extension may refer to each other, in the order in which it made them.
ORDER BY t.condition IS NULL, CASE WHEN t.condition IS NULL THEN t.bytes / t.pieces END DESC, t.oid, piece.number
