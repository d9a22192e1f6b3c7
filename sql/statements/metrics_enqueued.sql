-- How many jobs were ever put into each family: those that are there and those that were pruned, summed from deltas.
SELECT e.family, sum(e.jobs)::bigint AS jobs
  FROM (SELECT t.family, t.delta AS jobs FROM athena.tallies AS t
	UNION ALL
	SELECT p.family, p.delta FROM athena.totals AS p WHERE p.what = 'pruned'
	UNION ALL
	SELECT f.name, 0 FROM athena.families AS f) AS e
 GROUP BY e.family
 ORDER BY e.family
