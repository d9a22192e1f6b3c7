-- Appends events, given as a JSON array of objects.
INSERT INTO athena.events (job_id, ticket, attempt, at, phase, level, kind, message, details)
SELECT e.job_id, e.ticket, e.attempt, to_timestamp(e.at_ms / 1000.0), e.phase, e.level, e.kind, e.message, e.details
  FROM jsonb_to_recordset($1::jsonb) AS e (job_id bigint, ticket bigint, attempt smallint, at_ms bigint, phase text,
       level text, kind text, message text, details jsonb)
