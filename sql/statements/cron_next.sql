-- The next $3 fires of the pattern $1 in the time zone $2.
WITH RECURSIVE fires AS (
	SELECT 1 AS n, athena.next_fire($1, $2) AS fire_at
	UNION ALL
	SELECT f.n + 1, athena.next_fire($1, $2, f.fire_at) FROM fires AS f WHERE f.n < $3::integer AND f.fire_at IS NOT NULL)
SELECT f.fire_at, f.fire_at AS due_at, to_char(f.fire_at AT TIME ZONE $2, 'Dy YYYY-MM-DD HH24:MI') AS local_time, $2 AS zone
  FROM fires AS f WHERE f.fire_at IS NOT NULL
 ORDER BY f.n
