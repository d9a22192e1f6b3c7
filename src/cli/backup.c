/* SPDX-License-Identifier: PostgreSQL */
/* athena backup ...: the catalog, and jobs of the family backup. */
#include "cli/backup.h"

#include <inttypes.h>
#include <string.h>

#include "cli/bar.h"
#include "cli/cli.h"
#include "cli/command_table.h"
#include "cli/follow.h"
#include "cli/listing.h"
#include "db/query.h"
#include "families/family.h"
#include "sql_statements.h"

#define FOLLOW_ROW                                                                           \
	{                                                                                    \
		.name = "follow", .type = OPTION_BOOL,                                       \
		.help = "follow the job to its end; status 0 succeeded, 1 dead, 3 cancelled" \
	}

/* --- Jobs */

static bool enqueue(struct cli *cli, const char *kind, const char *concurrency_key,
	const json_t *payload, int64_t *ret_job_id, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	PGresult *rows CLEANUP(clear_result) = NULL;
	char *text CLEANUP(free_ptr) = json_dumps(payload, JSON_COMPACT);

	params_text(&params, "backup");
	params_text(&params, text);
	params_text(&params, kind);
	params_null(&params); /* priority */
	params_null(&params); /* run at */
	params_null(&params);
	params_null(&params); /* max_attempts */
	params_null(&params); /* timeout */
	params_null(&params); /* unique_key */
	params_text(&params, concurrency_key);
	if (!query_rows(&cli->conn, &sql_job_enqueue, &params, &rows, e)) {
		if (!cli_has_lost_connection(cli, e))
			return cli_input_error(e);
		cli_next(cli, "athena job list --family backup");
		return err_in(e, "the job may be queued or not");
	}
	*ret_job_id = row_i64(rows, 0, "id");
	return true;
}

/* Queues a job, prints its id and, if asked to, follows it. The reference is taken over. */
static bool queue(struct cli *cli, const char *kind, const char *concurrency_key, json_t *given,
	struct err *e)
{
	json_auto_t *payload = given;
	int64_t job_id = 0;

	if (!family_check(family_find("backup"), "backup", payload, e)) {
		e->kind = ERR_CONFIG;
		return false;
	}
	if (!cli_connect(cli, e) || !enqueue(cli, kind, concurrency_key, payload, &job_id, e))
		return false;
	if (cli->wants_json)
		cli_print_json(
			cli, json_pack("{s:I, s:b}", "job_id", (json_int_t)job_id, "queued", 1));
	else
		printf("%" PRId64 "\n", job_id);
	fflush(stdout);
	return !cli_bool(cli, "follow") || follow_job(cli, job_id, FOLLOW_EVENTS, 0, e);
}

static void add_text(json_t *payload, const char *name, const char *value)
{
	if (value)
		json_object_set_new(payload, name, json_string(value));
}

/* The word after the command is a backup's id, or the database whose newest one is meant. */
static bool is_id(const char *word)
{
	return word[0] && strspn(word, "0123456789") == strlen(word);
}

static json_t *name_backup(const char *word)
{
	json_t *payload = json_object();

	if (is_id(word))
		json_object_set_new(
			payload, "backup", json_integer((json_int_t)strtoll(word, NULL, 10)));
	else
		add_text(payload, "database", word);
	return payload;
}

const char *backup_key_of(const char *database)
{
	return strpbrk(database, "=:/") ? NULL : database;
}

bool backup_add_keeps(struct cli *cli, json_t *payload)
{
	static const struct option_row rows[] = {BACKUP_KEEP_ROWS, {0}};
	bool is_any = false;

	for (const struct option_row *row = rows; row->name; row++) {
		if (!cli_is_given(cli, row->name))
			continue;
		is_any = true;
		json_object_set_new(payload, row->name,
			row->type == OPTION_INT ? json_integer(cli_int(cli, row->name))
						: json_string(cli_text(cli, row->name)));
	}
	return is_any;
}

static const struct option_row create_options[] = {
	{"label", OPTION_TEXT, .help = "a word of your own"},
	{"verify", OPTION_WORD, .words = "full|counts|none",
		.help = "what is recorded of the tables' rows, to be compared after a restore"},
	BACKUP_KEEP_ROWS,
	FOLLOW_ROW,
	{0},
};

static bool run_create(struct cli *cli, struct err *e)
{
	json_t *payload = json_pack("{s:s}", "database", cli->args[0]);

	add_text(payload, "label", cli_text(cli, "label"));
	add_text(payload, "verify", cli_text(cli, "verify"));
	backup_add_keeps(cli, payload);
	return queue(cli, "backup", backup_key_of(cli->args[0]), payload, e);
}

const struct command command_backup_create = {
	.name = "backup create",
	.args = "DATABASE",
	.summary = "queues a backup of a database and prints its id",
	.help = "The database is a name under postgres_clients, a URI or a key=value string. The "
		"id of the\n"
		"job is that of the backup.\n\n"
		"  athena backup create shop --follow\n"
		"  athena backup create shop --label before-the-move\n\n"
		"With --keep-..., older ones expire as soon as this one is complete (athena backup "
		"expire).\n",
	.options = create_options,
	.run = run_create,
};

static const struct option_row restore_options[] = {
	{"replace", OPTION_TEXT, .unit = "NAME",
		.help = "the target's database name once more: it exists and is to be replaced"},
	FOLLOW_ROW,
	{0},
};

static bool run_restore(struct cli *cli, struct err *e)
{
	json_t *payload = name_backup(cli->args[0]);

	add_text(payload, "target", cli->args[1]);
	add_text(payload, "replace", cli_text(cli, "replace"));
	return queue(cli, "restore", NULL, payload, e);
}

const struct command command_backup_restore = {
	.name = "backup restore",
	.args = "BACKUP TARGET",
	.summary = "queues a restore into a database that does not exist yet",
	.help = "BACKUP is an id, or a database, of which the newest verified backup is taken. The "
		"target\n"
		"appears complete and compared with what was backed up, or not at all.\n\n"
		"  athena backup restore 17 postgresql:///shop_again --follow\n"
		"  athena backup restore shop shop_copy --follow\n\n"
		"With --replace a database that exists is replaced; what was in it stays, as "
		"NAME_before_TIME:\n\n"
		"  athena backup restore 17 postgresql:///shop --replace shop\n",
	.options = restore_options,
	.run = run_restore,
};

static const struct option_row verify_options[] = {
	FOLLOW_ROW,
	{0},
};

static bool run_verify(struct cli *cli, struct err *e)
{
	return queue(cli, "verify", NULL, name_backup(cli->args[0]), e);
}

const struct command command_backup_verify = {
	.name = "backup verify",
	.args = "BACKUP",
	.summary = "queues a check of a backup: every byte is read and hashed",
	.help = "BACKUP is an id, or a database, of which the newest verified backup is taken. "
		"What is\n"
		"found goes into the catalog: a backup that is damaged counts for nothing any "
		"more.\n\n"
		"  athena backup verify 17 --follow\n",
	.options = verify_options,
	.run = run_verify,
};

static const struct option_row drill_options[] = {
	{"target", OPTION_TEXT, .unit = "DATABASE",
		.help = "on whose server it is tried; that of the database itself when not said"},
	FOLLOW_ROW,
	{0},
};

static bool run_drill(struct cli *cli, struct err *e)
{
	json_t *payload = name_backup(cli->args[0]);

	add_text(payload, "target", cli_text(cli, "target"));
	return queue(cli, "drill", NULL, payload, e);
}

const struct command command_backup_drill = {
	.name = "backup drill",
	.args = "BACKUP",
	.summary = "queues a trial: a backup is restored, compared and dropped again",
	.help = "BACKUP is an id, or a database, of which the newest verified backup is taken.\n\n"
		"  athena backup drill shop --follow\n",
	.options = drill_options,
	.run = run_drill,
};

static const struct option_row expire_options[] = {
	BACKUP_KEEP_ROWS,
	{"dry_run", OPTION_BOOL, .help = "only say what would expire, and why"},
	FOLLOW_ROW,
	{0},
};

static bool run_expire(struct cli *cli, struct err *e)
{
	json_t *payload = json_pack("{s:s}", "database", cli->args[0]);

	backup_add_keeps(cli, payload);
	if (cli_bool(cli, "dry_run"))
		json_object_set_new(payload, "dry_run", json_true());
	return queue(cli, "expire", NULL, payload, e);
}

const struct command command_backup_expire = {
	.name = "backup expire",
	.args = "DATABASE",
	.summary = "queues the removal of backups that retention lets go",
	.help = "The newest verified backup never goes, nor one that is pinned; and while the "
		"newest "
		"one is\n"
		"not verified, nothing goes. --dry-run only says what would, and why, as events of "
		"the job.\n\n"
		"  athena backup expire shop --keep-last 3 --keep-daily 7 --keep-weekly 4 "
		"--dry-run --follow\n",
	.options = expire_options,
	.run = run_expire,
};

/* --- The catalog */

static const struct listing_column list_columns[] = {
	{"job_id", "ID", LISTING_NUMBER, 0},
	{"client", "DATABASE", LISTING_TEXT, LISTING_SHRINKS},
	{"label", "LABEL", LISTING_TEXT, LISTING_SHRINKS},
	{"status", "STATUS", LISTING_TEXT, 0},
	{"pinned", "PINNED", LISTING_BOOL, 0},
	{"started_at", "MADE", LISTING_AGE, 0},
	{"completed_at", NULL, LISTING_TIME, 0},
	{"took_s", "TOOK", LISTING_LENGTH, 0},
	{"bytes", NULL, LISTING_NUMBER, 0},
	{"stored_bytes", "SIZE", LISTING_BYTES, 0},
	{"verified_at", "VERIFIED", LISTING_AGE, 0},
	{"drilled_at", "DRILLED", LISTING_AGE, 0},
	{"encrypted", "ENCRYPTED", LISTING_BOOL, 0},
	{"key_id", NULL, LISTING_TEXT, 0},
	{"store", NULL, LISTING_TEXT, 0},
	{"place", NULL, LISTING_TEXT, 0},
	{"key", NULL, LISTING_TEXT, 0},
	{"sha256", NULL, LISTING_TEXT, 0},
	{"stored_sha256", NULL, LISTING_TEXT, 0},
	{"expired_at", NULL, LISTING_TIME, 0},
	{"expire_reason", NULL, LISTING_TEXT, 0},
	{"error", "ERROR", LISTING_TEXT, LISTING_SHRINKS},
	{0},
};

static const struct option_row list_options[] = {
	{"database", OPTION_TEXT, .help = "of this one only"},
	{"all", OPTION_BOOL, .help = "expired ones, too"},
	{"limit", OPTION_INT, .fallback = "50", .min = 1, .max = 10000, .help = "so many at most"},
	{"after", OPTION_INT, .min = 1, .max = INT64_MAX,
		.help = "go on after this backup: the last one of the page before"},
	{0},
};

static bool run_list(struct cli *cli, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	PGresult *rows CLEANUP(clear_result) = NULL;

	params_text(&params, cli_text(cli, "database"));
	if (cli_is_given(cli, "after"))
		params_i64(&params, cli_int(cli, "after"));
	else
		params_null(&params);
	params_i64(&params, cli_int(cli, "limit"));
	params_bool(&params, cli_bool(cli, "all"));
	if (!cli_connect(cli, e) || !query_rows(&cli->conn, &sql_backup_list, &params, &rows, e))
		return false;
	listing_print(cli, list_columns, rows);
	if (PQntuples(rows) == 0 && !cli->wants_json)
		fputs("no backups; make one: athena backup create DATABASE\n", stderr);
	return true;
}

const struct command command_backup_list = {
	.name = "backup list",
	.args = "",
	.summary = "backups, newest first",
	.help = "  athena backup list --database shop\n"
		"  athena backup list --json --limit 1000 --after 123456\n",
	.options = list_options,
	.run = run_list,
};

static const struct listing_column show_columns[] = {
	{"job_id", NULL, LISTING_NUMBER, 0},
	{"client", NULL, LISTING_TEXT, 0},
	{"label", NULL, LISTING_TEXT, 0},
	{"status", NULL, LISTING_TEXT, 0},
	{"pinned", NULL, LISTING_BOOL, 0},
	{"started_at", NULL, LISTING_TIME, 0},
	{"completed_at", NULL, LISTING_TIME, 0},
	{"took_s", NULL, LISTING_LENGTH, 0},
	{"bytes", NULL, LISTING_NUMBER, 0},
	{"stored_bytes", NULL, LISTING_NUMBER, 0},
	{"verified_at", NULL, LISTING_TIME, 0},
	{"drilled_at", NULL, LISTING_TIME, 0},
	{"store", NULL, LISTING_TEXT, 0},
	{"place", NULL, LISTING_TEXT, 0},
	{"key", NULL, LISTING_TEXT, 0},
	{"encrypted", NULL, LISTING_BOOL, 0},
	{"key_id", NULL, LISTING_TEXT, 0},
	{"sha256", NULL, LISTING_TEXT, 0},
	{"stored_sha256", NULL, LISTING_TEXT, 0},
	{"verify_error", NULL, LISTING_TEXT, 0},
	{"drill_error", NULL, LISTING_TEXT, 0},
	{"expired_at", NULL, LISTING_TIME, 0},
	{"expire_reason", NULL, LISTING_TEXT, 0},
	{"manifest", NULL, LISTING_JSON, 0},
	{0},
};

/* What people read, in this order; empty ones are left out. */
static void print_line(const PGresult *rows, const char *title, const char *column)
{
	const char *value = row_text(rows, 0, column);

	if (value && *value)
		printf("%-12s %s\n", title, value);
}

static void print_amount(const PGresult *rows, const char *title, const char *column)
{
	struct buf amount CLEANUP(buf_clear) = {0};

	if (row_is_null(rows, 0, column))
		return;
	bar_amount(&amount, row_i64(rows, 0, column), "bytes");
	printf("%-12s %s (%s bytes)\n", title, amount.bytes, row_text(rows, 0, column));
}

static void print_rate(const PGresult *rows)
{
	struct buf amount CLEANUP(buf_clear) = {0};
	double took_s;

	if (row_is_null(rows, 0, "took_s") || row_is_null(rows, 0, "bytes"))
		return;
	took_s = strtod(row_text(rows, 0, "took_s"), NULL);
	bar_amount(&amount, took_s > 0 ? (int64_t)((double)row_i64(rows, 0, "bytes") / took_s) : 0,
		"bytes");
	printf("%-12s %.1f s, %s/s\n", "took", took_s, amount.bytes);
}

static void print_people(const PGresult *rows)
{
	print_line(rows, "backup", "job_id");
	print_line(rows, "database", "client");
	print_line(rows, "label", "label");
	print_line(rows, "status", "status");
	if (row_bool(rows, 0, "pinned"))
		printf("%-12s yes\n", "pinned");
	print_line(rows, "started", "started_at");
	print_line(rows, "completed", "completed_at");
	print_rate(rows);
	print_amount(rows, "dump", "bytes");
	print_amount(rows, "stored", "stored_bytes");
	print_line(rows, "verified", "verified_at");
	print_line(rows, "drilled", "drilled_at");
	print_line(rows, "place", "place");
	print_line(rows, "object", "key");
	print_line(rows, "key", "key_id");
	print_line(rows, "sha256", "stored_sha256");
	print_line(rows, "damage", "verify_error");
	print_line(rows, "drill", "drill_error");
	print_line(rows, "expired", "expired_at");
}

static bool no_backup(struct cli *cli, struct err *e)
{
	cli_next(cli, "athena backup list");
	return err_set(e, ERR_PERMANENT, "there is no backup %s", cli->args[0]);
}

static bool run_show(struct cli *cli, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	PGresult *rows CLEANUP(clear_result) = NULL;
	int64_t job_id;

	if (!cli_job_id(cli->args[0], &job_id, e))
		return false;
	params_i64(&params, job_id);
	if (!cli_connect(cli, e) || !query_rows(&cli->conn, &sql_backup_show, &params, &rows, e))
		return false;
	if (PQntuples(rows) == 0)
		return no_backup(cli, e);
	if (cli->wants_json)
		cli_print_json(cli, listing_row(show_columns, rows, 0));
	else
		print_people(rows);
	return true;
}

const struct command command_backup_show = {
	.name = "backup show",
	.args = "BACKUP",
	.summary = "everything the catalog knows of a backup",
	.help = "  athena backup show 17\n"
		"  athena backup show 17 --json | jq .manifest.census.tables\n",
	.run = run_show,
};

static bool set_pin(struct cli *cli, bool is_pinned, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	PGresult *rows CLEANUP(clear_result) = NULL;
	int64_t job_id;

	if (!cli_job_id(cli->args[0], &job_id, e))
		return false;
	params_i64(&params, job_id);
	params_bool(&params, is_pinned);
	if (!cli_connect(cli, e) || !query_rows(&cli->conn, &sql_backup_pin, &params, &rows, e))
		return false;
	if (PQntuples(rows) == 0) {
		cli_next(cli, "athena backup list");
		return err_set(e, ERR_PERMANENT, "there is no complete backup %s", cli->args[0]);
	}
	if (cli->wants_json)
		cli_print_json(cli,
			json_pack("{s:I, s:b}", "job_id", (json_int_t)job_id, "pinned",
				(int)is_pinned));
	else
		printf("%s\n", is_pinned ? "pinned" : "unpinned");
	return true;
}

static bool run_pin(struct cli *cli, struct err *e)
{
	return set_pin(cli, true, e);
}

static bool run_unpin(struct cli *cli, struct err *e)
{
	return set_pin(cli, false, e);
}

const struct command command_backup_pin = {
	.name = "backup pin",
	.args = "BACKUP",
	.summary = "keeps a backup whatever retention says",
	.run = run_pin,
};

const struct command command_backup_unpin = {
	.name = "backup unpin",
	.args = "BACKUP",
	.summary = "gives a backup back to retention",
	.run = run_unpin,
};
