-- What the table says about families: it decides, whatever configuration and program say.
SELECT f.name, (extract(epoch FROM f.lease) * 1000)::bigint AS lease_ms,
       (extract(epoch FROM f.timeout) * 1000)::bigint AS timeout_ms,
       f.max_attempts, f.max_running IS NOT NULL AS is_limited
  FROM athena.families AS f WHERE f.name = ANY ($1::text[])
