-- Large objects above $1 up to $2 (null: all) in order, at most $3 (null: all): rights and contents.
-- Read in pieces, since one may be larger than any value can be.
SELECT o.oid, o.definition || ' ' || coalesce(content.digest, '') AS definition
FROM (
	SELECT opened.oid, opened.size,
		format('owner %I, %s bytes, rights %s,', pg_get_userbyid(opened.lomowner), opened.size,
			(SELECT array_agg(a::text ORDER BY a::text COLLATE "C") FROM unnest(
				coalesce(opened.lomacl, acldefault('L', opened.lomowner))) AS a)) AS definition,
		lo_close(opened.fd)
	FROM (
		SELECT f.*, lo_lseek64(f.fd, 0, 2) AS size
		FROM (
			SELECT m.*, lo_open(m.oid, x'40000'::integer) AS fd
			FROM (
				SELECT oid, lomowner, lomacl FROM pg_largeobject_metadata
				WHERE oid > $1::oid AND ($2::oid IS NULL OR oid <= $2::oid)
				ORDER BY oid LIMIT $3::bigint) AS m
			OFFSET 0) AS f
		OFFSET 0) AS opened
	OFFSET 0) AS o
LEFT JOIN LATERAL (
	SELECT md5(string_agg(md5(lo_get(o.oid, piece, 1048576)), '' ORDER BY piece)) AS digest
	FROM generate_series(0, o.size - 1, 1048576) AS piece) AS content ON true
ORDER BY o.oid
