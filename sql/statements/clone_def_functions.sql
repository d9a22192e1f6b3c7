-- Definitions of functions, procedures, window functions and aggregates, without arguments and bodies in SQL.
SELECT
	CASE p.prokind WHEN 'f' THEN 'function' WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate'
		ELSE 'window function' END AS kind,
	p.oid::regprocedure::text AS name,
	jsonb_strip_nulls(jsonb_build_object(
		'owner', pg_get_userbyid(p.proowner),
		'arguments', CASE WHEN p.prokind = 'a' THEN pg_get_function_arguments(p.oid) END,
		'result', pg_get_function_result(p.oid),
		'language', l.lanname,
		'source', CASE WHEN p.prokind <> 'a' THEN p.prosrc END,
		'binary', p.probin,
		'volatile', p.provolatile,
		'parallel', p.proparallel,
		'strict', p.proisstrict,
		'security definer', p.prosecdef,
		'leakproof', p.proleakproof,
		'cost', p.procost,
		'rows', p.prorows,
		'support', CASE WHEN p.prosupport <> 0 THEN p.prosupport::regprocedure END,
		'transforms', (SELECT jsonb_agg(t::regtype) FROM unnest(p.protrftypes) AS t),
		'settings', (SELECT jsonb_agg(s ORDER BY s COLLATE "C") FROM unnest(p.proconfig) AS s),
		'aggregate', CASE WHEN a.aggfnoid IS NOT NULL THEN jsonb_build_array(
			a.aggkind, a.aggnumdirectargs, a.aggtransfn::regprocedure, a.aggfinalfn::regprocedure,
			a.aggcombinefn::regprocedure, a.aggserialfn::regprocedure,
			a.aggdeserialfn::regprocedure, a.aggmtransfn::regprocedure,
			a.aggminvtransfn::regprocedure, a.aggmfinalfn::regprocedure, a.aggfinalextra,
			a.aggmfinalextra, a.aggfinalmodify, a.aggmfinalmodify, a.aggsortop::regoperator,
			a.aggtranstype::regtype, a.aggtransspace, a.aggmtranstype::regtype,
			a.aggmtransspace, a.agginitval, a.aggminitval) END
	))::text AS definition
FROM pg_proc AS p
JOIN pg_namespace AS n ON n.oid = p.pronamespace
JOIN pg_language AS l ON l.oid = p.prolang
LEFT JOIN pg_aggregate AS a ON a.aggfnoid = p.oid
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
	AND NOT EXISTS (SELECT FROM pg_depend AS m
		WHERE m.classid = 'pg_proc'::regclass AND m.objid = p.oid AND m.deptype = 'e')
