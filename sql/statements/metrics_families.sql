-- The limits of families, one a row with its value in the column of its name, and whether ready jobs wait for it.
SELECT l.family, l.limit_name AS "limit", l.is_holding::integer AS is_holding,
       CASE WHEN l.limit_name = 'max_running' THEN l.allowed END AS max_running,
       CASE WHEN l.limit_name = 'max_running_per_key' THEN l.allowed END AS max_running_per_key,
       CASE WHEN l.limit_name = 'rate' THEN l.allowed / extract(epoch FROM f.rate_period)::double precision END AS rate
  FROM athena.limit_status() AS l JOIN athena.families AS f ON f.name = l.family
