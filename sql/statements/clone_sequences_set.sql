-- Moves the sequences $1 to $2, which has been drawn if $3.
SELECT setval(s.name::regclass, s.last::bigint, s.is_called::boolean)
FROM unnest($1::text[], $2::text[], $3::text[]) AS s (name, last, is_called)
