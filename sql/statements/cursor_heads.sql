-- Has every transaction below $2 ended, and what is the first ticket of each lane of family $1 above its floor in $3
-- (lanes 0, 1, ..)? Both by one snapshot, and without SKIP LOCKED: a claim that is under way may yet roll back. As long
-- as they have not ended, above its cursor in $4: floors do not move then, and all that was claimed since lies between.
WITH mark AS MATERIALIZED (
	SELECT pg_snapshot_xmin(pg_current_snapshot()) >= $2::xid8 AS has_passed)
SELECT mark.has_passed, lane.nth - 1 AS lane,
       (SELECT r.ticket FROM athena.ready AS r
	 WHERE r.family = $1::text AND r.priority = lane.nth - 1
	   AND r.ticket > CASE WHEN mark.has_passed THEN lane.floor ELSE lane.after END
	 ORDER BY r.ticket LIMIT 1) AS head
  FROM mark, unnest($3::bigint[], $4::bigint[]) WITH ORDINALITY AS lane (floor, after, nth)
