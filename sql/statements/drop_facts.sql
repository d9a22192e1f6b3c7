-- What goes with the schema, for whoever is about to drop it.
SELECT (SELECT coalesce(sum(d.jobs), 0) FROM athena.depth AS d WHERE d.state < 'succeeded') AS unfinished,
       (SELECT count(*) FROM athena.worker_status AS w WHERE w.state = 'alive') AS programs
