-- What the table says about families: it decides, whatever configuration and program say.
SELECT f.name, (extract(epoch FROM f.lease) * 1000)::bigint AS lease_ms,
       (extract(epoch FROM f.timeout) * 1000)::bigint AS timeout_ms,
       f.max_attempts, f.is_limited, f.max_running_per_key IS NOT NULL AS is_keyed, f.chunked
  FROM athena.families AS f WHERE f.name = ANY ($1::text[])
