-- Definitions of collations, conversions, text search and foreign data objects.
WITH member AS MATERIALIZED (
	SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
), namespace AS (
	SELECT oid, nspname FROM pg_namespace
	WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
)
SELECT 'collation' AS kind, format('%I.%I', n.nspname, c.collname) AS name,
	jsonb_strip_nulls(jsonb_build_object(
		'owner', pg_get_userbyid(c.collowner), 'provider', c.collprovider,
		'deterministic', c.collisdeterministic, 'encoding', c.collencoding,
		'locale', coalesce(to_jsonb(c) ->> 'colllocale', to_jsonb(c) ->> 'colliculocale', c.collcollate),
		'ctype', CASE WHEN c.collprovider = 'c' THEN c.collctype END,
		'rules', to_jsonb(c) ->> 'collicurules'))::text AS definition
FROM pg_collation AS c JOIN namespace AS n ON n.oid = c.collnamespace
WHERE ('pg_collation'::regclass, c.oid) NOT IN (SELECT classid, objid FROM member)
UNION ALL
SELECT 'conversion', format('%I.%I', n.nspname, c.conname),
	jsonb_build_object('owner', pg_get_userbyid(c.conowner),
		'from', pg_encoding_to_char(c.conforencoding), 'to', pg_encoding_to_char(c.contoencoding),
		'function', c.conproc::regprocedure, 'default', c.condefault)::text
FROM pg_conversion AS c JOIN namespace AS n ON n.oid = c.connamespace
WHERE ('pg_conversion'::regclass, c.oid) NOT IN (SELECT classid, objid FROM member)
UNION ALL
SELECT 'text search parser', format('%I.%I', n.nspname, p.prsname),
	jsonb_build_object('start', p.prsstart::regprocedure, 'token', p.prstoken::regprocedure,
		'end', p.prsend::regprocedure, 'headline', p.prsheadline::regprocedure,
		'types', p.prslextype::regprocedure)::text
FROM pg_ts_parser AS p JOIN namespace AS n ON n.oid = p.prsnamespace
WHERE ('pg_ts_parser'::regclass, p.oid) NOT IN (SELECT classid, objid FROM member)
UNION ALL
SELECT 'text search template', format('%I.%I', n.nspname, t.tmplname),
	jsonb_build_object('init', t.tmplinit::regprocedure, 'lexize', t.tmpllexize::regprocedure)::text
FROM pg_ts_template AS t JOIN namespace AS n ON n.oid = t.tmplnamespace
WHERE ('pg_ts_template'::regclass, t.oid) NOT IN (SELECT classid, objid FROM member)
UNION ALL
SELECT 'text search dictionary', format('%I.%I', n.nspname, d.dictname),
	jsonb_build_object('owner', pg_get_userbyid(d.dictowner), 'options', d.dictinitoption,
		'template', (SELECT t.tmplnamespace::regnamespace || '.' || quote_ident(t.tmplname)
			FROM pg_ts_template AS t WHERE t.oid = d.dicttemplate))::text
FROM pg_ts_dict AS d JOIN namespace AS n ON n.oid = d.dictnamespace
WHERE ('pg_ts_dict'::regclass, d.oid) NOT IN (SELECT classid, objid FROM member)
UNION ALL
SELECT 'text search configuration', format('%I.%I', n.nspname, c.cfgname),
	jsonb_build_object('owner', pg_get_userbyid(c.cfgowner),
		'parser', (SELECT p.prsnamespace::regnamespace || '.' || quote_ident(p.prsname)
			FROM pg_ts_parser AS p WHERE p.oid = c.cfgparser),
		'mappings', (SELECT jsonb_agg(jsonb_build_array(m.maptokentype, m.mapdict::regdictionary)
				ORDER BY m.maptokentype, m.mapseqno)
			FROM pg_ts_config_map AS m WHERE m.mapcfg = c.oid))::text
FROM pg_ts_config AS c JOIN namespace AS n ON n.oid = c.cfgnamespace
WHERE ('pg_ts_config'::regclass, c.oid) NOT IN (SELECT classid, objid FROM member)
UNION ALL
SELECT 'foreign data wrapper', quote_ident(w.fdwname),
	jsonb_build_object('owner', pg_get_userbyid(w.fdwowner), 'options', (SELECT md5(jsonb_agg(o ORDER BY o COLLATE "C")::text)
			FROM unnest(w.fdwoptions) AS o),
		'handler', w.fdwhandler::regprocedure, 'validator', w.fdwvalidator::regprocedure)::text
FROM pg_foreign_data_wrapper AS w
WHERE ('pg_foreign_data_wrapper'::regclass, w.oid) NOT IN (SELECT classid, objid FROM member)
UNION ALL
SELECT 'foreign server', quote_ident(s.srvname),
	jsonb_build_object('owner', pg_get_userbyid(s.srvowner), 'wrapper', w.fdwname,
		'type', s.srvtype, 'version', s.srvversion, 'options', (SELECT md5(jsonb_agg(o ORDER BY o COLLATE "C")::text)
			FROM unnest(s.srvoptions) AS o))::text
FROM pg_foreign_server AS s JOIN pg_foreign_data_wrapper AS w ON w.oid = s.srvfdw
WHERE ('pg_foreign_server'::regclass, s.oid) NOT IN (SELECT classid, objid FROM member)
UNION ALL
-- Options hold passwords, so that only their digest travels; null where one may not see them.
SELECT 'user mapping', format('%I on %I', u.usename, u.srvname),
	jsonb_build_object('options', (SELECT md5(jsonb_agg(o ORDER BY o COLLATE "C")::text)
			FROM unnest(u.umoptions) AS o))::text
FROM pg_user_mappings AS u
