-- Whether this database is the one that was migrated, and not a copy that would run the original's jobs.
SELECT CASE WHEN athena.is_own_system() THEN 'good' ELSE 'wrong' END AS verdict,
       CASE WHEN athena.is_own_system() THEN 'this is the system that the schema was made in'
	    ELSE 'this database is a restored or copied one: workers refuse to start' END AS finding,
       CASE WHEN NOT athena.is_own_system() THEN 'athena adopt' END AS remedy
