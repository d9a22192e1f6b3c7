-- An own transaction id: everybody who did something before this transaction began has a lower one, or none yet.
SELECT pg_current_xact_id()::text AS xid
