-- How many jobs of each family are in each state, zeros included; summed from deltas, so that no table is counted.
SELECT d.family, d.state, sum(d.jobs)::bigint AS jobs
  FROM (SELECT v.family, v.state, v.jobs FROM athena.depth AS v
	UNION ALL
	SELECT f.name, s.state, 0 FROM athena.families AS f, unnest(enum_range(NULL::athena.job_state)) AS s (state)) AS d
 GROUP BY d.family, d.state
 ORDER BY d.family, d.state
