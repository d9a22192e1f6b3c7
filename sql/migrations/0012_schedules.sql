-- oldest-program: 0.1.0
--
-- Schedules: jobs that come again and again, by a cron pattern in a time zone.
--
-- Walk of one fire. A schedule's row says for which time it fires next (next_fire, by the pattern) and
-- when that is to be looked at (next_at: the same and its jitter). The lane `schedule` locks rows that
-- are due, passing by those that another leader has, and in one transaction queues the job, records
-- the fire time in athena.fires and moves next_fire on. So a leader that dies anywhere has done all of
-- it or nothing; and however many lead at once, one fire time brings one job: who has to wait finds
-- the row moved on, and the primary key of fires is the last word.
--
-- When a pattern fires next is decided here and nowhere else. Programs, lanes and people with psql ask
-- athena.next_fire(), which goes by the time zones of the server: two implementations would disagree
-- some day, and so would two copies of the time zone database. It agrees with croner 11 (npm) about
-- patterns of five fields; how that is compared stands in tests/sql/test_next_fire.py.
--
-- A pattern is matched against local time. Where local time jumps or comes again:
--   one time a day (a single minute and a single hour): what comes twice fires at the first; what
--   does not come fires when the clock has jumped, if that is still the same day;
--   all other patterns: what comes twice fires twice, what does not come does not fire.

SET LOCAL ROLE athena_owner;
SET LOCAL search_path = pg_catalog, pg_temp;

INSERT INTO athena.lanes (lane, number, visible, every, help) VALUES
	('schedule', 9, true, '250 ms', 'schedules whose time has come queue their jobs');
INSERT INTO athena.settings VALUES
	('schedule_late_s', '60', 'a fire time that nobody looked at for so many seconds was missed');

-- A pattern that has been read. days and nearest (15W) are days of the month; weekdays are seven
-- masks, Sunday first: bits 0 to 4 for the first to fifth of a month, bit 5 for the last.
CREATE TYPE athena.cron AS (
	minutes      integer[],
	hours        integer[],
	days         integer[],
	nearest      integer[],
	months       integer[],
	weekdays     integer[],
	last_day     boolean,
	last_weekday boolean,
	any_day      boolean,
	any_weekday  boolean,
	needs_both   boolean,
	once_a_day   boolean
);

CREATE FUNCTION athena.refuse_cron(problem text) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RAISE EXCEPTION 'bad cron: %', problem USING ERRCODE = 'invalid_parameter_value',
		HINT = 'Five fields: minute hour day month weekday, such as "30 2 * * mon-fri"; or @daily, "daily 02:30", "weekly mon 02:30", "monthly 1 02:30", "monthly last 02:30".';
END
$$;

-- @daily, "daily 02:30" and the like as five fields; anything else as it is.
CREATE FUNCTION athena.cron_fields(cron text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	typed text := lower(btrim(coalesce(cron, ''), E' \t\n\r\f\v'));
	words text[] := regexp_split_to_array(typed, '[ \t\n\r\f\v]+');
	clock text[] := regexp_match(words[cardinality(words)], '^([01]?\d|2[0-3]):([0-5]\d)$');
	fixed text := CASE typed WHEN '@yearly' THEN '0 0 1 1 *' WHEN '@annually' THEN '0 0 1 1 *' WHEN '@monthly' THEN '0 0 1 * *'
		WHEN '@weekly' THEN '0 0 * * 0' WHEN '@daily' THEN '0 0 * * *' WHEN '@midnight' THEN '0 0 * * *'
		WHEN '@hourly' THEN '0 * * * *' END;
BEGIN
	IF fixed IS NOT NULL THEN
		RETURN string_to_array(fixed, ' ');
	ELSIF typed LIKE '@%' THEN
		PERFORM athena.refuse_cron(format('unknown name "%s" (known: @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually)', left(cron, 40)));
	ELSIF words[1] NOT IN ('daily', 'weekly', 'monthly') THEN
		RETURN words;
	ELSIF clock IS NULL THEN
		PERFORM athena.refuse_cron(format('%s needs a time of day at its end, such as "%s 02:30"', words[1],
			CASE words[1] WHEN 'daily' THEN 'daily' WHEN 'weekly' THEN 'weekly mon' ELSE 'monthly 1' END));
	ELSIF cardinality(words) <> (CASE words[1] WHEN 'daily' THEN 2 ELSE 3 END) THEN
		PERFORM athena.refuse_cron(CASE words[1] WHEN 'daily' THEN 'daily takes a time of day and nothing else'
			WHEN 'weekly' THEN 'weekly takes days and a time, such as "weekly mon,thu 02:30"'
			ELSE 'monthly takes days and a time, such as "monthly 1,15 02:30" or "monthly last 02:30"' END);
	END IF;
	RETURN CASE words[1]
		WHEN 'daily' THEN ARRAY[clock[2], clock[1], '*', '*', '*']
		WHEN 'weekly' THEN ARRAY[clock[2], clock[1], '*', '*', words[2]]
		ELSE ARRAY[clock[2], clock[1], replace(words[2], 'last', 'l'), '*', '*'] END;
END
$$;

-- Names as numbers; a Sunday that ends a range is the seventh day. A name stands alone.
CREATE FUNCTION athena.cron_unname(field text, typed text) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	names text[] := CASE field WHEN 'month' THEN '{jan,feb,mar,apr,may,jun,jul,aug,sep,oct,nov,dec}'::text[]
		WHEN 'weekday' THEN '{sun,mon,tue,wed,thu,fri,sat}'::text[] ELSE '{}' END;
	value text := CASE field WHEN 'weekday' THEN regexp_replace(typed, '-sun(?![a-km-z0-9])', '-7', 'g') ELSE typed END;
BEGIN
	FOR i IN 1 .. cardinality(names) LOOP
		value := regexp_replace(value, format('(?<![a-z0-9/#])%s(?![a-km-z0-9])', names[i]),
			(CASE field WHEN 'month' THEN i ELSE i - 1 END)::text, 'g');
	END LOOP;
	RETURN value;
END
$$;

-- One value of a list: a number, a range, a step, or *; which is one value per row. nth: of weekdays.
CREATE FUNCTION athena.cron_values(field text, typed text, low integer, high integer, OUT value integer, OUT nth text)
RETURNS SETOF record LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	top   integer := CASE field WHEN 'weekday' THEN 6 ELSE high END;
	parts text[] := regexp_match(typed, '^(?:(\*)|(\d{1,6})(?:-(\d{1,6}))?)(?:/(\d{1,6}))?(?:#0*([1-5]|l)|(l))?$');
	first integer := coalesce(parts[2]::integer, low);
	last  integer := CASE WHEN parts[1] IS NOT NULL THEN top ELSE coalesce(parts[3], parts[2])::integer END;
	step  integer := coalesce(parts[4], '1')::integer;
	bound integer := CASE WHEN first < low OR first > high THEN first ELSE first + (last - first) / greatest(step, 1) * greatest(step, 1) END;
BEGIN
	nth := coalesce(parts[5], parts[6]);
	IF typed = '' THEN
		PERFORM athena.refuse_cron(format('%s has an empty value', field));
	ELSIF parts IS NULL OR nth IS NOT NULL AND (field <> 'weekday' OR parts[1] IS NOT NULL AND parts[4] IS NULL) THEN
		PERFORM athena.refuse_cron(format('%s "%s" is no value, range or step', field, left(typed, 40)));
	ELSIF parts[1] IS NULL AND parts[3] IS NULL AND parts[4] IS NOT NULL THEN
		PERFORM athena.refuse_cron(format('%s "%s" has a step without a range: write %s-%s/%s', field, left(typed, 40), first, top, step));
	ELSIF bound NOT BETWEEN low AND high THEN
		PERFORM athena.refuse_cron(format('%s must be %s to %s, not %s', field, low, high, bound));
	ELSIF first > last THEN
		PERFORM athena.refuse_cron(format('%s "%s" ends before it begins', field, left(typed, 40)));
	ELSIF step NOT BETWEEN 1 AND top - low + 1 THEN
		PERFORM athena.refuse_cron(format('%s has a step of %s: it must be 1 to %s', field, step, top - low + 1));
	END IF;
	RETURN QUERY SELECT n, cron_values.nth FROM generate_series(first, last, step) AS n;
END
$$;

CREATE FUNCTION athena.cron_list(field text, typed text, low integer, high integer) RETURNS integer[]
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
	SELECT coalesce(array_agg(DISTINCT v.value ORDER BY v.value), '{}')
	  FROM regexp_split_to_table(typed, ',') AS item, athena.cron_values(field, item, low, high) AS v;
END;

CREATE FUNCTION athena.cron_parse(cron text) RETURNS athena.cron
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p       athena.cron;
	fields  text[] := athena.cron_fields(cron);
	days    text[];
	weekday text;
	v       record;
BEGIN
	IF cardinality(fields) <> 5 THEN
		PERFORM athena.refuse_cron(format('it needs 5 fields (minute, hour, day, month and weekday), and has %s',
			CASE fields[1] WHEN '' THEN 0 ELSE cardinality(fields) END));
	END IF;
	fields := string_to_array(replace(array_to_string(fields, ' '), '?', '*'), ' ');
	p.minutes := athena.cron_list('minute', fields[1], 0, 59);
	p.hours := athena.cron_list('hour', fields[2], 0, 23);
	p.once_a_day := concat(fields[1], fields[2]) !~ '[*/]' AND cardinality(p.minutes) = 1 AND cardinality(p.hours) = 1;

	p.any_day := fields[3] = '*';
	p.last_weekday := fields[3] = 'lw';
	days := CASE WHEN p.last_weekday THEN '{}' ELSE regexp_split_to_array(fields[3], ',') END;
	p.last_day := 'l' = ANY (days);
	days := array_remove(days, 'l');
	p.nearest := athena.cron_list('day', (SELECT string_agg(rtrim(d, 'w'), ',') FROM unnest(days) AS d WHERE d ~ '^\d+w$'), 1, 31);
	p.days := athena.cron_list('day', (SELECT string_agg(d, ',') FROM unnest(days) AS d WHERE d !~ '^\d+w$'), 1, 31);

	p.months := athena.cron_list('month', athena.cron_unname('month', fields[4]), 1, 12);

	weekday := athena.cron_unname('weekday', fields[5]);
	p.needs_both := weekday LIKE '+%';
	weekday := regexp_replace(weekday, '^\+', '');
	p.any_weekday := weekday = '*';
	p.weekdays := array_fill(0, ARRAY[7]);
	FOR v IN SELECT x.* FROM regexp_split_to_table(weekday, ',') AS item, athena.cron_values('weekday', item, 0, 7) AS x LOOP
		p.weekdays[v.value % 7 + 1] := p.weekdays[v.value % 7 + 1]
			| CASE WHEN v.nth IS NULL THEN 63 WHEN v.nth = 'l' THEN 32 ELSE 1 << v.nth::integer - 1 END;
	END LOOP;
	RETURN p;
END
$$;

-- The weekday nearest to the nth of a month, without leaving it; null when the month has no nth.
CREATE FUNCTION athena.cron_nearest(first date, last integer, nth integer) RETURNS integer
LANGUAGE sql IMMUTABLE
RETURN CASE WHEN nth > last THEN NULL ELSE nth + CASE extract(dow FROM first + nth - 1)
	WHEN 0 THEN CASE nth WHEN last THEN -2 ELSE 1 END
	WHEN 6 THEN CASE nth WHEN 1 THEN 2 ELSE -1 END
	ELSE 0 END END;

-- Days of the month and weekdays: either will do where both are named, unless both are asked for.
CREATE FUNCTION athena.cron_has_day(p athena.cron, d date) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	first  date := date_trunc('month', d::timestamp);
	last   integer := extract(day FROM first + interval '1 month' - interval '1 day');
	nth    integer := d - first + 1;
	mask   integer := p.weekdays[extract(dow FROM d)::integer + 1];
	by_day boolean := nth = ANY (p.days) OR p.last_day AND nth = last
		OR p.last_weekday AND nth = last - greatest(extract(isodow FROM first + last - 1)::integer - 5, 0)
		OR p.nearest <> '{}' AND EXISTS (SELECT FROM unnest(p.nearest) AS n WHERE athena.cron_nearest(first, last, n) = nth);
	by_weekday boolean := mask & (1 << (nth - 1) / 7) <> 0 OR mask & 32 <> 0 AND nth + 7 > last;
BEGIN
	RETURN CASE WHEN p.any_weekday THEN by_day WHEN p.needs_both OR p.any_day THEN by_day AND by_weekday ELSE by_day OR by_weekday END;
END
$$;

-- The first local time of the pattern at or after another one. Null when there is none for 41 years:
-- a weekday that is to be 29 February comes every 40 years at the least.
CREATE FUNCTION athena.cron_local(p athena.cron, at timestamp) RETURNS timestamp
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d      date := at::date;
	until  date := at::date + 41 * 366;
	hour   integer := extract(hour FROM at);
	minute integer := extract(minute FROM at) + CASE WHEN date_trunc('minute', at) < at THEN 1 ELSE 0 END;
BEGIN
	WHILE d < until LOOP
		IF NOT extract(month FROM d)::integer = ANY (p.months) THEN
			d := date_trunc('month', d::timestamp) + interval '1 month';
			CONTINUE;
		ELSIF athena.cron_has_day(p, d) THEN
			IF d > at::date THEN
				RETURN d + make_interval(hours => p.hours[1], mins => p.minutes[1]);
			END IF;
			minute := CASE WHEN hour = ANY (p.hours) THEN (SELECT min(m) FROM unnest(p.minutes) AS m WHERE m >= minute) END;
			IF minute IS NULL THEN
				hour := (SELECT min(h) FROM unnest(p.hours) AS h WHERE h > hour);
				minute := p.minutes[1];
			END IF;
			IF hour IS NOT NULL THEN
				RETURN d + make_interval(hours => hour, mins => minute);
			END IF;
		END IF;
		d := d + 1;
	END LOOP;
	RETURN NULL;
END
$$;

-- From low on, the first second whose distance from UTC is not that of low; there is one before high.
CREATE FUNCTION athena.zone_change(zone text, low timestamptz, high timestamptz) RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	shift  interval := (low AT TIME ZONE zone) - (low AT TIME ZONE 'UTC');
	middle timestamptz;
BEGIN
	WHILE high - low > interval '1 s' LOOP
		middle := low + date_trunc('second', (high - low) / 2);
		IF (middle AT TIME ZONE zone) - (middle AT TIME ZONE 'UTC') = shift THEN
			low := middle;
		ELSE
			high := middle;
		END IF;
	END LOOP;
	RETURN high;
END
$$;

-- When it is that time somewhere: once, twice, or never. Then `jump` is when the clock passes it.
CREATE FUNCTION athena.zone_times(zone text, at timestamp, OUT early timestamptz, OUT late timestamptz, OUT jump timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	about  timestamptz := at AT TIME ZONE zone;
	eve    timestamptz := about - interval '1 day';
	morrow timestamptz := about + interval '1 day';
	by_old timestamptz := (at - ((eve AT TIME ZONE zone) - (eve AT TIME ZONE 'UTC'))) AT TIME ZONE 'UTC';
	by_new timestamptz := (at - ((morrow AT TIME ZONE zone) - (morrow AT TIME ZONE 'UTC'))) AT TIME ZONE 'UTC';
BEGIN
	IF by_old = by_new AND by_old AT TIME ZONE zone = at THEN
		early := by_old;
		late := by_old;
		RETURN;
	END IF;
	SELECT min(t), max(t) INTO early, late FROM unnest(ARRAY[by_old, by_new, about]) AS t WHERE t AT TIME ZONE zone = at;
	IF early IS NULL THEN
		jump := athena.zone_change(zone, least(by_old, by_new), greatest(by_old, by_new));
	END IF;
END
$$;

-- The first fire after `after` among local times from `at` on.
CREATE FUNCTION athena.cron_from(p athena.cron, zone text, after timestamptz, at timestamp) RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t     record;
	fires timestamptz;
BEGIN
	LOOP
		at := athena.cron_local(p, at);
		EXIT WHEN at IS NULL;
		SELECT * INTO t FROM athena.zone_times(zone, at);
		fires := CASE WHEN t.early > after THEN t.early
			WHEN NOT p.once_a_day AND t.late > after THEN t.late
			WHEN p.once_a_day AND t.jump > after AND (t.jump AT TIME ZONE zone)::date = at::date THEN t.jump END;
		EXIT WHEN fires IS NOT NULL;
		at := at + interval '1 minute';
	END LOOP;
	RETURN fires;
END
$$;

-- Local time goes on from `after`, but for what is to come again after the clock is set back.
CREATE FUNCTION athena.cron_next(p athena.cron, zone text, after timestamptz) RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	here   timestamp := date_trunc('second', after AT TIME ZONE zone);
	fires  timestamptz := athena.cron_from(p, zone, after, date_trunc('minute', here) + interval '1 minute');
	t      record;
	change timestamptz;
BEGIN
	IF p.once_a_day OR (after AT TIME ZONE zone) - (after AT TIME ZONE 'UTC')
		= ((after + interval '1 day') AT TIME ZONE zone) - ((after + interval '1 day') AT TIME ZONE 'UTC') THEN
		RETURN fires;
	END IF;
	SELECT * INTO t FROM athena.zone_times(zone, here);
	IF t.early IS NULL OR t.early = t.late OR after >= t.late THEN
		RETURN fires;
	END IF;
	change := athena.zone_change(zone, date_trunc('second', after), date_trunc('second', after) + interval '1 day');
	RETURN least(fires, athena.cron_from(p, zone, change - interval '1 microsecond', change AT TIME ZONE zone));
END
$$;

CREATE FUNCTION athena.next_fire(cron text, zone text DEFAULT 'UTC', after timestamptz DEFAULT now()) RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER
RETURN athena.cron_next(athena.cron_parse(cron), zone, after);
COMMENT ON FUNCTION athena.next_fire IS 'When a cron pattern fires next in a time zone, later than `after`; null when never. athena.schedules goes by the same.';

CREATE FUNCTION athena.is_in_window(at timestamp, opens time, closes time) RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN CASE WHEN opens IS NULL THEN true
	    WHEN opens < closes THEN at::time >= opens AND at::time < closes
	    ELSE at::time >= opens OR at::time < closes END;

CREATE TABLE athena.schedules (
	name         text COLLATE "C" PRIMARY KEY
		CONSTRAINT "a schedule name is a-z, then up to 62 of a-z 0-9 _ -"
		CHECK (name ~ '^[a-z][a-z0-9_-]{0,62}$'),
	cron         text NOT NULL
		CONSTRAINT "a cron has at most 1000 characters" CHECK (length(cron) <= 1000),
	zone         text NOT NULL DEFAULT 'UTC',
	jitter       interval NOT NULL DEFAULT '0'
		CONSTRAINT "jitter is 0 to 1 day" CHECK (jitter BETWEEN '0' AND '1 day'),
	catch_up     text COLLATE "C" NOT NULL DEFAULT 'skip'
		CONSTRAINT "catch_up is skip or once" CHECK (catch_up IN ('skip', 'once')),
	overlap      text COLLATE "C" NOT NULL DEFAULT 'skip'
		CONSTRAINT "overlap is skip or allow" CHECK (overlap IN ('skip', 'allow')),
	opens        time,
	closes       time,
	family       text COLLATE "C" NOT NULL REFERENCES athena.families (name) ON UPDATE CASCADE,
	kind         text
		CONSTRAINT "a kind has at most 200 characters" CHECK (length(kind) <= 200),
	payload      jsonb NOT NULL DEFAULT '{}'
		CONSTRAINT "a payload is a JSON object" CHECK (jsonb_typeof(payload) = 'object')
		CONSTRAINT "a payload has at most 1 MiB" CHECK (pg_column_size(payload || '{}') <= 1048576),
	priority     smallint NOT NULL DEFAULT 5
		CONSTRAINT "priority is 0 (first) to 9 (last)" CHECK (priority BETWEEN 0 AND 9),
	max_attempts smallint
		CONSTRAINT "max_attempts is 1 to 1000" CHECK (max_attempts BETWEEN 1 AND 1000),
	timeout      interval
		CONSTRAINT "timeout is positive and at most 30 days" CHECK (timeout > '0' AND timeout <= '30 days'),
	concurrency_key text COLLATE "C"
		CONSTRAINT "a concurrency_key has 1 to 512 bytes" CHECK (octet_length(concurrency_key) BETWEEN 1 AND 512),
	producer     name NOT NULL DEFAULT current_user,
	created_at   timestamptz NOT NULL DEFAULT now(),
	paused_at    timestamptz,
	next_fire    timestamptz,
	next_at      timestamptz,
	last_job     bigint,
	queued       bigint NOT NULL DEFAULT 0,
	skipped      bigint NOT NULL DEFAULT 0,
	failed       bigint NOT NULL DEFAULT 0,
	CONSTRAINT "a window opens and closes, at different times" CHECK ((opens IS NULL) = (closes IS NULL) AND opens <> closes)
);
CREATE INDEX schedules_due ON athena.schedules (next_at) WHERE paused_at IS NULL;
COMMENT ON TABLE athena.schedules IS 'Jobs that come again and again: INSERT (name, cron, zone, family, payload). next_fire is the time by the pattern, next_at that and its jitter; both are kept by Athena.';

CREATE TABLE athena.fires (
	schedule text COLLATE "C" NOT NULL REFERENCES athena.schedules (name) ON UPDATE CASCADE ON DELETE CASCADE,
	fire_at  timestamptz NOT NULL,
	at       timestamptz NOT NULL DEFAULT clock_timestamp(),
	outcome  text COLLATE "C" NOT NULL CHECK (outcome IN ('queued', 'skipped', 'failed')),
	job_id   bigint,
	reason   text,
	PRIMARY KEY (schedule, fire_at)
);
COMMENT ON TABLE athena.fires IS 'What became of each fire time of a schedule: a job was queued, or not, and why not. Kept as long as dead jobs are.';

-- The same fire time has the same jitter, whoever asks and whenever.
CREATE FUNCTION athena.fire_due(name text, fire_at timestamptz, jitter interval) RETURNS timestamptz
LANGUAGE sql STABLE
RETURN fire_at + date_trunc('second', jitter * (('x' || left(md5(concat(name, '@', extract(epoch FROM fire_at)::bigint)), 8))::bit(32)::bigint / 4294967296.0));

-- The next fire of a schedule that lies in its window. Where one lies outside, whatever comes before
-- the window opens is passed over, but for three hours, in which clocks may be set.
CREATE FUNCTION athena.schedule_next(s athena.schedules, p athena.cron, after timestamptz) RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	fires timestamptz := after;
	here  timestamp;
BEGIN
	FOR looked IN 1 .. 2000 LOOP
		fires := athena.cron_next(p, s.zone, fires);
		here := fires AT TIME ZONE s.zone;
		IF fires IS NULL OR athena.is_in_window(here, s.opens, s.closes) THEN
			RETURN fires;
		END IF;
		here := here::date + s.opens + CASE WHEN here::time > s.opens THEN interval '1 day' ELSE '0' END;
		fires := greatest(fires, (here AT TIME ZONE s.zone) - interval '3 h');
	END LOOP;
	RETURN NULL;
END
$$;

-- The latest fire that is due, of which `lowest` is one. There may be very many: what lies between is halved.
CREATE FUNCTION athena.schedule_latest(s athena.schedules, p athena.cron, lowest timestamptz, upto timestamptz) RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	latest  timestamptz := lowest;
	highest timestamptz := upto;
	next    timestamptz;
	middle  timestamptz;
	beyond  timestamptz;
BEGIN
	LOOP
		next := athena.schedule_next(s, p, latest);
		EXIT WHEN next IS NULL OR athena.fire_due(s.name, next, s.jitter) > upto;
		middle := next + greatest(highest - next, '0') / 2;
		beyond := athena.schedule_next(s, p, middle);
		IF athena.fire_due(s.name, beyond, s.jitter) <= upto THEN
			latest := beyond;
		ELSE
			latest := next;
			highest := middle;
		END IF;
	END LOOP;
	RETURN latest;
END
$$;

-- Checks what people write. Runs as whoever writes, who has to be allowed to enqueue himself, and whose
-- jobs they are from then on.
CREATE FUNCTION athena.schedules_check() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	keys jsonb := (SELECT f.payload_keys FROM athena.families AS f WHERE f.name = NEW.family);
BEGIN
	IF NOT EXISTS (SELECT FROM athena.families AS f WHERE f.name = NEW.family)
		OR jsonb_typeof(NEW.payload) = 'object' AND athena.payload_problem(NEW.payload, keys) IS NOT NULL THEN
		PERFORM athena.refuse_job(NEW.family, NEW.payload);
	ELSIF NOT EXISTS (SELECT FROM athena.schedules AS s WHERE s.zone = NEW.zone) -- the other look takes 50 ms
		AND NOT EXISTS (SELECT FROM pg_timezone_names AS z WHERE z.name = NEW.zone AND z.name !~ '^(posix|right)/') THEN
		RAISE EXCEPTION 'unknown time zone "%"', NEW.zone USING ERRCODE = 'invalid_parameter_value',
			HINT = 'Names are those of the IANA, such as Europe/Berlin: SELECT name FROM pg_timezone_names.';
	END IF;
	PERFORM athena.refuse_producer(current_user, ARRAY[NEW.family]);
	NEW.producer := current_user;
	RETURN NEW;
END
$$;
CREATE TRIGGER check_it
	BEFORE INSERT OR UPDATE OF name, cron, zone, family, kind, payload, priority, max_attempts, timeout, concurrency_key, producer
	ON athena.schedules FOR EACH ROW EXECUTE FUNCTION athena.schedules_check();

-- Begins anew from now: after a change, and when a pause ends.
CREATE FUNCTION athena.schedules_plan() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	NEW.next_fire := athena.schedule_next(NEW, athena.cron_parse(NEW.cron), clock_timestamp());
	NEW.next_at := athena.fire_due(NEW.name, NEW.next_fire, NEW.jitter);
	IF NEW.next_fire IS NULL THEN
		PERFORM athena.refuse_cron(format('"%s" never fires', left(NEW.cron, 100)) ||
			CASE WHEN NEW.opens IS NULL THEN '' ELSE format(' from %s to %s', NEW.opens, NEW.closes) END);
	END IF;
	RETURN NEW;
END
$$;
CREATE TRIGGER plan_it BEFORE INSERT OR UPDATE OF name, cron, zone, jitter, opens, closes
	ON athena.schedules FOR EACH ROW EXECUTE FUNCTION athena.schedules_plan();
CREATE TRIGGER resume_it BEFORE UPDATE OF paused_at
	ON athena.schedules FOR EACH ROW WHEN (NEW.paused_at IS NULL) EXECUTE FUNCTION athena.schedules_plan();

-- Jobs of schedules are inserted by the owner, who has asked for their producers' right before.
CREATE OR REPLACE FUNCTION athena.refuse_producer(producer name, families text[]) RETURNS void
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	closed text;
BEGIN
	SELECT f.name INTO closed FROM athena.families AS f
	 WHERE f.name = ANY (families) AND f.producers IS NOT NULL AND producer <> 'athena_owner'
	   AND NOT EXISTS (SELECT FROM unnest(f.producers) AS allowed (role)
			     JOIN pg_roles AS r ON r.rolname = allowed.role
			     JOIN pg_roles AS p ON p.rolname = producer
			    WHERE pg_has_role(p.oid, r.oid, 'MEMBER'))
	 ORDER BY f.name LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'role "%" may not enqueue into family "%"', producer, closed
			USING ERRCODE = 'insufficient_privilege',
			HINT = 'athena.families.producers names the roles that may.';
	END IF;
END
$$;

-- What comes next, paused or not: the times by the pattern, and when each is to queue its job.
CREATE FUNCTION athena.schedule_fires(name text, most integer, OUT fire_at timestamptz, OUT due_at timestamptz, OUT zone text)
RETURNS SETOF record LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s athena.schedules;
BEGIN
	SELECT * INTO s FROM athena.schedules AS x WHERE x.name = schedule_fires.name;
	fire_at := CASE WHEN FOUND THEN now() END;
	zone := s.zone;
	FOR n IN 1 .. most LOOP
		EXIT WHEN fire_at IS NULL;
		fire_at := athena.schedule_next(s, athena.cron_parse(s.cron), fire_at);
		EXIT WHEN fire_at IS NULL;
		due_at := athena.fire_due(s.name, fire_at, s.jitter);
		RETURN NEXT;
	END LOOP;
END
$$;
COMMENT ON FUNCTION athena.schedule_fires IS 'The next fire times of a schedule, and when each queues its job.';

CREATE FUNCTION athena.schedule_job(s athena.schedules, why text) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	job bigint;
BEGIN
	PERFORM athena.refuse_producer(s.producer, ARRAY[s.family]);
	INSERT INTO athena.jobs (family, kind, payload, priority, max_attempts, timeout, concurrency_key)
	VALUES (s.family, s.kind, s.payload, s.priority, s.max_attempts, s.timeout, s.concurrency_key) RETURNING id INTO job;
	INSERT INTO athena.events (job_id, kind, message) VALUES (job, 'scheduled', format('by schedule %s, %s', s.name, why));
	RETURN job;
END
$$;

-- The last job of a schedule, as long as that is neither finished nor forgotten.
CREATE FUNCTION athena.schedule_unfinished(s athena.schedules) RETURNS bigint
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT (s).last_job FROM athena.place_of((s).last_job) AS p WHERE p.place < 'succeeded';
END;

-- Queues the job of one fire time; answers what became of it. What is wrong with this job fails this
-- fire, and no other schedule: those that are due go on. What is wrong with the moment (a lock, a full
-- disk) fails the whole step, which comes again.
CREATE FUNCTION athena.fire(s athena.schedules, fire_at timestamptz, OUT outcome text, OUT job_id bigint, OUT reason text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	late       interval := now() - athena.fire_due(s.name, fire_at, s.jitter);
	unfinished bigint := CASE s.overlap WHEN 'skip' THEN athena.schedule_unfinished(s) END;
BEGIN
	outcome := 'skipped';
	reason := CASE
		WHEN s.catch_up = 'skip' AND late > make_interval(secs => athena.setting('schedule_late_s'))
		THEN format('missed: nobody looked for %s', date_trunc('second', late))
		WHEN NOT athena.is_in_window(now() AT TIME ZONE s.zone, s.opens, s.closes)
		THEN format('late: it was past the window from %s to %s', s.opens, s.closes)
		WHEN unfinished IS NOT NULL THEN format('job %s was unfinished', unfinished) END;
	IF reason IS NULL THEN
		job_id := athena.schedule_job(s, format('for %s', to_char(fire_at AT TIME ZONE s.zone, 'YYYY-MM-DD HH24:MI ') || s.zone));
		outcome := 'queued';
	END IF;
EXCEPTION WHEN OTHERS THEN
	IF SQLSTATE ~ '^(08|25|40|53|55|57|58|F0|XX)' THEN
		RAISE;
	END IF;
	outcome := 'failed';
	reason := SQLERRM;
END
$$;

-- All that is due of one schedule, whose row is locked: one job at most.
CREATE FUNCTION athena.fire_schedule(s athena.schedules, keep interval) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p      athena.cron := athena.cron_parse(s.cron);
	latest timestamptz := athena.schedule_latest(s, p, s.next_fire, now());
	next   timestamptz := athena.schedule_next(s, p, latest);
	missed boolean := latest > s.next_fire;
	done   record;
BEGIN
	INSERT INTO athena.fires (schedule, fire_at, outcome, reason)
	SELECT s.name, s.next_fire, 'skipped', format('missed: nobody looked until %s', to_char(now() AT TIME ZONE s.zone, 'YYYY-MM-DD HH24:MI:SS'))
	 WHERE missed ON CONFLICT DO NOTHING;
	SELECT NULL::text AS outcome, NULL::bigint AS job_id INTO done;
	IF NOT EXISTS (SELECT FROM athena.fires AS f WHERE f.schedule = s.name AND f.fire_at = latest) THEN
		SELECT * INTO done FROM athena.fire(s, latest);
		INSERT INTO athena.fires (schedule, fire_at, outcome, job_id, reason) VALUES (s.name, latest, done.outcome, done.job_id, done.reason);
	END IF;
	UPDATE athena.schedules AS x
	   SET next_fire = next, next_at = athena.fire_due(x.name, next, x.jitter), last_job = coalesce(done.job_id, x.last_job),
	       queued = x.queued + CASE done.outcome WHEN 'queued' THEN 1 ELSE 0 END,
	       skipped = x.skipped + CASE done.outcome WHEN 'skipped' THEN 1 ELSE 0 END + missed::integer,
	       failed = x.failed + CASE done.outcome WHEN 'failed' THEN 1 ELSE 0 END
	 WHERE x.name = s.name;
	DELETE FROM athena.fires AS f WHERE f.ctid = ANY (ARRAY(
		SELECT o.ctid FROM athena.fires AS o WHERE o.schedule = s.name AND o.fire_at < now() - keep ORDER BY o.fire_at LIMIT 100));
END
$$;

-- When it fires next cannot be told: its time zone, say, is none of this server's (they come and go with
-- packages). The others go on, and this one is looked at again in a minute.
CREATE FUNCTION athena.schedule_stays(s athena.schedules, problem text) RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
	WITH told AS (
		INSERT INTO athena.fires (schedule, fire_at, outcome, reason) VALUES ((s).name, (s).next_fire, 'failed', problem)
		ON CONFLICT DO NOTHING RETURNING 1)
	UPDATE athena.schedules AS x SET next_at = now() + interval '1 min', failed = x.failed + (SELECT count(*) FROM told)
	 WHERE x.name = (s).name;
END;

CREATE FUNCTION athena.lane_schedule(most integer, keep interval) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off AS $$
DECLARE
	s     athena.schedules;
	fired bigint := 0;
BEGIN
	FOR s IN SELECT * FROM athena.schedules AS x WHERE x.paused_at IS NULL AND x.next_at <= now()
		  ORDER BY x.next_at LIMIT most FOR UPDATE SKIP LOCKED LOOP
		BEGIN
			PERFORM athena.fire_schedule(s, keep);
			fired := fired + 1;
		EXCEPTION WHEN invalid_parameter_value THEN
			PERFORM athena.schedule_stays(s, SQLERRM);
		END;
	END LOOP;
	RETURN fired;
END
$$;

-- By hand, whatever the time; not while its last job is unfinished, if jobs may not overlap.
CREATE FUNCTION athena.run_schedule(name text) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s   athena.schedules;
	job bigint;
BEGIN
	PERFORM athena.require_read_committed();
	SELECT * INTO s FROM athena.schedules AS x WHERE x.name = run_schedule.name FOR UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'unknown schedule "%"', run_schedule.name USING ERRCODE = 'no_data_found', HINT = 'athena schedule list';
	ELSIF s.overlap = 'skip' AND athena.schedule_unfinished(s) IS NOT NULL THEN
		RAISE EXCEPTION 'job % of schedule "%" is unfinished', s.last_job, s.name
			USING ERRCODE = 'object_in_use', HINT = format('athena job show %s', s.last_job);
	END IF;
	job := athena.schedule_job(s, 'by hand');
	INSERT INTO athena.fires (schedule, fire_at, outcome, job_id, reason) VALUES (s.name, clock_timestamp(), 'queued', job, 'by hand');
	UPDATE athena.schedules AS x SET last_job = job, queued = x.queued + 1 WHERE x.name = s.name;
	RETURN job;
END
$$;
COMMENT ON FUNCTION athena.run_schedule IS 'Queues a job of a schedule now, and returns its id.';

CREATE VIEW athena.schedule_status AS
SELECT s.name,
       CASE WHEN s.paused_at IS NOT NULL THEN 'paused'
	    WHEN s.next_at < now() - make_interval(secs => (SELECT x.value::integer FROM athena.settings AS x WHERE x.name = 'schedule_late_s')) THEN 'overdue'
	    ELSE 'active' END AS state,
       s.cron, s.zone, s.next_fire, s.next_at, s.jitter, s.opens, s.closes, s.catch_up, s.overlap,
       s.family, s.kind, athena.redact(s.payload) AS payload, s.priority, s.max_attempts, s.timeout, s.concurrency_key,
       s.producer, s.created_at, s.paused_at, s.queued, s.skipped, s.failed,
       f.fire_at AS last_fire, f.outcome AS last_outcome, f.reason AS last_reason, s.last_job, p.place AS last_job_state
  FROM athena.schedules AS s
  LEFT JOIN LATERAL (SELECT x.fire_at, x.outcome, x.reason FROM athena.fires AS x
		      WHERE x.schedule = s.name ORDER BY x.fire_at DESC LIMIT 1) AS f ON true
  LEFT JOIN LATERAL athena.place_of(s.last_job) AS p ON true;
COMMENT ON VIEW athena.schedule_status IS 'Every schedule: when it fires next, and what became of the last time. Secrets in payload are masked.';

-- As before, with the lane `schedule`.
CREATE OR REPLACE FUNCTION athena.run_lane(lane text, worker_id uuid, args jsonb DEFAULT '{}') RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	started  timestamptz := clock_timestamp();
	most     integer := coalesce((args ->> 'most')::integer, 1000);
	finished interval := coalesce((args ->> 'finished')::interval, '7 days');
	dead     interval := coalesce((args ->> 'dead')::interval, '30 days');
	did      bigint;
BEGIN
	IF NOT athena.lane_begin(lane, worker_id) THEN
		RETURN NULL;
	END IF;
	did := CASE lane
		WHEN 'promote' THEN athena.lane_promote(most) + athena.split_ready(most / 50)
		WHEN 'rescue' THEN athena.lane_rescue(most)
		WHEN 'deadlines' THEN athena.lane_deadlines(most)
		WHEN 'waits' THEN athena.lane_waits(most)
		WHEN 'tallies' THEN athena.lane_tallies()
		WHEN 'leaves' THEN athena.lane_leaves()
		WHEN 'prune' THEN athena.lane_prune(finished, dead)
		WHEN 'registry' THEN athena.lane_registry()
		WHEN 'schedule' THEN athena.lane_schedule(most / 10, greatest(finished, dead))
	END;
	PERFORM athena.lane_end(lane, worker_id, did, started);
	RETURN did;
END
$$;

GRANT SELECT, DELETE, INSERT (name, cron, zone, jitter, catch_up, overlap, opens, closes, family, kind, payload, priority, max_attempts, timeout,
	concurrency_key, paused_at), UPDATE (name, cron, zone, jitter, catch_up, overlap, opens, closes, family, kind, payload, priority,
	max_attempts, timeout, concurrency_key, paused_at) ON athena.schedules TO athena_worker;
GRANT SELECT ON athena.fires, athena.schedule_status TO athena_worker, athena_reader;
GRANT EXECUTE ON FUNCTION athena.run_schedule TO athena_worker;
GRANT EXECUTE ON FUNCTION athena.schedule_fires TO athena_worker, athena_reader;
GRANT EXECUTE ON FUNCTION athena.next_fire TO athena_worker, athena_producer, athena_reader;
GRANT SELECT (name, family, paused_at, next_fire, next_at, queued, skipped, failed) ON athena.schedules TO athena_reader, athena_maintenance;
