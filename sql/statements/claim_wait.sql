-- How soon the next claim of a limited family may find something although no job comes and none ends; null: not at all.
SELECT athena.wait_for_limits($1::text) AS wait_ms
