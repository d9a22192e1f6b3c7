/* SPDX-License-Identifier: PostgreSQL */
/* athena enqueue: queues one job, as an INSERT would, or those of a file. */
#include "cli/enqueue.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "cli/cli.h"
#include "cli/command_table.h"
#include "cli/follow.h"
#include "cli/when.h"
#include "db/query.h"
#include "families/family.h"
#include "sql_statements.h"

static const struct option_row enqueue_options[] = {
	{.name = "kind", .type = OPTION_TEXT, .help = "a word of your own, to find jobs by"},
	{.name = "run_at",
		.type = OPTION_TEXT,
		.unit = "TIME",
		.help = "not before: +5m, 14:30, 2026-01-31T14:30, 2026-01-31T12:30:00Z"},
	{.name = "priority", .type = OPTION_INT, .fallback = "5", .max = 9, .help = "0 goes first"},
	{.name = "max_attempts",
		.type = OPTION_INT,
		.min = 1,
		.max = 1000,
		.help = "instead of the family's"},
	{.name = "timeout",
		.type = OPTION_DURATION,
		.help = "of one attempt, instead of the family's"},
	{.name = "unique_key",
		.type = OPTION_TEXT,
		.unit = "KEY",
		.help = "queue nothing while an unfinished job of the family has this key"},
	{.name = "concurrency_key",
		.type = OPTION_TEXT,
		.unit = "KEY",
		.help = "whose job it is, for a family with --max-running-per-key"},
	{.name = "wait",
		.type = OPTION_BOOL,
		.help = "follow the job to its end; status 0 succeeded, 1 dead, 3 cancelled"},
	{.name = "from_file",
		.type = OPTION_TEXT,
		.unit = "FILE",
		.help = "queue a job for each line of newline-delimited JSON; - is standard "
			"input"},
	{0},
};

static bool read_all(int fd, const char *name, struct buf *text, struct err *e)
{
	ssize_t length;

	do {
		length = read(fd, buf_reserve(text, 65536), 65536);
		if (length > 0)
			buf_added(text, (size_t)length);
	} while (length > 0 || (length < 0 && errno == EINTR));
	return length == 0 || err_errno(e, ERR_CONFIG, "reading %s", name);
}

/* "-" is standard input, "@FILE" a file, anything else the payload itself. */
static bool read_payload(const char *word, struct buf *text, struct err *e)
{
	int fd CLEANUP(close_fd) = -1;

	if (strcmp(word, "-") == 0)
		return read_all(STDIN_FILENO, "standard input", text, e);
	if (word[0] != '@') {
		buf_text(text, word);
		return true;
	}
	fd = open(word + 1, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(e, ERR_CONFIG, "payload: opening %s", word + 1);
	return read_all(fd, word + 1, text, e);
}

static const char *payload_source(const char *word)
{
	return word[0] == '@' ? word + 1 : strcmp(word, "-") == 0 ? "standard input" : "payload";
}

/* Parsed for its errors, which name a position; what is sent is the text, digits and all. */
static bool parse_payload(
	const char *word, const struct buf *text, json_t **ret_payload, struct err *e)
{
	json_error_t error;
	json_t *payload = json_loadb(
		text->bytes ? text->bytes : "", text->length, JSON_REJECT_DUPLICATES, &error);

	if (!payload)
		return err_set(e, ERR_CONFIG, "%s: not JSON at line %d, column %d: %s",
			payload_source(word), error.line, error.column, error.text);
	*ret_payload = payload;
	if (!json_is_object(payload))
		return err_set(e, ERR_CONFIG,
			"%s: a payload is a JSON object, such as {\"key\": 1}",
			payload_source(word));
	return true;
}

bool enqueue_family(
	struct cli *cli, const char *name, const struct family **ret_family, struct err *e)
{
	const struct config *config;
	const struct config_family *configured;

	if (!cli_config(cli, &config, e))
		return false;
	configured = config_family_find(config, name);
	*ret_family = family_find(configured ? configured->run : name);
	return true;
}

bool enqueue_check(struct cli *cli, const char *name, const struct family *family,
	const json_t *payload, struct err *e)
{
	if (!family || family_check(family, name, payload, e))
		return true;
	cli_next(cli, "athena family show %s", name);
	e->kind = ERR_CONFIG;
	return false;
}

bool enqueue_payload(
	struct cli *cli, const char *name, const char *word, struct buf *text, struct err *e)
{
	const struct family *family;
	json_auto_t *payload = NULL;

	return read_payload(word, text, e) && parse_payload(word, text, &payload, e) &&
		enqueue_family(cli, name, &family, e) &&
		enqueue_check(cli, name, family, payload, e);
}

bool enqueue_add_run_at(const struct cli *cli, struct params *params, struct err *e)
{
	const char *text = cli_text(cli, "run_at");
	struct when when;
	char at[WHEN_TEXT];

	if (!text) {
		params_null(params);
		params_null(params);
		return true;
	}
	if (!when_parse(text, &when, e))
		return err_in(e, "option --run-at");
	params_text(params, when.is_relative ? NULL : when_utc(when.us, at));
	params_ms(params, when.is_relative ? when.us / 1000 : -1);
	return true;
}

static void add_optional_int(const struct cli *cli, struct params *params, const char *name)
{
	if (cli_is_given(cli, name))
		params_i64(params, cli_int(cli, name));
	else
		params_null(params);
}

static bool job_params(
	const struct cli *cli, const char *payload, struct params *params, struct err *e)
{
	params_text(params, cli->args[0]);
	params_text(params, payload);
	params_text(params, cli_text(cli, "kind"));
	add_optional_int(cli, params, "priority");
	if (!enqueue_add_run_at(cli, params, e))
		return false;
	add_optional_int(cli, params, "max_attempts");
	params_ms(params, cli_is_given(cli, "timeout") ? cli_int(cli, "timeout") : -1);
	params_text(params, cli_text(cli, "unique_key"));
	params_text(params, cli_text(cli, "concurrency_key"));
	return true;
}

/* 0 when the holder has finished in between: the key is free again. */
static bool find_holder(struct cli *cli, int64_t *ret_job_id, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	PGresult *rows CLEANUP(clear_result) = NULL;

	params_text(&params, cli->args[0]);
	params_text(&params, cli_text(cli, "unique_key"));
	if (!query_rows(&cli->conn, &sql_job_key_holder, &params, &rows, e))
		return false;
	*ret_job_id = row_is_null(rows, 0, "job_id") ? 0 : row_i64(rows, 0, "job_id");
	return true;
}

/*
 * Sent once. If the connection breaks meanwhile, the job may be queued or not, and it says so:
 * sending it again could queue it twice.
 */
static bool enqueue(struct cli *cli, const struct params *params, int64_t *ret_job_id,
	bool *ret_is_new, struct err *e)
{
	int64_t holder = 0;

	while (holder == 0) {
		PGresult *rows CLEANUP(clear_result) = NULL;

		if (!query_rows(&cli->conn, &sql_job_enqueue, params, &rows, e)) {
			if (!cli_has_lost_connection(cli, e))
				return cli_input_error(e);
			cli_next(cli, "athena job list --family %s", cli->args[0]);
			return err_in(e, "the job may be queued or not");
		}
		if (PQntuples(rows) > 0) {
			*ret_job_id = row_i64(rows, 0, "id");
			*ret_is_new = true;
			return true;
		}
		if (!find_holder(cli, &holder, e))
			return false;
	}
	*ret_job_id = holder;
	*ret_is_new = false;
	return true;
}

static void print_job(const struct cli *cli, int64_t job_id, bool is_new)
{
	if (!is_new)
		fprintf(stderr,
			"nothing queued: unfinished job %" PRId64 " has the unique key \"%s\"\n",
			job_id, cli_text(cli, "unique_key"));
	if (cli->wants_json)
		cli_print_json(cli,
			json_pack(
				"{s:I, s:b}", "job_id", (json_int_t)job_id, "queued", (int)is_new));
	else
		printf("%" PRId64 "\n", job_id);
	fflush(stdout);
}

static bool run_one(struct cli *cli, struct err *e)
{
	const char *word = cli->arg_count > 1 ? cli->args[1] : "{}";
	struct params params CLEANUP(params_clear) = {0};
	struct buf text CLEANUP(buf_clear) = {0};
	int64_t job_id = 0;
	bool is_new = false;

	if (!enqueue_payload(cli, cli->args[0], word, &text, e) ||
		!job_params(cli, text.bytes, &params, e) || !cli_connect(cli, e) ||
		!enqueue(cli, &params, &job_id, &is_new, e))
		return false;
	print_job(cli, job_id, is_new);
	return !cli_bool(cli, "wait") || follow_job(cli, job_id, FOLLOW_PROGRESS, 0, e);
}

static bool run(struct cli *cli, struct err *e)
{
	if (!cli_is_given(cli, "from_file"))
		return run_one(cli, e);
	if (cli->arg_count > 1)
		return err_set(e, ERR_CONFIG,
			"a payload and --from-file: the lines of the file are the payloads");
	if (cli_is_given(cli, "unique_key") || cli_bool(cli, "wait"))
		return err_set(e, ERR_CONFIG,
			"--unique-key and --wait are for one job, "
			"--from-file is for many");
	return enqueue_file(cli, cli_text(cli, "from_file"), e);
}

const struct command command_enqueue = {
	.name = "enqueue",
	.args = "FAMILY [JSON|-|@FILE]",
	.summary = "queues a job and prints its id, or as many as a file has lines",
	.help = "The payload is a JSON object: given here, read from standard input (-) or from a "
		"file.\n\n"
		"  athena enqueue noop --wait\n"
		"  athena enqueue clone '{\"source\": \"postgresql:///shop\", "
		"\"target\": \"postgresql:///shop_copy\"}'\n"
		"  athena enqueue command @report.json --run-at +5m --unique-key nightly\n\n"
		"The same in SQL, inside any transaction:\n\n"
		"  INSERT INTO athena.jobs (family, payload) VALUES ('noop', '{}');\n\n"
		"With --from-file each line, of at most 8 MiB, is the payload of a job; the other "
		"options hold for\n"
		"all of them. Either all are queued or none: an error names the line. Ids rise "
		"with the lines;\n"
		"those of other producers may lie between the first and the last.\n\n"
		"  athena enqueue noop --from-file jobs.ndjson --priority 7\n"
		"  psql -XAtc 'SELECT to_json(o) FROM orders AS o' | "
		"athena enqueue invoice --from-file -\n",
	.options = enqueue_options,
	.run = run,
};
