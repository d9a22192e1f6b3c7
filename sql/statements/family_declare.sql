-- Makes a family's row when there is none; never changes one. A null keeps the table's default.
INSERT INTO athena.families AS f (name, summary, lease, timeout, max_attempts)
VALUES ($1::text, $2::text, coalesce($3::interval, '20 s'), $4::interval, coalesce($5::smallint, 5::smallint))
ON CONFLICT (name) DO NOTHING
