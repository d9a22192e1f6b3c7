-- Ends one attempt in any way: athena.settle. $8: for how long a parked one waits.
SELECT s.answer, s.state, s.run_at
  FROM athena.settle($1::uuid, $2::bigint, $3::bigint, $4::text, $5::text, $6::text, $7::text,
		     retry_in => $8::interval) AS s
