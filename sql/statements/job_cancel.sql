-- Cancels one job: cancelled, requested, or the final state that it had already.
SELECT athena.cancel($1) AS answer
