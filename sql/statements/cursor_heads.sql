-- Has every transaction below $2 ended, and what is the first ticket of each lane of family $1 above its floor in $3
-- (lanes 0, 1, ..)? Both by one snapshot, and without SKIP LOCKED: a claim that is under way may yet roll back.
SELECT pg_snapshot_xmin(pg_current_snapshot()) >= $2::xid8 AS has_passed, lane.nth - 1 AS lane,
       (SELECT r.ticket FROM athena.ready AS r
	 WHERE r.family = $1::text AND r.priority = lane.nth - 1 AND r.ticket > lane.floor
	 ORDER BY r.ticket LIMIT 1) AS head
  FROM unnest($3::bigint[]) WITH ORDINALITY AS lane (floor, nth)
