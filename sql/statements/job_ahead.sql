-- How many are claimed before this one, counted no further than $2.
SELECT athena.jobs_ahead($1::bigint, $2::integer) AS ahead
