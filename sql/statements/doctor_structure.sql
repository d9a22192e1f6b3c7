-- What the moves of tickets rely on and somebody else's DDL could have changed: triggers, the sequence behind the
-- cursor's proof, ready without children, no row security, no logical replication of tickets.
WITH wanted (tab, trigger) AS (
	VALUES ('jobs', 'need_xid'), ('jobs', 'take_key'), ('jobs', 'make_tickets'), ('jobs', 'check_producer'), ('ready', 'wake'),
	       ('jobs', 'no_truncate'), ('ready', 'no_truncate'), ('scheduled', 'no_truncate'), ('leases', 'no_truncate'),
	       ('waiting', 'no_truncate'), ('outcomes', 'no_truncate')),
tables AS (
	SELECT c.oid, c.relname, c.relrowsecurity FROM pg_class AS c
	 WHERE c.relnamespace = 'athena'::regnamespace AND c.relkind IN ('r', 'p')),
found AS (
	SELECT format('trigger %s of athena.%s is missing', w.trigger, w.tab) AS finding,
	       'restore the schema from a backup, or drop it and migrate anew' AS remedy
	  FROM wanted AS w
	 WHERE NOT EXISTS (SELECT FROM tables AS t JOIN pg_trigger AS g ON g.tgrelid = t.oid
			    WHERE t.relname = w.tab AND g.tgname = w.trigger)
	UNION ALL
	SELECT format('trigger %s of athena.%s is disabled', g.tgname, t.relname),
	       format('ALTER TABLE athena.%I ENABLE TRIGGER %I', t.relname, g.tgname)
	  FROM tables AS t JOIN pg_trigger AS g ON g.tgrelid = t.oid WHERE g.tgenabled <> 'O'
	UNION ALL
	SELECT format('sequence athena.tickets hands out %s numbers at once: cursors may pass a job by', s.seqcache),
	       'ALTER SEQUENCE athena.tickets CACHE 1'
	  FROM pg_sequence AS s WHERE s.seqrelid = 'athena.tickets'::regclass AND s.seqcache <> 1
	UNION ALL
	SELECT format('athena.ready has a child table, %s', i.inhrelid::regclass), format('ALTER TABLE %s NO INHERIT athena.ready', i.inhrelid::regclass)
	  FROM pg_inherits AS i WHERE i.inhparent = 'athena.ready'::regclass
	UNION ALL
	SELECT format('athena.%s has row security, which refuses producers', t.relname), format('ALTER TABLE athena.%I DISABLE ROW LEVEL SECURITY', t.relname)
	  FROM tables AS t WHERE t.relrowsecurity
	UNION ALL
	SELECT format('publication %s replicates athena.%s%s: tickets of two systems would mix', p.pubname, min(p.tablename),
		      CASE WHEN count(*) > 1 THEN format(' and %s more', count(*) - 1) ELSE '' END),
	       'take the schema athena out of that publication'
	  FROM pg_publication_tables AS p WHERE p.schemaname = 'athena' GROUP BY p.pubname
	UNION ALL
	SELECT format('subscription %s writes into athena.%s%s, past its triggers', s.subname, min(t.relname),
		      CASE WHEN count(*) > 1 THEN format(' and %s more', count(*) - 1) ELSE '' END),
	       format('take the schema athena out of what it subscribes to, or DROP SUBSCRIPTION %I', s.subname)
	  FROM pg_subscription_rel AS r JOIN pg_subscription AS s ON s.oid = r.srsubid JOIN tables AS t ON t.oid = r.srrelid
	 GROUP BY s.subname)
SELECT 'wrong' AS verdict, f.finding, f.remedy FROM found AS f
UNION ALL
SELECT 'good', 'triggers, sequence and tables are as they must be', NULL WHERE NOT EXISTS (SELECT FROM found)
