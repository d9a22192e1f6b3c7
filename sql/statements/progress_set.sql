-- How far an attempt is; nothing once its lease is gone.
SELECT athena.set_progress($1::uuid, $2::bigint, $3::bigint, $4::bigint, $5::bigint, $6::text, $7::text)
