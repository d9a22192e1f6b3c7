-- Waits for earlier claims of a limited family; the claim must follow in the same transaction.
SELECT athena.lock_family($1::text)
