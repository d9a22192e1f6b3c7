-- The unfinished job that holds a unique key; null when it has finished meanwhile.
SELECT athena.key_holder($1, $2) AS job_id
