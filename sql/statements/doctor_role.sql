-- What the role that asks may do here, and whether what programs call is open to it if it may work. (From Postgres 16 on
-- whoever made a group is a member of it without inheriting: that is wrong only for who has nothing else here.)
WITH groups (n, name, may) AS (
	VALUES (1, 'athena_worker', 'run jobs'), (2, 'athena_maintenance', 'run maintenance'), (3, 'athena_producer', 'enqueue'),
	       (4, 'athena_reader', 'look')),
held AS (
	SELECT g.n, g.name, g.may, pg_has_role(r.oid, 'USAGE') AS uses, pg_has_role(r.oid, 'MEMBER') AS is_member
	  FROM groups AS g JOIN pg_roles AS r ON r.rolname = g.name),
needed (name) AS (
	VALUES ('register_worker'), ('heartbeat'), ('claim'), ('claim_limited'), ('lease_settle'), ('settle'), ('run_lane'), ('rescue'),
	       ('enqueue'), ('cancel'), ('retry')),
closed AS (
	SELECT DISTINCT p.proname FROM needed AS n JOIN pg_proc AS p ON p.proname = n.name AND p.pronamespace = 'athena'::regnamespace
	 WHERE NOT has_function_privilege(p.oid, 'EXECUTE') AND EXISTS (SELECT FROM held AS h WHERE h.n = 1 AND h.uses)),
found AS (
	SELECT 'wrong' AS verdict, format('%s may run jobs, but may not call athena.%s', current_user, c.proname) AS finding,
	       format('GRANT EXECUTE ON FUNCTION athena.%I TO athena_worker', c.proname) AS remedy
	  FROM closed AS c
	UNION ALL
	(SELECT 'wrong', format('%s is a member of %s, and does not inherit its rights', current_user, h.name),
		CASE WHEN current_setting('server_version_num')::integer < 160000 THEN format('ALTER ROLE %I INHERIT', current_user)
		     ELSE format('GRANT %s TO %I WITH INHERIT TRUE', h.name, current_user) END
	   FROM held AS h WHERE h.is_member AND NOT EXISTS (SELECT FROM held AS u WHERE u.uses) ORDER BY h.n LIMIT 1))
SELECT f.verdict, f.finding, f.remedy FROM found AS f
UNION ALL
SELECT CASE WHEN bool_or(h.n = 1) THEN 'good' ELSE 'note' END,
       format('%s may %s', current_user, coalesce(string_agg(h.may, ', ' ORDER BY h.n), 'nothing here')),
       CASE WHEN bool_or(h.n = 1) THEN NULL ELSE format('if it is to run jobs: athena grants --worker %I', current_user) END
  FROM held AS h WHERE h.uses
 HAVING NOT EXISTS (SELECT FROM found)
