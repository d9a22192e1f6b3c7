-- Ends the wait whose token is $1 with the answer $2, or tells how it ended before.
SELECT w.answer, w.state FROM athena.complete_wait($1::text, $2::jsonb) AS w
