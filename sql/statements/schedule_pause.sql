-- Schedule $1 fires no more until it is resumed. known: there is one; changed: it was not paused before.
WITH changed AS (
	UPDATE athena.schedules AS s SET paused_at = now() WHERE s.name = $1 AND s.paused_at IS NULL RETURNING s.name)
SELECT EXISTS (SELECT FROM athena.schedules AS s WHERE s.name = $1) AS known, EXISTS (SELECT FROM changed) AS changed
