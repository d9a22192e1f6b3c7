-- A clean goodbye: hands back what is still leased, removes sign and registration.
SELECT athena.unregister_worker($1::uuid)
