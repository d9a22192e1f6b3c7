-- The next $2 fires of schedule $1, and when each queues its job; paused or not. No row when there is no such schedule.
SELECT f.fire_at, f.due_at, to_char(f.fire_at AT TIME ZONE f.zone, 'Dy YYYY-MM-DD HH24:MI') AS local_time, f.zone
  FROM athena.schedule_fires($1, $2::integer) AS f
 ORDER BY f.fire_at
