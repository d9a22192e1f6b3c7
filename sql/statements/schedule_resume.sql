-- Schedule $1 fires again, from now on. known: there is one; changed: it was paused.
WITH changed AS (
	UPDATE athena.schedules AS s SET paused_at = NULL WHERE s.name = $1 AND s.paused_at IS NOT NULL RETURNING s.name)
SELECT EXISTS (SELECT FROM athena.schedules AS s WHERE s.name = $1) AS known, EXISTS (SELECT FROM changed) AS changed
