-- The ids that this transaction has given out, if its one snapshot was taken before and saw none above $1.
SELECT min(j.id) AS first_id, max(j.id) AS last_id FROM athena.jobs AS j WHERE j.id > $1
