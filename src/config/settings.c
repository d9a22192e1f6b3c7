/* SPDX-License-Identifier: PostgreSQL */
/* The tables of settings and default numbers. */
#include "config/settings.h"

#include <string.h>

#include "base/mem.h"

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define YEAR (365 * DAY)

/* Rows are name, type, flags, default, least, most; durations in ms. */
static const struct option_row database_rows[] = {
	{"url", OPTION_TEXT, OPTION_SECRET | OPTION_URI,
		.help = "control-plane database: URI or key=value; libpq's defaults when not set"},
	{"direct_url", OPTION_TEXT, OPTION_SECRET | OPTION_URI,
		.help = "the same database past a pooler, for LISTEN and clones; `url` when not "
			"set"},
	{"prepare", OPTION_WORD, 0, "auto", .words = "auto|never",
		.help = "never: no prepared statements, for poolers that cannot follow them"},
	{0},
};

static const struct option_row worker_rows[] = {
	{"concurrency", OPTION_INT, OPTION_RELOADABLE, "4", 1, 1000,
		.help = "slots of a family that says nothing else"},
	{"heartbeat", OPTION_DURATION, 0, "5s", 100, 20 * SECOND,
		.help = "how often a process shows that it is alive; four times per lease at "
			"least"},
	{"fence_margin", OPTION_DURATION, 0, "5s", 100, MINUTE,
		.help = "an executor kills itself so long before its lease runs out; a quarter of "
			"it at most"},
	{"drain", OPTION_DURATION, OPTION_RELOADABLE, "30s", 0, DAY,
		.help = "time to finish what runs after SIGTERM; the rest is handed back"},
	{"cancel_grace", OPTION_DURATION, OPTION_RELOADABLE, "10s", 0, HOUR,
		.help = "time between asking an attempt to stop and killing it"},
	{"poll", OPTION_DURATION, OPTION_RELOADABLE, "2s", 10, DAY,
		.help = "slow poll for work, the backstop of wake-ups"},
	{"reconnect_min", OPTION_DURATION, 0, "100ms", 10, MINUTE,
		.help = "first pause before connecting again; doubles"},
	{"reconnect_max", OPTION_DURATION, 0, "2s", 10, HOUR,
		.help = "longest pause before connecting again"},
	{"executor_attempts", OPTION_INT, OPTION_RELOADABLE, "100000", 1, 1000000,
		.help = "attempts after which an executor process is replaced"},
	{0},
};

static const struct option_row retention_rows[] = {
	{"finished", OPTION_DURATION, OPTION_RELOADABLE, "7d", MINUTE, 100 * YEAR,
		.help = "how long succeeded and cancelled jobs are kept"},
	{"dead", OPTION_DURATION, OPTION_RELOADABLE, "30d", MINUTE, 100 * YEAR,
		.help = "how long dead jobs are kept"},
	{0},
};

static const struct option_row daemon_rows[] = {
	{"enabled", OPTION_BOOL, 0, "false",
		.help = "true: athena-daemon or athena-worker run the jobs; false: `athena server` "
			"does, all but clone"},
	{0},
};

static const struct option_row http_rows[] = {
	{"listen", OPTION_TEXT, 0, "127.0.0.1:4052",
		.help = "address of `athena server`; athena-worker listens only with --http"},
	{"callback_secret", OPTION_TEXT, OPTION_SECRET,
		.help = "with it, --http takes signed POST /callbacks/TOKEN for jobs that wait; 16 "
			"characters at least"},
	{0},
};

static const struct option_row log_rows[] = {
	{"level", OPTION_WORD, OPTION_RELOADABLE, "info", .words = "debug|info|warn|error",
		.help = "least level that is written to stderr"},
	{"format", OPTION_WORD, OPTION_RELOADABLE, "logfmt", .words = "logfmt|json",
		.help = "form of a log line"},
	{0},
};

static const struct option_row pg_rows[] = {
	{"dump_path", OPTION_TEXT, OPTION_RELOADABLE,
		.help = "pg_dump to use; looked for in PATH when not set"},
	{"restore_path", OPTION_TEXT, OPTION_RELOADABLE,
		.help = "pg_restore to use; looked for in PATH when not set"},
	{0},
};

static const struct option_row backup_rows[] = {
	{"directory", OPTION_TEXT, OPTION_RELOADABLE,
		.help = "where backups are kept on this host; made if its last part is missing"},
	{"prefix", OPTION_TEXT, OPTION_RELOADABLE,
		.help = "what the names of all objects begin with, without a slash at the end"},
	{"key", OPTION_TEXT, OPTION_RELOADABLE | OPTION_SECRET,
		.help = "encrypts backups: 64 hexadecimal digits; see docs/families/backup.md"},
	{"key_file", OPTION_TEXT, OPTION_RELOADABLE,
		.help = "file of such keys, one per line; the first encrypts, all decrypt"},
	{0},
};

static const struct option_row backup_s3_rows[] = {
	{"provider", OPTION_WORD, OPTION_RELOADABLE, "s3",
		.words = "s3|r2|aws|aws_s3|cloudflare_r2|cloudflare-r2",
		.help = "whose S3 it is; r2: Cloudflare's, by account_id"},
	{"account_id", OPTION_TEXT, OPTION_RELOADABLE, .help = "the account of R2"},
	{"endpoint", OPTION_TEXT, OPTION_RELOADABLE,
		.help = "scheme, host and port of any other server; the provider's own when not "
			"set"},
	{"region", OPTION_TEXT, OPTION_RELOADABLE,
		.help = "the bucket's region; us-east-1, or auto with R2, when not set"},
	{"bucket", OPTION_TEXT, OPTION_RELOADABLE, .help = "the bucket, which must exist"},
	{"prefix", OPTION_TEXT, OPTION_RELOADABLE, .help = "what all keys begin with"},
	{"style", OPTION_WORD, OPTION_RELOADABLE, "auto", .words = "auto|path|host",
		.help = "where the bucket stands; auto: in the host with AWS, else in the path"},
	{"access_key_id", OPTION_TEXT, OPTION_RELOADABLE,
		.help = "who we are; when not set, see credentials_file"},
	{"secret_access_key", OPTION_TEXT, OPTION_SECRET | OPTION_RELOADABLE,
		.help = "the secret of access_key_id"},
	{"session_token", OPTION_TEXT, OPTION_SECRET | OPTION_RELOADABLE,
		.help = "of temporary credentials"},
	{"credentials_file", OPTION_TEXT, OPTION_RELOADABLE,
		.help = "a file as the AWS tools keep it; without it AWS_ACCESS_KEY_ID and so on "
			"are used"},
	{"profile", OPTION_TEXT, OPTION_RELOADABLE, "default",
		.help = "the section of credentials_file"},
	{"ca_file", OPTION_TEXT, OPTION_RELOADABLE,
		.help = "certificates to trust instead of the system's"},
	{"part_size", OPTION_INT, OPTION_RELOADABLE, "8388608", 5242880, 1073741824,
		.unit = "bytes",
		.help = "of an upload's first 1000 parts; doubles each 1000, and three are in "
			"memory"},
	{"tries", OPTION_INT, OPTION_RELOADABLE, "8", 1, 100,
		.help = "requests that may work later are tried so often"},
	{"connect_timeout", OPTION_DURATION, OPTION_RELOADABLE, "10s", 100, HOUR,
		.help = "longest wait for a connection"},
	{"stall_timeout", OPTION_DURATION, OPTION_RELOADABLE, "60s", SECOND, HOUR,
		.help = "a request is given up after so long below 1 KiB/s"},
	{0},
};

const struct settings_section settings_sections[] = {
	{"database", "where the queue is", database_rows},
	{"worker", "how a worker behaves", worker_rows},
	{"retention", "how long ended jobs are kept", retention_rows},
	{"daemon", "who runs jobs besides workers", daemon_rows},
	{"http", "API, dashboard and metrics", http_rows},
	{"log", "what is logged, and how", log_rows},
	{"pg", "Postgres' own tools", pg_rows},
	{"backup", "where backups are kept", backup_rows},
	{"backup.s3", "where backups are kept, if in a bucket", backup_s3_rows},
	{0},
};

const struct option_row settings_family[] = {
	{"run", OPTION_TEXT,
		.help = "built-in family that does the work; the family's own name when not set"},
	{"command", OPTION_LIST, OPTION_RELOADABLE,
		.help = "program and arguments of `run: command`; no shell is involved"},
	{"env", OPTION_OBJECT, OPTION_RELOADABLE,
		.help = "names and values added to the command's environment"},
	{"permanent_exits", OPTION_INTS, OPTION_RELOADABLE, NULL, 1, 255,
		.help = "exit statuses that are not worth a retry, instead of the usual ones"},
	{"wait_timeout", OPTION_DURATION, OPTION_RELOADABLE, NULL, SECOND, YEAR,
		.help = "lets the command park its job by exit status 100, for so long at most"},
	{"concurrency", OPTION_INT, OPTION_RELOADABLE, NULL, 1, 1000,
		.help = "slots of one process; worker.concurrency when not set"},
	{"timeout", OPTION_DURATION, 0, NULL, SECOND, YEAR,
		.help = "longest time of one attempt; seeds the family's row"},
	{"lease", OPTION_DURATION, 0, NULL, 6 * SECOND, DAY,
		.help = "how long a silent worker keeps a job; seeds the family's row"},
	{"max_attempts", OPTION_INT, 0, NULL, 1, 1000,
		.help = "attempts before a job is dead; seeds the family's row"},
	{0},
};

const struct option_row settings_limits[] = {
	{"priority", OPTION_INT, 0, "5", 0, 9,
		.help = "priority of a job that says nothing; 0 is first"},
	{"max_attempts", OPTION_INT, 0, "5", 1, 1000, .help = "attempts before a job is dead"},
	{"lease", OPTION_DURATION, 0, "20s", 6 * SECOND, DAY,
		.help = "how long a silent worker keeps a job"},
	{"lease_long", OPTION_DURATION, 0, "120s", 6 * SECOND, DAY,
		.help = "the same, of clone and backup"},
	{"backoff_base", OPTION_DURATION, 0, "1s",
		.help = "pause before attempt n + 1 is this times 2^n"},
	{"backoff_cap", OPTION_DURATION, 0, "1h", .help = "longest pause between attempts"},
	{"backoff_jitter", OPTION_INT, 0, "20", 0, 100, .unit = "%",
		.help = "random part of that pause, up or down"},
	{"payload_bytes", OPTION_INT, 0, "1048576", .unit = "bytes", .help = "largest payload"},
	{"event_line_bytes", OPTION_INT, 0, "8192", .unit = "bytes",
		.help = "an event's message is cut there"},
	{"lanes_visible", OPTION_DURATION, 0, "250ms", .help = "promotion, rescue, cron"},
	{"lanes_hygiene", OPTION_DURATION, 0, "10s",
		.help = "partitions, retention, tallies, registry"},
	{"maintenance_lock_timeout", OPTION_DURATION, 0, "20ms",
		.help = "maintenance waits no longer for a lock on a table"},
	{0},
};

const char *const settings_foreign[] = {
	"urls",
	"hosts",
	"authenticator",
	"api",
	"gateway",
	"typesense",
	"deferred_writes",
	"validation_ranges",
	NULL,
};

const char *const settings_reserved_variables[] = {
	"ATHENA_CONFIG_PATH",
	"ATHENA_JOB_",
	"ATHENA_FAULT",
	"ATHENA_BUILD",
	"ATHENA_PG_BIN",
	"ATHENA_TEST",
	NULL,
};

const struct settings_section *settings_find(const char *name)
{
	for (const struct settings_section *section = settings_sections; section->name; section++)
		if (strcmp(section->name, name) == 0)
			return section;
	return NULL;
}

bool settings_has_inner(const char *name)
{
	size_t length = strlen(name);

	for (const struct settings_section *section = settings_sections; section->name; section++)
		if (strncmp(section->name, name, length) == 0 && section->name[length] == '.')
			return true;
	return false;
}
