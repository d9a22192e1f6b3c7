-- Removes schedule $1 and its history; jobs that it queued stay.
WITH changed AS (DELETE FROM athena.schedules AS s WHERE s.name = $1 RETURNING s.name)
SELECT EXISTS (SELECT FROM changed) AS known, EXISTS (SELECT FROM changed) AS changed
