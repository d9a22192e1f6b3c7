-- No claim that starts afterwards takes a job of this family. True when it was not paused before.
SELECT athena.pause($1) AS changed
