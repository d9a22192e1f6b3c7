-- How long the last step of each maintenance lane took, and how long ago that was.
SELECT l.lane, l.took_ms / 1000 AS took_s, extract(epoch FROM now() - l.last_at)::double precision AS age_s
  FROM athena.lanes AS l
 ORDER BY l.number
