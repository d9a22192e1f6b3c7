-- Queues a job of schedule $1 now, and answers its id.
SELECT athena.run_schedule($1) AS job_id
