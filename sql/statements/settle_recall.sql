-- What became of tickets that a settle found to be leased no more: already settled by this worker, or lost.
SELECT asked.ticket, r.answer
  FROM unnest($2::bigint[], $3::bigint[]) AS asked (job_id, ticket),
       LATERAL athena.settle_recall($1::uuid, asked.job_id, asked.ticket) AS r
