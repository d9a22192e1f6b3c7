-- Registers this process; refused in a database that is a copy of another system.
SELECT athena.register_worker($1::text[], $2::text, $3::text, $4::text, $5::uuid, $6::text, $7::integer, $8::bigint)
