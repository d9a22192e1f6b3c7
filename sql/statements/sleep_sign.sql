-- Puts up the sign that worker $1 sleeps on family $2; producers whose statement starts after its commit notify.
INSERT INTO athena.sleepers (family, worker_id) VALUES ($2::text, $1::uuid) ON CONFLICT DO NOTHING
