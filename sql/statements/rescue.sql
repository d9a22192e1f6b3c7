-- Takes up to $6 leases of worker $2, whose heartbeat $3 was watched for $4 or who is known to be dead ($5), for
-- rescuer $1. No row when it is silent and holds nothing; null when another process leads the rescue.
SELECT athena.rescue($1::uuid, $2::uuid, $3::timestamptz, $4::interval, $5::boolean, $6::integer) AS rescued
 WHERE $5::boolean OR EXISTS (SELECT FROM athena.leases AS l WHERE l.worker_id = $2::uuid)
