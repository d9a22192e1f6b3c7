-- What has been applied, in order.
SELECT number, name, checksum, program, oldest_program, applied_at
  FROM athena.migrations
 ORDER BY number
