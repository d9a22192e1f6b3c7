-- Tables of tickets whose dead rows outnumber what vacuum should have left.
WITH dead AS (
	SELECT c.relname, pg_stat_get_dead_tuples(c.oid) AS rows FROM pg_class AS c
	 WHERE c.relnamespace = 'athena'::regnamespace
	   AND c.relname = ANY (ARRAY['ready', 'scheduled', 'leases', 'waiting', 'tallies', 'sleepers', 'uniques', 'workers', 'lanes']))
SELECT 'note' AS verdict, format('athena.%s has %s dead rows', d.relname, d.rows) AS finding,
       format('VACUUM athena.%I, and see what holds the horizon', d.relname) AS remedy
  FROM dead AS d WHERE d.rows > 1000000
UNION ALL
SELECT 'good', format('%s dead rows in the tables of tickets', sum(d.rows)), NULL FROM dead AS d HAVING max(d.rows) <= 1000000
UNION ALL
SELECT 'wrong', 'autovacuum is off', 'ALTER SYSTEM SET autovacuum = on' WHERE current_setting('autovacuum') = 'off'
