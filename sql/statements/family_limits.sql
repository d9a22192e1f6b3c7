-- How the limits of family $1 stand.
SELECT l.limit_name, l.allowed, l.used, l.is_holding, extract(epoch FROM l.next_in) AS next_in_s
  FROM athena.limit_status() AS l WHERE l.family = $1
