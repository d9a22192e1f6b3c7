# SPDX-License-Identifier: PostgreSQL
"""Who may do what to Athena's objects: as tests/sql/rights.tsv expects it, and as the catalogs have it."""
from athena_test import ROOT

TABLE = ROOT / "tests/sql/rights.tsv"

# Everything that anybody but an object's owner holds, with the defaults where nothing was granted.
# Overloaded functions count as one.
GRANTED = """
WITH acls (kind, object, owner, acl) AS (
	SELECT 'schema', n.nspname::text, n.nspowner, coalesce(n.nspacl, acldefault('n', n.nspowner))
	  FROM pg_namespace AS n WHERE n.nspname = 'athena'
	UNION ALL
	SELECT CASE c.relkind WHEN 'S' THEN 'sequence' WHEN 'v' THEN 'view' ELSE 'table' END, c.relname, c.relowner,
	       coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))
	  FROM pg_class AS c WHERE c.relnamespace = 'athena'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
	UNION ALL
	SELECT 'column', format('%s.%s', c.relname, a.attname), c.relowner, a.attacl
	  FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid WHERE c.relnamespace = 'athena'::regnamespace
	UNION ALL
	SELECT 'function', p.proname, p.proowner, coalesce(p.proacl, acldefault('f', p.proowner))
	  FROM pg_proc AS p WHERE p.pronamespace = 'athena'::regnamespace
	UNION ALL
	SELECT 'type', t.typname, t.typowner, coalesce(t.typacl, acldefault('T', t.typowner))
	  FROM pg_type AS t WHERE t.typnamespace = 'athena'::regnamespace AND t.typtype IN ('d', 'e', 'r'))
SELECT CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END AS role, a.kind, a.object,
       string_agg(DISTINCT g.privilege_type || CASE WHEN g.is_grantable THEN '*' ELSE '' END, ' '
		  ORDER BY g.privilege_type || CASE WHEN g.is_grantable THEN '*' ELSE '' END) AS privileges
  FROM acls AS a, aclexplode(a.acl) AS g WHERE g.grantee <> a.owner
 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""


def expected():
    """[(role, kind, object, privileges)] of the table, in its order."""
    lines = [line for line in TABLE.read_text().splitlines() if line and not line.startswith("#")]
    return [tuple(line.split("\t")) for line in lines]


def granted(database):
    return [tuple(row.values()) for row in database.query(GRANTED)]
