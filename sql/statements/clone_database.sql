-- Owner, connection limit and comment of the database $1.
SELECT pg_get_userbyid(d.datdba) AS owner, d.datconnlimit AS connection_limit,
	shobj_description(d.oid, 'pg_database') AS comment
FROM pg_database AS d
WHERE d.datname = $1::text
