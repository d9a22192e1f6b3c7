-- Makes a dead, cancelled or scheduled job ready.
SELECT athena.retry($1) AS job_id
