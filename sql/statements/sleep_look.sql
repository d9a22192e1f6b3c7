-- Is there work for family $1, and has every transaction below the mark $2 ended? Both by this statement's snapshot.
SELECT pg_snapshot_xmin(pg_current_snapshot()) >= $2::xid8 AS has_passed,
       EXISTS (SELECT FROM generate_series(0, 9) AS lane (priority),
		    LATERAL (SELECT FROM athena.ready AS r
			      WHERE r.family = $1::text AND r.priority = lane.priority LIMIT 1) AS r)
       AND EXISTS (SELECT FROM athena.families AS f WHERE f.name = $1::text AND f.paused_at IS NULL
		      AND (NOT f.is_limited OR athena.may_claim(f.name))) AS has_work
