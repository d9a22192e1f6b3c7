-- The oldest and the newest job there is: two probes of an index per leaf.
SELECT min(j.id) AS first, max(j.id) AS last FROM athena.jobs AS j
