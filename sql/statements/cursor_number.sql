-- The highest number given out so far; the first half of a mark, read before the id of own_xid is drawn.
SELECT last_value - (NOT is_called)::integer AS number FROM athena.tickets
