-- Which process of the server serves this session.
SELECT pg_backend_pid() AS pid
