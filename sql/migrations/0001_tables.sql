-- oldest-program: 0.1.0
--
-- Roles, tables, and the families that every system has.
--
-- A job's body (athena.jobs) is written once and never updated. Where the job is, is which table
-- holds its ticket: ready, scheduled, leases, waiting or outcomes; exactly one of them at a time.

DO $roles$
DECLARE
	name text;
BEGIN
	FOREACH name IN ARRAY ARRAY['athena_owner', 'athena_worker', 'athena_maintenance', 'athena_producer', 'athena_reader']
	LOOP
		BEGIN
			IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = name) THEN
				EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', name);
			END IF;
		EXCEPTION WHEN duplicate_object OR unique_violation THEN
			NULL; -- another database of this cluster was migrated in the same moment
		END;
	END LOOP;
	-- From Postgres 16 on, who has made a role may grant it, but does not yet act as it.
	IF NOT pg_catalog.pg_has_role(current_user, 'athena_owner',
		CASE WHEN pg_catalog.current_setting('server_version_num')::integer < 160000 THEN 'MEMBER' ELSE 'SET' END) THEN
		EXECUTE pg_catalog.format('GRANT athena_owner TO %I', current_user);
	END IF;
END
$roles$;

CREATE SCHEMA IF NOT EXISTS athena AUTHORIZATION athena_owner;
SET LOCAL ROLE athena_owner;
SET LOCAL search_path = pg_catalog, pg_temp;

COMMENT ON SCHEMA athena IS 'Athena: jobs are rows. INSERT INTO athena.jobs (family, payload) queues one; SELECT * FROM athena.job_status shows them.';

CREATE TYPE athena.job_state AS ENUM
	('ready', 'scheduled', 'running', 'waiting', 'succeeded', 'dead', 'cancelled');

-- What has been applied to this database; written by whoever applies it, in the same transaction.
CREATE TABLE athena.migrations (
	number         integer PRIMARY KEY,
	name           text NOT NULL,
	checksum       text NOT NULL,
	program        text NOT NULL,
	oldest_program text NOT NULL,
	applied_at     timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE athena.migrations IS 'Migrations that were applied: checksum is the SHA-256 of the text, program the version that applied it, oldest_program the oldest that can live with it.';

-- Which system this is, so that a restored or copied database does not run the original's jobs.
CREATE TABLE athena.meta (
	only_row          boolean PRIMARY KEY DEFAULT true CHECK (only_row),
	system_identifier bigint NOT NULL,
	database_oid      oid NOT NULL,
	adopted_at        timestamptz NOT NULL DEFAULT now()
);
INSERT INTO athena.meta (system_identifier, database_oid)
SELECT c.system_identifier, d.oid
  FROM pg_control_system() AS c, pg_database AS d
 WHERE d.datname = current_database();

-- Numbers that the maintenance lanes go by; few people ever change them.
CREATE TABLE athena.settings (
	name  text PRIMARY KEY,
	value text NOT NULL,
	help  text NOT NULL
);
INSERT INTO athena.settings VALUES
	('leaf_ids', '50000000', 'job ids in one leaf of jobs and outcomes; changes hold for leaves yet to be made'),
	('prune_keep_rows', '100000', 'a pair of leaves is emptied once no more rows than this have to be kept'),
	('prune_keep_bytes', '67108864', 'and once their bodies take no more than this'),
	('prune_look_rows', '50000', 'outcomes looked at in one step where a leaf cannot be emptied whole'),
	('prune_batch_rows', '5000', 'expired jobs deleted in one such step'),
	('chunk_jobs', '500', 'jobs of a chunked family that share a ticket at most; 1000 is all that is possible');

CREATE TABLE athena.families (
	name           text COLLATE "C" PRIMARY KEY
		CONSTRAINT "a family name is a-z, then up to 62 of a-z 0-9 _ -"
		CHECK (name ~ '^[a-z][a-z0-9_-]{0,62}$'),
	builtin        boolean NOT NULL DEFAULT false,
	summary        text NOT NULL DEFAULT '',
	lease          interval NOT NULL DEFAULT '20 s'
		CONSTRAINT "a lease lasts from 6 s to 1 day"
		CHECK (lease BETWEEN '6 s' AND '1 day'),
	timeout        interval
		CONSTRAINT "a timeout is positive" CHECK (timeout > '0'),
	max_attempts   smallint NOT NULL DEFAULT 5
		CONSTRAINT "max_attempts is 1 to 1000" CHECK (max_attempts BETWEEN 1 AND 1000),
	backoff_base   interval NOT NULL DEFAULT '1 s'
		CONSTRAINT "backoff_base is 0 to 1 year" CHECK (backoff_base BETWEEN '0' AND '1 year'),
	backoff_cap    interval NOT NULL DEFAULT '1 h'
		CONSTRAINT "backoff_cap is 0 to 1 year" CHECK (backoff_cap BETWEEN '0' AND '1 year'),
	backoff_jitter real NOT NULL DEFAULT 0.2
		CONSTRAINT "backoff_jitter is 0 to 1" CHECK (backoff_jitter BETWEEN 0 AND 1),
	paused_at      timestamptz,
	max_running    integer
		CONSTRAINT "max_running is positive" CHECK (max_running > 0),
	max_running_per_key integer
		CONSTRAINT "max_running_per_key is positive" CHECK (max_running_per_key > 0),
	rate_count     integer
		CONSTRAINT "rate_count is positive" CHECK (rate_count > 0),
	rate_period    interval
		CONSTRAINT "rate_period is 1 s to 31 days" CHECK (rate_period BETWEEN '1 s' AND '31 days'),
	rate_burst     integer
		CONSTRAINT "rate_burst is positive" CHECK (rate_burst > 0),
	is_limited     boolean NOT NULL GENERATED ALWAYS AS
		(max_running IS NOT NULL OR max_running_per_key IS NOT NULL OR rate_count IS NOT NULL) STORED,
	producers      name[],
	payload_keys   jsonb
		CONSTRAINT "payload_keys is an object" CHECK (jsonb_typeof(payload_keys) = 'object'),
	chunked        boolean NOT NULL DEFAULT false,
	wants_keys     boolean NOT NULL GENERATED ALWAYS AS
		(payload_keys IS NOT NULL AND jsonb_path_exists(payload_keys, '$.* ? (@.required == true)')) STORED,
	created_at     timestamptz NOT NULL DEFAULT now(),
	CONSTRAINT "rate_count comes with rate_period, and rate_burst with both"
		CHECK ((rate_count IS NULL) = (rate_period IS NULL) AND (rate_burst IS NULL OR rate_count IS NOT NULL)),
	CONSTRAINT "a chunked family has no limits" CHECK (NOT (chunked AND is_limited))
);
COMMENT ON TABLE athena.families IS 'Kinds of work. lease: how long a silent worker keeps a job; paused_at: nothing is claimed while set; max_running: at most so many at once in the whole cluster; max_running_per_key: at most so many of one concurrency_key; rate_count, rate_period, rate_burst: so many starts per period, and so many of them at once (null: rate_count); producers: roles that may enqueue (null: all); chunked: many jobs share a ticket; payload_keys: what a payload may hold (null: anything).';

-- One sequence numbers jobs and tickets: a fresh job's ticket is its id. CACHE stays 1, because
-- the claim cursor's floor is proved from numbers being handed out in order.
CREATE TABLE athena.jobs (
	id           bigint GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME athena.tickets CACHE 1),
	family       text COLLATE "C" NOT NULL
		CONSTRAINT "a family name has at most 63 characters" CHECK (length(family) <= 63),
	kind         text
		CONSTRAINT "a kind has at most 200 characters" CHECK (length(kind) <= 200),
	payload      jsonb NOT NULL DEFAULT '{}'
		CONSTRAINT "a payload is a JSON object" CHECK (jsonb_typeof(payload) = 'object')
		-- || unpacks a value that comes compressed from another table
		CONSTRAINT "a payload has at most 1 MiB" CHECK (pg_column_size(payload || '{}') <= 1048576),
	priority     smallint NOT NULL DEFAULT 5
		CONSTRAINT "priority is 0 (first) to 9 (last)" CHECK (priority BETWEEN 0 AND 9),
	run_at       timestamptz NOT NULL DEFAULT now()
		CONSTRAINT "run_at is finite and less than 10 years ahead"
		CHECK (isfinite(run_at) AND run_at < created_at + interval '10 years'),
	max_attempts smallint
		CONSTRAINT "max_attempts is 1 to 1000" CHECK (max_attempts BETWEEN 1 AND 1000),
	timeout      interval
		CONSTRAINT "timeout is positive and at most 30 days"
		CHECK (timeout > '0' AND timeout <= '30 days'),
	unique_key   text COLLATE "C"
		CONSTRAINT "a unique_key has 1 to 512 bytes" CHECK (octet_length(unique_key) BETWEEN 1 AND 512),
	concurrency_key text COLLATE "C"
		CONSTRAINT "a concurrency_key has 1 to 512 bytes" CHECK (octet_length(concurrency_key) BETWEEN 1 AND 512),
	created_at   timestamptz NOT NULL DEFAULT now(),
	CONSTRAINT jobs_pkey PRIMARY KEY (id)
) PARTITION BY RANGE (id);
COMMENT ON TABLE athena.jobs IS 'What was asked for, written once. INSERT (family, payload) and optionally kind, priority, run_at, max_attempts, timeout, unique_key, concurrency_key.';

-- Partitioned as jobs is, so that the primary key forbids a second outcome and both leaves of a
-- range can be emptied together.
CREATE TABLE athena.outcomes (
	job_id      bigint CONSTRAINT outcomes_pkey PRIMARY KEY,
	ticket      bigint NOT NULL,
	started_at  timestamptz,
	finished_at timestamptz NOT NULL DEFAULT now(),
	worker_id   uuid,
	state       athena.job_state NOT NULL
		CONSTRAINT "an outcome is final" CHECK (state >= 'succeeded'),
	attempt     smallint NOT NULL,
	family      text COLLATE "C" NOT NULL
) PARTITION BY RANGE (job_id);
COMMENT ON TABLE athena.outcomes IS 'How jobs ended, one row per finished job, or per chunk that succeeded whole. The view athena.finished has a row per job.';

-- What catches ids that outran the leaves. It stays nearly empty: attaching a leaf scans it.
CREATE TABLE athena.jobs_default PARTITION OF athena.jobs DEFAULT;
CREATE TABLE athena.outcomes_default PARTITION OF athena.outcomes DEFAULT;

-- Tickets. A ticket is never updated: to change one is to delete it and insert a new number, so a
-- claim never meets a row that changed under it. has_key, timeout and concurrency_key save the moves
-- from reading the body. With eight columns the null bitmap still fits the padding of the row's
-- header: a key that is not there costs no byte, and a ninth column would cost every ticket eight.
-- Never partitioned: the claim goes by ctid.
CREATE TABLE athena.ready (
	ticket   bigint NOT NULL,
	job_id   bigint NOT NULL,
	priority smallint NOT NULL,
	attempt  smallint NOT NULL,
	has_key  boolean NOT NULL,
	family   text COLLATE "C" NOT NULL,
	timeout  interval,
	concurrency_key text COLLATE "C"
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
	autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off);
CREATE INDEX ready_line ON athena.ready (family, priority, ticket);
CREATE INDEX ready_chunks ON athena.ready (family, priority, ticket) WHERE attempt < 0;
CREATE INDEX ready_renumbered ON athena.ready (job_id) WHERE ticket <> job_id;
CREATE INDEX ready_keyed ON athena.ready (family, concurrency_key, priority, ticket) WHERE concurrency_key IS NOT NULL;
COMMENT ON TABLE athena.ready IS 'Tickets that may be claimed now, in the order (family, priority, ticket). attempt: how often it was run before; below 0, the ticket stands for that many jobs (chunks).';

CREATE TABLE athena.scheduled (
	job_id   bigint PRIMARY KEY,
	run_at   timestamptz NOT NULL,
	priority smallint NOT NULL,
	attempt  smallint NOT NULL,
	has_key  boolean NOT NULL,
	family   text COLLATE "C" NOT NULL,
	timeout  interval,
	concurrency_key text COLLATE "C"
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX scheduled_due ON athena.scheduled (run_at);
COMMENT ON TABLE athena.scheduled IS 'Jobs that become ready at run_at: delayed, or waiting out a back-off.';

CREATE TABLE athena.leases (
	ticket      bigint PRIMARY KEY,
	job_id      bigint NOT NULL,
	worker_id   uuid NOT NULL,
	claimed_at  timestamptz NOT NULL DEFAULT now(),
	deadline_at timestamptz,
	priority    smallint NOT NULL,
	attempt     smallint NOT NULL,
	has_key     boolean NOT NULL,
	family      text COLLATE "C" NOT NULL,
	timeout     interval,
	concurrency_key text COLLATE "C"
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
	autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off);
CREATE INDEX leases_renumbered ON athena.leases (job_id) WHERE ticket <> job_id;
CREATE INDEX leases_keyed ON athena.leases (family, concurrency_key) WHERE concurrency_key IS NOT NULL;
COMMENT ON TABLE athena.leases IS 'A worker holds this ticket. Never updated; ticket and worker_id together are the fence.';

CREATE TABLE athena.waiting (
	job_id     bigint PRIMARY KEY,
	ticket     bigint NOT NULL,
	expires_at timestamptz NOT NULL,
	claimed_at timestamptz NOT NULL DEFAULT now(),
	priority   smallint NOT NULL,
	attempt    smallint NOT NULL,
	has_key    boolean NOT NULL,
	family     text COLLATE "C" NOT NULL,
	timeout    interval,
	concurrency_key text COLLATE "C"
);
CREATE INDEX waiting_late ON athena.waiting (expires_at);
COMMENT ON TABLE athena.waiting IS 'Jobs parked until somebody outside answers (athena.waits), or expires_at.';

-- Which jobs a ticket of a chunked family stands for; one that is not here stands for its one job.
-- The ticket moves through ready, leases and outcomes as any other does; job_id there is the first
-- of the jobs, and in ready attempt is minus their number, which keeps claims that know nothing of
-- chunks away. What does not hold for all of them alike (one has failed, or their worker is dead)
-- ends the chunk first, so that the rest of the machinery has ordinary jobs before it: lease_split,
-- leave_chunk, claim_apart. All are from one block of a thousand ids, by which the chunk of a job is
-- found (block_of).
CREATE TABLE athena.chunks (
	ticket   bigint PRIMARY KEY,
	block    bigint NOT NULL,
	size     integer NOT NULL,
	priority smallint NOT NULL,
	family   text COLLATE "C" NOT NULL,
	jobs     int8multirange NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX chunks_block ON athena.chunks (block);
COMMENT ON TABLE athena.chunks IS 'Tickets that stand for many jobs, until these are pruned: jobs are their ids, size is how many, block the thousand that they are from.';

CREATE FUNCTION athena.block_of(job_id bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN job_id / 1000;

CREATE FUNCTION athena.ids_of(jobs int8multirange) RETURNS SETOF bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 500
BEGIN ATOMIC
	SELECT generate_series(lower(r.ids), upper(r.ids) - 1) FROM unnest(jobs) AS r (ids);
END;

CREATE TABLE athena.uniques (
	family text COLLATE "C" NOT NULL,
	key    text COLLATE "C" NOT NULL,
	job_id bigint NOT NULL UNIQUE,
	PRIMARY KEY (family, key)
);
COMMENT ON TABLE athena.uniques IS 'Unique keys of unfinished jobs.';

-- One delta per statement that moves tickets; a lane folds them. sum(delta) is the depth.
CREATE TABLE athena.tallies (
	family text COLLATE "C" NOT NULL,
	state  athena.job_state NOT NULL,
	delta  bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
	autovacuum_vacuum_cost_delay = 0);

-- What only ever grows, in deltas as well: 'pruned' jobs, and attempts that were taken from their
-- worker by reason ('silent', 'dead', 'unregistered', 'overdue').
CREATE TABLE athena.totals (
	family text COLLATE "C" NOT NULL,
	what   text COLLATE "C" NOT NULL,
	delta  bigint NOT NULL
);

CREATE SEQUENCE athena.event_numbers;

CREATE TABLE athena.events (
	job_id  bigint NOT NULL,
	seq     bigint NOT NULL DEFAULT nextval('athena.event_numbers'),
	at      timestamptz NOT NULL DEFAULT clock_timestamp(),
	ticket  bigint,
	attempt smallint,
	phase   text,
	level   text NOT NULL DEFAULT 'info'
		CONSTRAINT "level is debug, info, warn or error"
		CHECK (level IN ('debug', 'info', 'warn', 'error')),
	kind    text NOT NULL,
	message text NOT NULL DEFAULT '',
	details jsonb
) PARTITION BY RANGE (at);
CREATE INDEX events_job ON athena.events (job_id, seq);
CREATE TABLE athena.events_default PARTITION OF athena.events DEFAULT;
COMMENT ON TABLE athena.events IS 'What happened to a job, in the order of seq (ascending, with gaps). The ordinary way through the queue writes none.';

CREATE TABLE athena.failures (
	job_id    bigint NOT NULL,
	ticket    bigint NOT NULL,
	at        timestamptz NOT NULL DEFAULT clock_timestamp(),
	worker_id uuid,
	attempt   smallint NOT NULL,
	kind      text NOT NULL,
	code      text,
	family    text COLLATE "C" NOT NULL,
	error     text NOT NULL,
	details   jsonb,
	retry_at  timestamptz
) PARTITION BY RANGE (at);
CREATE INDEX failures_job ON athena.failures (job_id, ticket);
CREATE TABLE athena.failures_default PARTITION OF athena.failures DEFAULT;
COMMENT ON TABLE athena.failures IS 'A row per failed attempt. kind: transient, permanent, timeout, crashed, lost; retry_at: when it was to run again, null for never.';

CREATE TABLE athena.workers (
	id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	kind         text NOT NULL,
	host         text NOT NULL,
	boot_id      text NOT NULL DEFAULT '',
	pid          integer NOT NULL DEFAULT 0,
	pid_started  bigint NOT NULL DEFAULT 0,
	version      text NOT NULL DEFAULT '',
	families     text[] NOT NULL DEFAULT '{}',
	started_at   timestamptz NOT NULL DEFAULT now(),
	heartbeat_at timestamptz NOT NULL DEFAULT now(),
	stopping     boolean NOT NULL DEFAULT false
) WITH (fillfactor = 20, autovacuum_vacuum_threshold = 1000);
COMMENT ON TABLE athena.workers IS 'The processes that are or were lately running. boot_id, pid and pid_started say which process of which boot it is.';

-- A worker's sign that it sleeps and wants to be notified. Narrow, apart from the heartbeat, and
-- mostly empty pages, since every producer's insert reads it.
CREATE TABLE athena.sleepers (
	family    text COLLATE "C" NOT NULL,
	worker_id uuid NOT NULL,
	PRIMARY KEY (family, worker_id)
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200,
	autovacuum_vacuum_cost_delay = 0);

-- What claims of a limited family remember from one to the next; written under its lock, and only
-- where there is something to remember. Losing a row lets a rate begin anew, and nothing else.
CREATE TABLE athena.limits (
	family     text COLLATE "C" PRIMARY KEY,
	full_at    timestamptz,
	key_after  text COLLATE "C",
	line_after bigint[]
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200,
	autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE athena.limits IS 'Where the limits of families stand. full_at: when all starts that the rate allows at once are there again; key_after: where the next look at concurrency keys begins; line_after: priority and ticket after which the search for jobs without a key goes on.';

CREATE TABLE athena.cancel_requests (
	ticket       bigint NOT NULL,
	job_id       bigint NOT NULL,
	requested_at timestamptz NOT NULL DEFAULT now(),
	requested_by name NOT NULL DEFAULT session_user,
	PRIMARY KEY (ticket, job_id)
);

CREATE TABLE athena.progress (
	ticket bigint PRIMARY KEY,
	job_id bigint NOT NULL,
	at     timestamptz NOT NULL DEFAULT now(),
	phase  text,
	done   bigint NOT NULL,
	total  bigint,
	unit   text NOT NULL
) WITH (fillfactor = 20);
CREATE INDEX progress_job ON athena.progress (job_id);
COMMENT ON TABLE athena.progress IS 'How far a long attempt is. total is null while unknown.';

CREATE TABLE athena.lanes (
	lane     text COLLATE "C" PRIMARY KEY,
	number   integer NOT NULL UNIQUE,
	visible  boolean NOT NULL,
	every    interval NOT NULL,
	next_at  timestamptz NOT NULL DEFAULT now(),
	last_at  timestamptz,
	last_by  uuid,
	took_ms  double precision,
	did      bigint NOT NULL DEFAULT 0,
	total    bigint NOT NULL DEFAULT 0,
	runs     bigint NOT NULL DEFAULT 0,
	position bigint NOT NULL DEFAULT 0,
	help     text NOT NULL
) WITH (fillfactor = 10);
COMMENT ON TABLE athena.lanes IS 'Maintenance: who ran which lane last, and what it did. visible lanes keep jobs moving, the others keep the tables small. position: where the next step of a lane goes on that walks.';
INSERT INTO athena.lanes (lane, number, visible, every, help) VALUES
	('promote',   1, true,  '250 ms', 'scheduled jobs that fall due become ready'),
	('rescue',    2, true,  '250 ms', 'jobs of silent or dead workers become ready again'),
	('deadlines', 3, true,  '250 ms', 'attempts far over their timeout are taken from their worker'),
	('waits',     4, true,  '250 ms', 'attempts whose wait nobody answered in time have failed'),
	('tallies',   5, false, '10 s',   'folds the deltas that the depth is summed from'),
	('leaves',    6, false, '10 s',   'makes leaves of partitioned tables ahead of need'),
	('prune',     7, false, '10 s',   'removes jobs whose retention has passed'),
	('registry',  8, false, '10 s',   'forgets workers that are gone, and what they left');

INSERT INTO athena.families (name, builtin, summary, lease, timeout, max_attempts, payload_keys) VALUES
	('noop', true, 'does nothing, or sleeps, fails and crashes as told; for tests and benchmarks',
	 '20 s', NULL, 5,
	 '{"sleep_ms": {"type": "integer", "min": 0, "max": 86400000},
	   "busy_ms": {"type": "integer", "min": 0, "max": 86400000},
	   "fail": {"type": "string", "enum": ["transient", "permanent"]},
	   "fail_times": {"type": "integer", "min": 0, "max": 1000},
	   "message": {"type": "string"},
	   "crash": {"type": "string", "enum": ["exit", "abort", "kill"]},
	   "ignore_cancel": {"type": "boolean"},
	   "pad": {"type": "string"}}'),
	('command', true, 'runs a command that the worker''s configuration names',
	 '20 s', NULL, 5,
	 '{"name": {"type": "string", "required": true},
	   "args": {"type": "array"}}'),
	('clone', true, 'copies a whole database, verified row by row',
	 '120 s', NULL, 5,
	 '{"source": {"type": "string", "required": true},
	   "target": {"type": "string", "required": true},
	   "verify": {"type": "string", "enum": ["full", "counts", "none"]}}');
