-- One step of lane $1; null when another process leads it.
SELECT athena.run_lane($1::text, $2::uuid, $3::jsonb) AS did
