-- Whether this database has ever been migrated.
SELECT to_regclass('athena.migrations') IS NOT NULL AS there
