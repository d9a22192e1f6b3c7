-- Settings without which a committed job may be gone after a crash. fsync and full_page_writes are the server's;
-- synchronous_commit may be this role's alone, so what a worker has can differ.
SELECT 'wrong' AS verdict, format('%s is off: a crash of the server may lose committed jobs', s.name) AS finding,
       format('ALTER SYSTEM SET %s = on', s.name) AS remedy
  FROM pg_settings AS s
 WHERE s.name = ANY (ARRAY['fsync', 'full_page_writes', 'synchronous_commit']) AND s.setting = 'off'
UNION ALL
SELECT 'good', 'fsync, full_page_writes and synchronous_commit are on', NULL
 WHERE NOT EXISTS (SELECT FROM pg_settings AS s
		    WHERE s.name = ANY (ARRAY['fsync', 'full_page_writes', 'synchronous_commit']) AND s.setting = 'off')
