-- Notifies workers that sleep on a family: a place of a limited family became free.
SELECT athena.wake(ARRAY[$1::text])
