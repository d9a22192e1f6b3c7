-- Families with work that nobody alive serves, or that are paused with work waiting.
WITH backlog AS (
	SELECT d.family, d.jobs FROM athena.depth AS d WHERE d.state = 'ready' AND d.jobs > 0),
found AS (
	SELECT 'wrong' AS verdict, format('family %s has work (%s ready), and no living worker serves it', b.family, b.jobs) AS finding,
	       format('athena-worker --family=%s', b.family) AS remedy
	  FROM backlog AS b JOIN athena.families AS f ON f.name = b.family
	 WHERE f.paused_at IS NULL
	   AND NOT EXISTS (SELECT FROM athena.worker_status AS w WHERE w.state = 'alive' AND b.family = ANY (w.families))
	UNION ALL
	SELECT 'note', format('family %s has been paused for %s, with work (%s ready)', f.name, date_trunc('second', now() - f.paused_at), b.jobs),
	       format('athena family resume %s', f.name)
	  FROM backlog AS b JOIN athena.families AS f ON f.name = b.family WHERE f.paused_at IS NOT NULL)
SELECT f.verdict, f.finding, f.remedy FROM found AS f
UNION ALL
SELECT 'good', 'every family with work has a worker', NULL WHERE NOT EXISTS (SELECT FROM found)
