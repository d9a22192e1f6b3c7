-- Definitions of operators, their families and classes, casts, transforms and access methods.
WITH member AS MATERIALIZED (
	SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
)
SELECT 'operator' AS kind, o.oid::regoperator::text AS name,
	jsonb_build_object(
		'owner', pg_get_userbyid(o.oprowner),
		'function', o.oprcode::regprocedure, 'result', o.oprresult::regtype,
		'commutator', o.oprcom::regoperator, 'negator', o.oprnegate::regoperator,
		'restrict', o.oprrest::regprocedure, 'join', o.oprjoin::regprocedure,
		'hashes', o.oprcanhash, 'merges', o.oprcanmerge)::text AS definition
FROM pg_operator AS o
JOIN pg_namespace AS n ON n.oid = o.oprnamespace
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
	AND ('pg_operator'::regclass, o.oid) NOT IN (SELECT classid, objid FROM member)
UNION ALL
SELECT 'operator family', format('%I.%I for %s', n.nspname, f.opfname, a.amname),
	jsonb_build_object(
		'owner', pg_get_userbyid(f.opfowner),
		'operators', (SELECT jsonb_agg(jsonb_build_array(o.amopstrategy, o.amopopr::regoperator,
				o.amoppurpose, (SELECT opfname FROM pg_opfamily WHERE oid = o.amopsortfamily))
				ORDER BY o.amopstrategy, o.amopopr::regoperator::text COLLATE "C")
			FROM pg_amop AS o WHERE o.amopfamily = f.oid),
		'functions', (SELECT jsonb_agg(jsonb_build_array(p.amprocnum, p.amproclefttype::regtype,
				p.amprocrighttype::regtype, p.amproc::regprocedure)
				ORDER BY p.amprocnum, p.amproclefttype::regtype::text COLLATE "C",
					p.amprocrighttype::regtype::text COLLATE "C")
			FROM pg_amproc AS p WHERE p.amprocfamily = f.oid))::text
FROM pg_opfamily AS f
JOIN pg_namespace AS n ON n.oid = f.opfnamespace
JOIN pg_am AS a ON a.oid = f.opfmethod
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
	AND ('pg_opfamily'::regclass, f.oid) NOT IN (SELECT classid, objid FROM member)
UNION ALL
SELECT 'operator class', format('%I.%I for %s', n.nspname, c.opcname, a.amname),
	jsonb_build_object(
		'owner', pg_get_userbyid(c.opcowner),
		'type', c.opcintype::regtype, 'stored as', c.opckeytype::regtype, 'default', c.opcdefault,
		'family', (SELECT opfname FROM pg_opfamily WHERE oid = c.opcfamily))::text
FROM pg_opclass AS c
JOIN pg_namespace AS n ON n.oid = c.opcnamespace
JOIN pg_am AS a ON a.oid = c.opcmethod
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
	AND ('pg_opclass'::regclass, c.oid) NOT IN (SELECT classid, objid FROM member)
UNION ALL
SELECT 'cast', format('%s as %s', c.castsource::regtype, c.casttarget::regtype),
	jsonb_build_object('function', c.castfunc::regprocedure, 'context', c.castcontext,
		'method', c.castmethod)::text
FROM pg_cast AS c
WHERE c.oid >= 16384
	AND ('pg_cast'::regclass, c.oid) NOT IN (SELECT classid, objid FROM member)
UNION ALL
SELECT 'transform', format('%s for %s', t.trftype::regtype, l.lanname),
	jsonb_build_object('from', t.trffromsql::regprocedure, 'to', t.trftosql::regprocedure)::text
FROM pg_transform AS t
JOIN pg_language AS l ON l.oid = t.trflang
WHERE t.oid >= 16384
	AND ('pg_transform'::regclass, t.oid) NOT IN (SELECT classid, objid FROM member)
UNION ALL
SELECT 'access method', a.amname::text,
	jsonb_build_object('handler', a.amhandler::regprocedure, 'type', a.amtype)::text
FROM pg_am AS a
WHERE a.oid >= 16384
	AND ('pg_am'::regclass, a.oid) NOT IN (SELECT classid, objid FROM member)
