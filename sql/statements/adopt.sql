-- Declares a restored or copied database to be a system of its own; answers how many leases it handed back.
SELECT athena.is_own_system() AS was_own, CASE WHEN NOT athena.is_own_system() THEN athena.adopt() END AS returned
