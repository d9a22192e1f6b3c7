-- Takes the sign down.
DELETE FROM athena.sleepers AS s WHERE s.worker_id = $1::uuid AND s.family = $2::text
