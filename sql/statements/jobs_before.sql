-- What has to be known before a COPY of jobs: the last id that its snapshot sees, and a time that COPY cannot compute.
SELECT coalesce(max(j.id), 0) AS last_id,
       coalesce($1::timestamptz, now() + $2::interval, now())::text AS run_at
  FROM athena.jobs AS j
