-- Living processes of other releases than this one, $1; those older than what the schema asks for are wrong.
WITH asked AS (
	SELECT max(string_to_array(substring(m.oldest_program FROM '^[0-9.]+'), '.')::integer[]) AS oldest FROM athena.migrations AS m),
other AS (
	SELECT w.version, count(*) AS processes, min(format('%s on %s, process %s', w.kind, w.host, w.pid)) AS one,
	       string_to_array(substring(w.version FROM '^[0-9]+(?:\.[0-9]+)*'), '.')::integer[] < a.oldest AS is_too_old
	  FROM athena.worker_status AS w, asked AS a WHERE w.state <> 'silent' AND w.version <> $1
	 GROUP BY w.version, a.oldest)
SELECT CASE WHEN o.is_too_old THEN 'wrong' ELSE 'note' END AS verdict,
       format('%s of athena %s, and this is %s: %s', CASE o.processes WHEN 1 THEN 'a process is' ELSE o.processes || ' processes are' END,
	      o.version, $1, o.one) || CASE WHEN o.is_too_old THEN '; the schema asks for ' || array_to_string(a.oldest, '.') ELSE '' END AS finding,
       CASE WHEN o.is_too_old THEN 'end it, and start one of this release' ELSE 'right while an update goes on; otherwise start it anew' END AS remedy
  FROM other AS o, asked AS a
UNION ALL
SELECT 'good', format('every living process is athena %s', $1), NULL
 WHERE NOT EXISTS (SELECT FROM other) AND EXISTS (SELECT FROM athena.worker_status AS w WHERE w.state <> 'silent')
