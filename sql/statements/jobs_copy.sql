-- Queues as many jobs as rows follow, as any producer would.
COPY athena.jobs (family, payload, kind, priority, run_at, max_attempts, timeout, concurrency_key) FROM STDIN
