-- Which of the needs $1 (what), $2 (name), $3 (version) the target does not meet, and why.
-- A restore acts as owners, which only a superuser or a member of them can do.
SELECT x.code, need.what, need.name, x.detail
FROM unnest($1::text[], $2::text[], $3::text[]) AS need (what, name, version)
LEFT JOIN pg_roles AS r ON need.what IN ('owner', 'role', 'policy') AND r.rolname = need.name
LEFT JOIN pg_available_extensions AS e ON need.what = 'extension' AND e.name = need.name
LEFT JOIN pg_tablespace AS t ON need.what = 'tablespace' AND t.spcname = need.name
CROSS JOIN LATERAL (
	SELECT 'missing_role' AS code, NULL::text AS detail
	WHERE need.what IN ('owner', 'role', 'policy') AND r.oid IS NULL
	UNION ALL
	SELECT 'not_member', NULL
	WHERE need.what = 'owner' AND NOT pg_has_role(r.oid, CASE
		WHEN current_setting('server_version_num')::integer >= 160000 THEN 'SET' ELSE 'MEMBER' END)
	UNION ALL
	SELECT 'missing_extension', NULL WHERE need.what = 'extension' AND e.name IS NULL
	UNION ALL
	SELECT 'extension_version', e.default_version
	WHERE need.what = 'extension' AND e.default_version <> need.version
	UNION ALL
	SELECT 'missing_tablespace', NULL WHERE need.what = 'tablespace' AND t.oid IS NULL) AS x
