-- What claim is, for a family that may be limited; on fair turns ($6) what is far back in line comes first.
SELECT c.job_id, c.ticket, c.attempt, c.priority,
       (extract(epoch FROM c.timeout) * 1000)::bigint AS timeout_ms, c.kind, c.payload, c.answers, c.waited_s
  FROM athena.claim_limited($2::uuid, $1::text, $3::integer, $4::smallint[], $5::bigint[], $6::boolean) AS c
