-- oldest-program: 0.1.0
--
-- Clones: a sample of rows to compare, tables without rows, owners that stay behind.

SET LOCAL ROLE athena_owner;
SET LOCAL search_path = pg_catalog, pg_temp;

INSERT INTO athena.families (name, builtin, summary, lease, timeout, max_attempts, payload_keys) VALUES
	('clone', true, 'copies a whole database, verified row by row',
	 '120 s', NULL, 5,
	 '{"source": {"type": "string", "required": true},
	   "target": {"type": "string", "required": true},
	   "verify": {"type": "string", "enum": ["full", "sample", "counts", "none"]},
	   "sample_percent": {"type": "integer", "min": 1, "max": 99},
	   "exclude_data": {"type": "array"},
	   "owner_policy": {"type": "string", "enum": ["strict", "skip"]},
	   "mode": {"type": "string", "enum": ["auto", "pipe", "staged", "parallel"]},
	   "jobs": {"type": "integer", "min": 1, "max": 64},
	   "dry_run": {"type": "boolean"}}')
ON CONFLICT (name) DO UPDATE SET payload_keys = excluded.payload_keys;
