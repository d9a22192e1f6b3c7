-- Dead rows that vacuum has not removed yet, in the tables that change all the time; by the statistics collector.
SELECT c.relname AS "table", pg_stat_get_dead_tuples(c.oid) AS dead
  FROM pg_class AS c
 WHERE c.relnamespace = 'athena'::regnamespace
   AND c.relname = ANY (ARRAY['ready', 'scheduled', 'leases', 'waiting', 'tallies', 'sleepers', 'uniques', 'workers', 'lanes'])
 ORDER BY c.relname
