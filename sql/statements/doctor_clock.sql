-- The server's clock, to compare with the one here.
SELECT extract(epoch FROM clock_timestamp())::double precision AS epoch
