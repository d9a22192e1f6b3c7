/* SPDX-License-Identifier: PostgreSQL */
#include "config/config.h"

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/redact.h"
#include "config/settings.h"
#include "suite.h"

static char scratch[] = "/tmp/athena-unit.XXXXXX";
static char source[PATH_MAX];

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *ftw)
{
	(void)status, (void)kind, (void)ftw;
	return remove(path);
}

static void leave(void)
{
	nftw(scratch, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* An empty folder to be in, and an environment without anything that speaks to us. */
static void enter(void)
{
	ck_assert(getcwd(source, sizeof(source)));
	ck_assert(mkdtemp(scratch));
	atexit(leave);
	ck_assert_int_eq(chdir(scratch), 0);
	clearenv();
}

static void put(const char *path, const char *text)
{
	FILE *file CLEANUP(close_file) = fopen(path, "we");

	ck_assert(file);
	fputs(text, file);
}

static struct config *load(const char *path)
{
	struct config *config = NULL;
	struct err e;

	ck_assert_msg(config_load(path, &config, &e), "%s", e.text);
	return config;
}

/* Loads a config.yaml of this text. */
static struct config *load_text(const char *yaml)
{
	put("config.yaml", yaml);
	return load(NULL);
}

static void check_refused(const char *path, const char *error)
{
	struct config *config = NULL;
	struct err e = {0};

	ck_assert_msg(!config_load(path, &config, &e), "%s", error);
	ck_assert_str_eq(e.text, error);
	ck_assert_int_eq(e.kind, ERR_CONFIG);
	ck_assert_ptr_null(config);
}

START_TEST(without_a_file_there_are_defaults)
{
	struct config *config CLEANUP(config_clear) = NULL;

	enter();
	config = load(NULL);
	ck_assert_ptr_null(config->config_path);
	ck_assert_ptr_null(config->database_url);
	ck_assert_ptr_null(config->database_direct_url);
	ck_assert_int_eq(config->database_prepare, CONFIG_PREPARE_AUTO);
	ck_assert_int_eq(config->worker.concurrency, 4);
	ck_assert_int_eq(config->worker.heartbeat_ms, 5000);
	ck_assert_int_eq(config->worker.fence_margin_ms, 5000);
	ck_assert_int_eq(config->worker.drain_ms, 30000);
	ck_assert_int_eq(config->worker.cancel_grace_ms, 10000);
	ck_assert_int_eq(config->worker.poll_ms, 2000);
	ck_assert_int_eq(config->worker.reconnect_min_ms, 100);
	ck_assert_int_eq(config->worker.reconnect_max_ms, 2000);
	ck_assert_int_eq(config->worker.executor_attempts, 100000);
	ck_assert_int_eq(config->retention.finished_ms, INT64_C(7) * 86400000);
	ck_assert_int_eq(config->retention.dead_ms, INT64_C(30) * 86400000);
	ck_assert_str_eq(config->http_listen, "127.0.0.1:4052");
	ck_assert_ptr_null(config->pg_dump_path);
	ck_assert_ptr_null(config->pg_restore_path);
	ck_assert(!config->daemon_enabled);
	ck_assert_int_eq(config->log_level, LOG_INFO);
	ck_assert_int_eq(config->log_format, LOG_LOGFMT);
	ck_assert_uint_eq(config->family_count, 0);
	ck_assert_ptr_null(config->warnings[0]);
}
END_TEST

START_TEST(fixed_numbers)
{
	ck_assert_int_eq(config_limit("priority"), 5);
	ck_assert_int_eq(config_limit("max_attempts"), 5);
	ck_assert_int_eq(config_limit("lease"), 20000);
	ck_assert_int_eq(config_limit("lease_long"), 120000);
	ck_assert_int_eq(config_limit("backoff_cap"), 3600000);
	ck_assert_int_eq(config_limit("backoff_jitter"), 20);
	ck_assert_int_eq(config_limit("payload_bytes"), 1 << 20);
	ck_assert_int_eq(config_limit("event_line_bytes"), 8192);
	ck_assert_int_eq(config_limit("lanes_visible"), 250);
	ck_assert_int_eq(config_limit("lanes_hygiene"), 10000);
	ck_assert_int_eq(config_limit("maintenance_lock_timeout"), 20);
}
END_TEST

START_TEST(a_file_sets_everything)
{
	struct config *config CLEANUP(config_clear) = NULL;

	enter();
	config = load_text("database: {url: postgresql://q/a, direct_url: host=d, prepare: never}\n"
			   "worker: {concurrency: 7, heartbeat: 1s, fence_margin: 500ms,\n"
			   "  drain: 1m, cancel_grace: 3, poll: \"250ms\", reconnect_min: 20ms,\n"
			   "  reconnect_max: 1s, executor_attempts: 1}\n"
			   "retention: {finished: 1h, dead: 2d}\n"
			   "daemon: {enabled: yes}\n"
			   "http: {listen: '[::]:1'}\n"
			   "log: {level: debug, format: json}\n"
			   "pg: {dump_path: /d, restore_path: /r}\n"
			   "postgres_clients:\n  shop: postgresql://s/shop\n  other: dbname=x\n");
	ck_assert_str_eq(config->database_url, "postgresql://q/a");
	ck_assert_str_eq(config->database_direct_url, "host=d");
	ck_assert_int_eq(config->database_prepare, CONFIG_PREPARE_NEVER);
	ck_assert_int_eq(config->worker.concurrency, 7);
	ck_assert_int_eq(config->worker.heartbeat_ms, 1000);
	ck_assert_int_eq(config->worker.fence_margin_ms, 500);
	ck_assert_int_eq(config->worker.drain_ms, 60000);
	ck_assert_int_eq(config->worker.cancel_grace_ms, 3000);
	ck_assert_int_eq(config->worker.poll_ms, 250);
	ck_assert_int_eq(config->worker.reconnect_min_ms, 20);
	ck_assert_int_eq(config->worker.reconnect_max_ms, 1000);
	ck_assert_int_eq(config->worker.executor_attempts, 1);
	ck_assert_int_eq(config->retention.finished_ms, 3600000);
	ck_assert_int_eq(config->retention.dead_ms, INT64_C(2) * 86400000);
	ck_assert_str_eq(config->http_listen, "[::]:1");
	ck_assert_str_eq(config->pg_dump_path, "/d");
	ck_assert_str_eq(config->pg_restore_path, "/r");
	ck_assert(config->daemon_enabled);
	ck_assert_int_eq(config->log_level, LOG_DEBUG);
	ck_assert_int_eq(config->log_format, LOG_JSON);
	ck_assert_str_eq(config_client_uri(config, "shop"), "postgresql://s/shop");
	ck_assert_str_eq(config_client_uri(config, "other"), "dbname=x");
	ck_assert_ptr_null(config_client_uri(config, "nobody"));
	ck_assert_ptr_null(config->warnings[0]);
}
END_TEST

START_TEST(families_of_ones_own)
{
	struct config *config CLEANUP(config_clear) = NULL;
	const struct config_family *family;

	enter();
	config = load_text("families:\n"
			   "  thumbnails:\n"
			   "    run: command\n"
			   "    command: [/bin/thumb, --stdin, '']\n"
			   "    env: {A: 1, B: ''}\n"
			   "    permanent_exits: [3, 255]\n"
			   "    wait_timeout: 2h\n"
			   "    concurrency: 4\n"
			   "    timeout: 60s\n"
			   "    lease: 30s\n"
			   "    max_attempts: 9\n"
			   "  clone:\n");
	ck_assert_uint_eq(config->family_count, 2);
	ck_assert_ptr_null(config_family_find(config, "noop"));
	family = config_family_find(config, "thumbnails");
	ck_assert_str_eq(family->run, "command");
	ck_assert_str_eq(family->command[0], "/bin/thumb");
	ck_assert_str_eq(family->command[2], "");
	ck_assert_ptr_null(family->command[3]);
	ck_assert_str_eq(family->env[0].name, "A");
	ck_assert_str_eq(family->env[0].value, "1");
	ck_assert_str_eq(family->env[1].value, "");
	ck_assert_ptr_null(family->env[2].name);
	ck_assert_int_eq(family->permanent_exits[1], 255);
	ck_assert_int_eq(family->permanent_exits[2], -1);
	ck_assert_int_eq(family->wait_timeout_ms, 2 * 3600 * 1000);
	ck_assert_int_eq(family->concurrency, 4);
	ck_assert_int_eq(family->timeout_ms, 60000);
	ck_assert_int_eq(family->lease_ms, 30000);
	ck_assert_int_eq(family->max_attempts, 9);
	ck_assert_str_eq(family->where, "config.yaml:2");
}
END_TEST

START_TEST(a_family_that_says_nothing)
{
	struct config *config CLEANUP(config_clear) = NULL;
	const struct config_family *family;

	enter();
	config = load_text("worker: {concurrency: 3}\nfamilies:\n  clone:\n");
	family = config_family_find(config, "clone");
	ck_assert_str_eq(family->name, "clone");
	ck_assert_str_eq(family->run, "clone");
	ck_assert_ptr_null(family->command);
	ck_assert_ptr_null(family->permanent_exits);
	ck_assert_ptr_null(family->env[0].name);
	ck_assert_int_eq(family->concurrency, 3);
	ck_assert_int_eq(family->timeout_ms, 0);
	ck_assert_int_eq(family->lease_ms, 0);
	ck_assert_int_eq(family->max_attempts, 0);
}
END_TEST

START_TEST(mistakes_are_explained)
{
	static const char *const cases[][2] = {
		{"- a\n", "config.yaml:1: must be a mapping of sections, not a list"},
		{"\n\nworkers: {}\n",
			"config.yaml:3: unknown section \"workers\", did you mean \"worker\"?"},
		{"famlies: {}\n",
			"config.yaml:1: unknown section \"famlies\", did you mean \"families\"?"},
		{"elephants: {}\n", "config.yaml:1: unknown section \"elephants\""},
		{"retention:\n  # x\n  finshed: 7d\n",
			"config.yaml:3: unknown key \"finshed\" in \"retention\", did you mean "
			"\"finished\"? (known: finished, dead)"},
		{"worker: 5\n", "config.yaml:1: \"worker\" must be a mapping, not a string"},
		{"worker:\n  drain: soon\n",
			"config.yaml:2: \"drain\" must be a duration (90s, 5m, 250ms) from 0s to "
			"1d, not \"soon\""},
		{"worker:\n  drain: 2d\n",
			"config.yaml:2: \"drain\" must be a duration (90s, 5m, 250ms) from 0s to "
			"1d, not \"2d\""},
		{"worker:\n  concurrency: 0\n",
			"config.yaml:2: \"concurrency\" must be a whole number from 1 to 1000, not "
			"0"},
		{"worker:\n  concurrency: [4]\n",
			"config.yaml:2: \"concurrency\" must be a whole number from 1 to 1000, not "
			"a list"},
		{"daemon:\n  enabled: maybe\n",
			"config.yaml:2: \"enabled\" must be true or false, not \"maybe\""},
		{"log: {level: loud}\n",
			"config.yaml:1: \"level\" must be one of debug, info, warn, error, not "
			"\"loud\""},
		{"database:\n  url: {hunter2: hunter2}\n",
			"config.yaml:2: \"url\" must be a string, not an object"},
		{"database:\n  url: hunter2 hunter2\n",
			"config.yaml:2: \"url\" must be a connection URI or key=value string"},
		{"database:\n  url: postgresql://u:p@ss@h/db\n",
			"config.yaml:2: \"url\" has \"@\" or a blank in its host: in a URI, write "
			"such characters of a password as %40, %20"},
		{"postgres_clients: [a]\n",
			"config.yaml:1: \"postgres_clients\" must be a mapping of names to URIs"},
		{"postgres_clients:\n  shop:\n",
			"config.yaml:2: \"shop\" must be a string, not nothing"},
		{"postgres_clients:\n  shop: nope\n",
			"config.yaml:2: \"shop\" must be a connection URI or key=value string"},
		{"http: {listen: \"${NOWHERE}\"}\n",
			"config.yaml:1: ${NOWHERE} is set neither in the environment nor in .env"},
		{"http: {listen: \"${a b}\"}\n",
			"config.yaml:1: expected ${NAME}; write $${ for a literal ${"},
		{"http: {listen: \"x${\"}\n",
			"config.yaml:1: expected ${NAME}; write $${ for a literal ${"},
		{"worker: {reconnect_min: 3s}\n",
			"worker.reconnect_min must not be longer than worker.reconnect_max"},
		{"worker: {heartbeat: 15s}\n",
			"worker.heartbeat and worker.fence_margin together must be shorter than "
			"the default lease of 20 s"},
	};

	enter();
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		put("config.yaml", cases[i][0]);
		check_refused(NULL, cases[i][1]);
	}
}
END_TEST

START_TEST(mistakes_in_families_are_explained)
{
	static const char *const cases[][2] = {
		{"[a]", "config.yaml:1: \"families\" must be a mapping, not a list"},
		{"{Thumbs: {}}",
			"config.yaml:2: a family name is a-z, then up to 62 of a-z 0-9 _ "
			"-, not \"Thumbs\""},
		{"{a: 1}", "config.yaml:2: \"a\" must be a mapping, not a string"},
		{"{a: {comand: [x]}}",
			"config.yaml:2: unknown key \"comand\" in \"a\", did you mean \"command\"? "
			"(known: run, command, env, permanent_exits, wait_timeout, concurrency, "
			"timeout, lease, "
			"max_attempts)"},
		{"{a: {command: ls -l}}",
			"config.yaml:2: \"command\" must be a list of strings, not \"ls -l\""},
		{"{a: {command: [ls, [x]]}}",
			"config.yaml:2: \"command\" must be a list of strings, not a list"},
		{"{a: {command: []}}", "config.yaml:2: \"command\" must begin with a program"},
		{"{a: {command: ['']}}", "config.yaml:2: \"command\" must begin with a program"},
		{"{a: {permanent_exits: [x]}}",
			"config.yaml:2: \"permanent_exits\" must be a list of whole numbers from 1 "
			"to 255, not a list"},
		{"{a: {env: {1x: y}}}", "config.yaml:2: \"1x\" is no name of a variable"},
		{"{a: {env: {x: [y]}}}", "config.yaml:2: \"x\" must be a string, not a list"},
		{"{a: {env: {ATHENA_JOB_ID: y}}}",
			"config.yaml:2: ATHENA_JOB_ variables are set by the worker"},
		{"{a: {lease: 5s}}",
			"config.yaml:2: \"lease\" must be a duration (90s, 5m, 250ms) from 6s to "
			"1d, not \"5s\""},
		{"{a: {lease: 10s}}",
			"config.yaml:2: \"lease\" must be longer than worker.heartbeat and "
			"worker.fence_margin together"},
	};

	enter();
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		char *yaml CLEANUP(free_ptr) = xasprintf("families:\n  %s\n", cases[i][0]);

		put("config.yaml", yaml);
		check_refused(NULL, cases[i][1]);
	}
}
END_TEST

START_TEST(the_stronger_wins)
{
	struct config *config CLEANUP(config_clear) = NULL;

	enter();
	put(".env",
		"ATHENA_WORKER_DRAIN=2s\nATHENA_WORKER_POLL=2s\nATHENA_DATABASE_URL=host=e\n"
		"ATHENA_PG_DUMP_PATH=/env\nATHENA_LOG_LEVEL=warn\n");
	setenv("ATHENA_WORKER_DRAIN", "3s", 1);
	setenv("ATHENA_WORKER_POLL", " ", 1);
	setenv("ATHENA_DAEMON_ENABLED", "TRUE", 1);
	setenv("ATHENA_LOG_FORMAT", "", 1);
	config = load_text("database: {url: host=f}\nworker: {drain: 1s, poll: 1s, heartbeat: 1s}\n"
			   "log: {format: json}\n");
	ck_assert_int_eq(config->worker.drain_ms, 3000);
	ck_assert_int_eq(config->worker.poll_ms, 2000);
	ck_assert_int_eq(config->worker.heartbeat_ms, 1000);
	ck_assert_str_eq(config->database_url, "host=e");
	ck_assert_str_eq(config->pg_dump_path, "/env");
	ck_assert_int_eq(config->log_level, LOG_WARN);
	ck_assert_int_eq(config->log_format, LOG_JSON);
	ck_assert(config->daemon_enabled);
	ck_assert_ptr_null(getenv("ATHENA_DATABASE_URL"));
	ck_assert_ptr_null(config->warnings[0]);
}
END_TEST

START_TEST(bad_variables_are_refused)
{
	enter();
	setenv("ATHENA_WORKER_DRAIN", "soon", 1);
	check_refused(NULL,
		"ATHENA_WORKER_DRAIN: \"drain\" must be a duration (90s, 5m, 250ms) "
		"from 0s to 1d, not \"soon\"");
	unsetenv("ATHENA_WORKER_DRAIN");
	put(".env", "ATHENA_DATABASE_URL='hunter2 x'\n");
	check_refused(NULL,
		"ATHENA_DATABASE_URL in .env: \"url\" must be a connection URI or "
		"key=value string");
	setenv("ATHENA_DATABASE_URL", "host=\xff", 1);
	check_refused(NULL, "ATHENA_DATABASE_URL: is not UTF-8");
}
END_TEST

START_TEST(variables_inside_values)
{
	struct config *config CLEANUP(config_clear) = NULL;

	enter();
	put(".env", "HOST=from-dotenv\nUSER_NAME=ann\nJSON='}: \"'\n");
	setenv("HOST", "from-env", 1);
	config = load_text("database:\n  url: postgresql://${USER_NAME}@${HOST}/a\n"
			   "http: {listen: \"$HOST $${HOST} $ ${JSON}\"}\n"
			   "families: {a: {command: [\"${HOST}\"], env: {X: \"${HOST}!\"}}}\n"
			   "gateway: {x: \"${NOWHERE}\"}\n");
	ck_assert_str_eq(config->database_url, "postgresql://ann@from-env/a");
	ck_assert_str_eq(config->http_listen, "$HOST ${HOST} $ }: \"");
	ck_assert_str_eq(config->families[0].command[0], "from-env");
	ck_assert_str_eq(config->families[0].env[0].value, "from-env!");
}
END_TEST

START_TEST(the_search_path)
{
	static const char *const files[] = {"config.yaml", "h/.athena/config.yaml",
		"h/.config/athena/config.yaml", "x/athena/config.yaml", "named.yaml", "told.yaml"};
	static const char *const folders[] = {
		"h", "h/.athena", "h/.config", "h/.config/athena", "x", "x/athena"};

	enter();
	for (size_t i = 0; i < ARRAY_LENGTH(folders); i++)
		ck_assert_int_eq(mkdir(folders[i], 0700), 0);
	setenv("HOME", "h", 1);
	setenv("XDG_CONFIG_HOME", "x", 1);
	/* From the weakest place to the strongest: each new file is the one that is taken. */
	for (size_t i = 0; i < ARRAY_LENGTH(files); i++) {
		struct config *config CLEANUP(config_clear) = NULL;
		char *absolute CLEANUP(free_ptr) = xasprintf("%s/%s", scratch, files[i]);
		char *yaml CLEANUP(free_ptr) = xasprintf("http: {listen: '%s'}\n", files[i]);

		put(files[i], yaml);
		if (strcmp(files[i], "named.yaml") == 0)
			setenv("ATHENA_CONFIG_PATH", files[i], 1);
		config = load(strcmp(files[i], "told.yaml") == 0 ? files[i] : NULL);
		ck_assert_str_eq(config->http_listen, files[i]);
		ck_assert_str_eq(config->config_path, absolute);
	}
}
END_TEST

START_TEST(a_named_file_must_exist)
{
	enter();
	check_refused("nowhere.yaml", "reading nowhere.yaml: No such file or directory");
	check_refused("/tmp", "reading /tmp: Is a directory");
	setenv("ATHENA_CONFIG_PATH", "gone.yaml", 1);
	check_refused(NULL, "reading gone.yaml: No such file or directory");
	setenv("ATHENA_CONFIG_PATH", " ", 1);
	config_free(load(NULL));
}
END_TEST

START_TEST(dotenv_stands_beside_the_file)
{
	struct config *beside CLEANUP(config_clear) = NULL;
	struct config *here CLEANUP(config_clear) = NULL;

	enter();
	ck_assert_int_eq(mkdir("etc", 0700), 0);
	put("etc/some.yaml", "");
	put("etc/.env", "ATHENA_HTTP_LISTEN=beside\n");
	put(".env", "ATHENA_HTTP_LISTEN=here\n");
	beside = load("etc/some.yaml");
	ck_assert_str_eq(beside->http_listen, "beside");
	here = load(NULL);
	ck_assert_str_eq(here->http_listen, "here");
}
END_TEST

START_TEST(warnings_are_collected)
{
	struct config *config CLEANUP(config_clear) = NULL;

	enter();
	put(".env", "oops\nATHENA_WORKER_DRIAN=1\n");
	setenv("ATHENA_GATEWAY_X", "1", 1);
	setenv("ATHENA_JOB_ID", "1", 1);
	setenv("ATHENA_TEST_COUNTS", "1", 1);
	setenv("ATHENA_FAULT", "1", 1);
	setenv("ATHENA_BUILD", "1", 1);
	config = load_text("urls: {a: b}\nworker:\n\nvalidation_ranges: 5\n");
	ck_assert_str_eq(config->warnings[0], ".env:1: no NAME=value, skipped");
	ck_assert_str_eq(config->warnings[1],
		"config.yaml: not used by this program: urls (line 1), validation_ranges (line 4)");
	ck_assert_str_eq(config->warnings[2], "ATHENA_GATEWAY_X: no such setting");
	ck_assert_str_eq(config->warnings[3],
		"ATHENA_WORKER_DRIAN in .env: no such setting, did you mean "
		"\"ATHENA_WORKER_DRAIN\"?");
	ck_assert_ptr_null(config->warnings[4]);
}
END_TEST

START_TEST(secrets_are_made_known)
{
	static const char text[] =
		"pw-of-url pw of client ssl-pw env-pw dotenv-token family-secret pw%20of%20client";
	struct config *config CLEANUP(config_clear) = NULL;
	char *shown CLEANUP(free_ptr) = NULL;

	enter();
	setenv("PGPASSWORD", "env-pw", 1);
	put(".env", "UNUSED_TOKEN=dotenv-token\n");
	config = load_text("database: {url: \"postgresql://u:pw-of-url@h/db\"}\n"
			   "postgres_clients:\n"
			   "  a: postgresql://u:pw%20of%20client@h/db?sslpassword=ssl-pw\n"
			   "families: {a: {env: {MY_SECRET: family-secret}}}\n");
	shown = redact_dup(text);
	ck_assert_str_eq(shown, "*** *** *** *** *** *** ***");
}
END_TEST

/* The entry of a list by section and key. */
static const json_t *entry_of(const json_t *list, const char *section, const char *key)
{
	size_t i;
	json_t *entry;

	json_array_foreach (list, i, entry)
		if (strcmp(json_string_value(json_object_get(entry, "section")), section) == 0 &&
			strcmp(json_string_value(json_object_get(entry, "key")), key) == 0)
			return entry;
	ck_abort_msg("no %s.%s", section, key);
	return NULL;
}

static void check_entry(const json_t *list, const char *section, const char *key, const char *value,
	const char *origin)
{
	const json_t *entry = entry_of(list, section, key);
	char *dumped CLEANUP(free_ptr) =
		json_dumps(json_object_get(entry, "value"), JSON_ENCODE_ANY | JSON_COMPACT);

	ck_assert_str_eq(dumped, value);
	ck_assert_str_eq(json_string_value(json_object_get(entry, "origin")), origin);
}

START_TEST(the_list_shows_what_is_in_force)
{
	struct config *config CLEANUP(config_clear) = NULL;
	json_auto_t *list = NULL;

	enter();
	put(".env", "ATHENA_WORKER_CONCURRENCY=3\n");
	setenv("ATHENA_WORKER_DRAIN", "3s", 1);
	config =
		load_text("database: {url: \"postgresql://u:pw-of-url@h/db\"}\n"
			  "postgres_clients:\n  shop: host=h password='p w'\n"
			  "families: {a: {command: [x, --token=abc], env: {TOKEN: tokentoken}}}\n");
	list = config_list(config);
	check_entry(list, "database", "url", "\"postgresql://u:***@h/db\"", "config.yaml:1");
	check_entry(list, "database", "direct_url", "null", "default");
	check_entry(list, "worker", "drain", "\"3s\"", "ATHENA_WORKER_DRAIN");
	check_entry(list, "worker", "concurrency", "3", "ATHENA_WORKER_CONCURRENCY in .env");
	check_entry(list, "worker", "poll", "\"2s\"", "default");
	check_entry(list, "postgres_clients", "shop", "\"host=h password='***'\"", "config.yaml:3");
	check_entry(list, "families", "a",
		"{\"command\":[\"x\",\"--token=***\"],\"env\":{\"TOKEN\":\"***\"}}",
		"config.yaml:4");
}
END_TEST

START_TEST(the_example_holds_every_setting_and_its_default)
{
	struct config *config CLEANUP(config_clear) = NULL;
	struct config *defaults CLEANUP(config_clear) = NULL;
	char *example CLEANUP(free_ptr) = NULL;
	json_auto_t *list = NULL;
	json_auto_t *expected = NULL;

	enter();
	defaults = load(NULL);
	expected = config_list(defaults);
	example = xasprintf("%s/config.example.yaml", source);
	config = load(example);
	list = config_list(config);
	ck_assert_ptr_null(config->warnings[0]);
	for (const struct settings_section *section = settings_sections; section->name; section++)
		for (const struct option_row *row = section->rows; row->name; row++) {
			const json_t *entry = entry_of(list, section->name, row->name);

			ck_assert_msg(json_equal(json_object_get(entry, "value"),
					      json_object_get(
						      entry_of(expected, section->name, row->name),
						      "value")),
				"%s.%s", section->name, row->name);
			/* Said in the file, unless there is no default to say. */
			ck_assert_msg(!row->fallback ||
					strcmp(json_string_value(json_object_get(entry, "origin")),
						"default") != 0,
				"%s.%s is missing", section->name, row->name);
		}
	ck_assert_ptr_nonnull(config_family_find(config, "clone"));
}
END_TEST

START_TEST(commented_parts_of_the_example_load_too)
{
	struct config *config CLEANUP(config_clear) = NULL;
	struct buf yaml CLEANUP(buf_clear) = {0};
	char line[200];
	FILE *file CLEANUP(close_file) = fopen("config.example.yaml", "re");

	ck_assert(file);
	while (fgets(line, sizeof(line), file))
		if (strncmp(line, "  # shop:", 9) == 0 ||
			strncmp(line, "  # thumbnails:", 15) == 0 ||
			strncmp(line, "  #   ", 6) == 0)
			buf_printf(&yaml, "  %s", line + 4);
		else
			buf_text(&yaml, line);
	enter();
	setenv("SHOP_PASSWORD", "x", 1);
	config = load_text(yaml.bytes);
	ck_assert_str_eq(
		config_client_uri(config, "shop"), "postgresql://shop:x@db.example.com/shop");
	for (const struct option_row *row = settings_family; row->name; row++)
		ck_assert_msg(strstr(yaml.bytes, row->name), "%s", row->name);
	ck_assert_str_eq(config_family_find(config, "thumbnails")->command[1], "--stdin");
}
END_TEST

START_TEST(loading_twice_gives_the_same)
{
	struct config *first CLEANUP(config_clear) = NULL;
	struct config *second CLEANUP(config_clear) = NULL;
	json_auto_t *a = NULL, *b = NULL;

	enter();
	put("named.yaml", "worker: {drain: 1s}\n");
	first = load("named.yaml");
	second = load(first->config_path);
	ck_assert_str_eq(first->config_path, second->config_path);
	ck_assert_int_eq(second->worker.drain_ms, 1000);
	a = config_list(first);
	b = config_list(second);
	ck_assert_uint_eq(json_array_size(a), json_array_size(b));
	config_free(NULL);
}
END_TEST

Suite *suite_config(void)
{
	const TTest *const tests[] = {
		without_a_file_there_are_defaults,
		fixed_numbers,
		a_file_sets_everything,
		families_of_ones_own,
		a_family_that_says_nothing,
		mistakes_are_explained,
		mistakes_in_families_are_explained,
		the_stronger_wins,
		bad_variables_are_refused,
		variables_inside_values,
		the_search_path,
		a_named_file_must_exist,
		dotenv_stands_beside_the_file,
		warnings_are_collected,
		secrets_are_made_known,
		the_list_shows_what_is_in_force,
		the_example_holds_every_setting_and_its_default,
		commented_parts_of_the_example_load_too,
		loading_twice_gives_the_same,
		NULL,
	};

	return suite_of("config", tests);
}
