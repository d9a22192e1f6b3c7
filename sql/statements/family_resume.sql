-- Lets a paused family be claimed again. True when it was paused.
SELECT athena.resume($1) AS changed
