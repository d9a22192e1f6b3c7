-- How far the leaves of jobs reach ahead of the last number, and whether rows landed in default because they did not.
WITH bounds AS (
	SELECT max(substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \(''?(\d+)')::bigint) AS ends
	  FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid WHERE i.inhparent = 'athena.jobs'::regclass),
now_at AS (SELECT coalesce(pg_sequence_last_value('athena.tickets'::regclass), 0) AS number)
SELECT CASE WHEN b.ends - n.number < 10000000 THEN 'wrong' ELSE 'good' END AS verdict,
       CASE WHEN b.ends > n.number THEN format('leaves of jobs reach %s ids ahead', b.ends - n.number)
	    ELSE 'ids have outrun the leaves of jobs' END AS finding,
       CASE WHEN b.ends - n.number < 10000000 THEN 'see that maintenance runs: athena maintenance status' END AS remedy
  FROM bounds AS b, now_at AS n
UNION ALL
SELECT 'note', 'jobs lie in the default leaf, for want of one of their own', 'nothing: they run as others do, and are pruned row by row'
 WHERE pg_stat_get_live_tuples('athena.jobs_default'::regclass) > 0
