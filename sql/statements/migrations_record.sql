-- Records a migration in the transaction that applies it.
INSERT INTO athena.migrations (number, name, checksum, program, oldest_program)
VALUES ($1, $2, $3, $4, $5)
