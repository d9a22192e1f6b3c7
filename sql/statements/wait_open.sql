-- Opens a wait named $4 for the lease ($2, $3) of worker $1: its token, told this once; null when the lease is lost.
SELECT athena.open_wait($1::uuid, $2::bigint, $3::bigint, $4::text) AS token
