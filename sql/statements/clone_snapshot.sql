-- The name under which pg_dump sees what this transaction sees, as long as it lasts.
SELECT pg_export_snapshot() AS snapshot
