-- What sessions do is looked at anew from here on: a transaction sees it as it was at its first look.
SELECT pg_stat_clear_snapshot()
