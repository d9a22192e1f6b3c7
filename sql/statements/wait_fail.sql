-- Fails the wait whose token is $1 with the error $2, for good if $3, or tells how it ended before.
SELECT w.answer, w.state FROM athena.fail_wait($1::text, $2::text, $3::boolean) AS w
