-- Comments and security labels on every object that pg_dump carries.
SELECT 'comment' AS kind, i.type || ' ' || i.identity AS name, d.description AS definition
FROM pg_description AS d
CROSS JOIN pg_identify_object(d.classoid, d.objoid, d.objsubid) AS i
WHERE (d.objoid >= 16384 OR d.objoid = to_regnamespace('public')
		OR d.classoid = 'pg_largeobject'::regclass)
	AND d.classoid NOT IN ('pg_publication'::regclass, 'pg_publication_rel'::regclass)
	AND NOT EXISTS (SELECT FROM pg_depend AS m
		WHERE m.classid = d.classoid AND m.objid = d.objoid AND m.deptype = 'e')
UNION ALL
SELECT 'security label of ' || l.provider, i.type || ' ' || i.identity, l.label
FROM pg_seclabel AS l
CROSS JOIN pg_identify_object(l.classoid, l.objoid, l.objsubid) AS i
WHERE NOT EXISTS (SELECT FROM pg_depend AS m
	WHERE m.classid = l.classoid AND m.objid = l.objoid AND m.deptype = 'e')
