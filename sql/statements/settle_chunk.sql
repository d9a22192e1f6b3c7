-- Ends one attempt of many jobs that did not all succeed, by the results $3: athena.settle_chunk.
SELECT s.job_id, s.answer, s.state, s.run_at FROM athena.settle_chunk($1::uuid, $2::bigint, $3::jsonb) AS s
