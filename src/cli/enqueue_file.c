/* SPDX-License-Identifier: PostgreSQL */
/*
 * athena enqueue --from-file: jobs from lines, by COPY.
 *
 * All in one transaction, so that a line that is refused leaves nothing behind. Within it, COPY
 * after COPY: the triggers of a statement look at its rows when it ends, and so a bad one is found
 * while the file is still being read. The transaction is REPEATABLE READ, whose one snapshot shows
 * jobs of others only if their ids were given out before ours: what stands above is ours.
 */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "cli/bar.h"
#include "cli/cli.h"
#include "cli/enqueue.h"
#include "cli/ndjson.h"
#include "db/query.h"
#include "sql_statements.h"

enum { FEED_BYTES = 65536, COPY_ROWS = 20000, COPY_BYTES = 32 * 1024 * 1024, DRAW_MS = 100 };

struct loader {
	struct cli *cli;
	const struct family *family;
	struct ndjson file;
	struct buf row_end; /* what follows the payload, in every row */
	struct buf rows;    /* not fed yet */
	int64_t copied;	    /* rows of finished COPYs */
	int64_t count;	    /* rows of this one */
	int64_t bytes;	    /* of those */
	int64_t after_id;   /* ids of this transaction are above it */
	struct bar bar;
	int64_t drawn_ms;
};

static void close_loader(struct loader *loader)
{
	ndjson_close(&loader->file);
	buf_clear(&loader->row_end);
	buf_clear(&loader->rows);
	bar_erase(&loader->bar);
}

static void draw(struct loader *loader)
{
	struct bar_figures figures = {
		.label = loader->cli->args[0],
		.done = loader->file.read - (int64_t)(loader->file.bytes.length - loader->file.at),
		.total = loader->file.size,
		.unit = "bytes",
	};
	int64_t now_ms = clock_boot_ms();

	if (!loader->cli->err.is_tty || loader->cli->wants_json ||
		now_ms - loader->drawn_ms < DRAW_MS)
		return;
	bar_draw(&loader->bar, &figures);
	loader->drawn_ms = now_ms;
}

/* As COPY reads text: a backslash begins an escape, tabs part columns, lines part rows. */
static void add_escaped(struct buf *out, const char *text, size_t length)
{
	static const char special[] = {'\\', '\t', '\r', '\n'};
	static const char letters[] = {'\\', 't', 'r', 'n'};
	size_t plain = 0;

	for (size_t i = 0; i < length; i++) {
		const char *found = memchr(special, text[i], sizeof(special));

		if (!found)
			continue;
		buf_add(out, text + plain, i - plain);
		buf_char(out, '\\');
		buf_char(out, letters[found - special]);
		plain = i + 1;
	}
	buf_add(out, text + plain, length - plain);
}

/* NULL is SQL's null. */
static void add_column(struct buf *out, const char *text)
{
	buf_char(out, '\t');
	if (text)
		add_escaped(out, text, strlen(text));
	else
		buf_text(out, "\\N");
}

static void add_number(struct buf *out, const struct cli *cli, const char *name, const char *unit)
{
	buf_char(out, '\t');
	if (!cli_is_given(cli, name))
		buf_text(out, "\\N");
	else
		buf_printf(out, "%" PRId64 "%s", cli_int(cli, name), unit);
}

/* The columns of jobs_copy.sql from the third on. */
static void make_row_end(struct loader *loader, const char *run_at)
{
	const struct cli *cli = loader->cli;
	struct buf *out = &loader->row_end;

	add_column(out, cli_text(cli, "kind"));
	buf_printf(out, "\t%" PRId64, cli_int(cli, "priority"));
	add_column(out, run_at);
	add_number(out, cli, "max_attempts", "");
	add_number(out, cli, "timeout", " ms");
	add_column(out, cli_text(cli, "concurrency_key"));
	buf_char(out, '\n');
}

static bool begin(struct loader *loader, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	PGresult *rows CLEANUP(clear_result) = NULL;
	struct conn *conn = &loader->cli->conn;

	if (!enqueue_add_run_at(loader->cli, &params, e) ||
		!query_command(conn, "BEGIN ISOLATION LEVEL REPEATABLE READ", e) ||
		!query_rows(conn, &sql_jobs_before, &params, &rows, e))
		return cli_input_error(e);
	loader->after_id = row_i64(rows, 0, "last_id");
	make_row_end(loader, row_text(rows, 0, "run_at"));
	return true;
}

/*
 * The number of the row that was refused, which is that of its line; 0: not told. COPY says it
 * before everything else that it says about rows ("COPY jobs, line 3, ..." in the server's
 * language), our own trigger in its detail.
 */
static int64_t refused_row(const PGresult *result)
{
	const char *context = PQresultErrorField(result, PG_DIAG_CONTEXT);
	const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
	int64_t row = 0;

	if (detail && sscanf(detail, "Row %" SCNd64 " of ", &row) == 1)
		return row;
	context = context ? strstr(context, "COPY jobs, ") : NULL;
	if (context && sscanf(context, "COPY jobs, %*[^0-9]%" SCNd64, &row) == 1)
		return row;
	return 0;
}

static bool refused(struct loader *loader, const PGresult *result, struct err *e)
{
	int64_t row = refused_row(result);
	char *detail;

	query_err(result, e);
	detail = strstr(e->text, " (Row ");
	if (detail) /* the line says it */
		memmove(detail, detail + strcspn(detail, ")") + 1,
			strlen(detail + strcspn(detail, ")")));
	if (cli_has_lost_connection(loader->cli, e))
		err_in(e, "the connection was lost at line %" PRId64, loader->file.line);
	else if (row > 0)
		err_in(e, "%s:%" PRId64, loader->file.name, loader->copied + row);
	return cli_input_error(e);
}

static void feed(struct loader *loader)
{
	query_copy_feed(&loader->cli->conn, loader->rows.bytes, loader->rows.length);
	buf_reset(&loader->rows);
	draw(loader);
}

static bool end_copy(struct loader *loader, struct err *e)
{
	PGresult *result CLEANUP(clear_result) = NULL;

	feed(loader);
	result = query_copy_end(&loader->cli->conn, NULL);
	if (!query_ok(result))
		return refused(loader, result, e);
	loader->copied += loader->count;
	loader->count = loader->bytes = 0;
	return true;
}

static void add_row(struct loader *loader, const struct ndjson_object *object)
{
	size_t before = loader->rows.length;

	buf_text(&loader->rows, loader->cli->args[0]);
	buf_char(&loader->rows, '\t');
	add_escaped(&loader->rows, object->text, object->length);
	buf_add(&loader->rows, loader->row_end.bytes, loader->row_end.length);
	loader->count++;
	loader->bytes += (int64_t)(loader->rows.length - before);
	if (loader->rows.length >= FEED_BYTES)
		feed(loader);
}

static bool next_object(struct loader *loader, struct ndjson_object *ret_object, struct err *e)
{
	struct ndjson_object object;

	if (!ndjson_next(&loader->file, &object, e))
		return false;
	if (object.json &&
		!enqueue_check(loader->cli, loader->cli->args[0], loader->family, object.json, e)) {
		json_decref(object.json);
		return err_in(e, "%s:%" PRId64, loader->file.name, loader->file.line);
	}
	json_decref(object.json);
	*ret_object = object;
	return true;
}

/* The first object is there already: a COPY is begun when there is something to copy. */
static bool copy(struct loader *loader, struct ndjson_object *object, struct err *e)
{
	struct conn *conn = &loader->cli->conn;

	if (FAULT_FAILS("jobs_copy", "send", PQsocket(conn->pg), e) ||
		!query_copy_begin(conn, &sql_jobs_copy, e))
		return false;
	do {
		add_row(loader, object);
		if (!next_object(loader, object, e)) {
			PQclear(query_copy_end(conn, "a line was refused"));
			return false;
		}
	} while (object->text && loader->count < COPY_ROWS && loader->bytes < COPY_BYTES);
	return end_copy(loader, e);
}

static bool load(struct loader *loader, PGresult **ret_ids, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	struct ndjson_object object;

	if (!next_object(loader, &object, e))
		return false;
	if (!object.text)
		return err_set(e, ERR_CONFIG,
			"%s: it is empty; each line is a JSON object, such as {\"key\": 1}",
			loader->file.name);
	if (!cli_connect(loader->cli, e) || !begin(loader, e))
		return false;
	while (object.text)
		if (!copy(loader, &object, e))
			return false;
	params_i64(&params, loader->after_id);
	return query_rows(&loader->cli->conn, &sql_jobs_copied, &params, ret_ids, e);
}

/* If the connection breaks meanwhile, there are all jobs or none, and the first one's id tells. */
static bool commit(struct loader *loader, int64_t first_id, struct err *e)
{
	struct conn *conn = &loader->cli->conn;

	if (!FAULT_FAILS("jobs_copy", "commit", PQsocket(conn->pg), e) &&
		query_command(conn, "COMMIT", e) &&
		!FAULT_FAILS("jobs_copy", "committed", PQsocket(conn->pg), e))
		return true;
	if (!cli_has_lost_connection(loader->cli, e))
		return err_in(e, "nothing is queued");
	cli_next(loader->cli, "athena job show %" PRId64, first_id);
	return err_in(e, "all jobs are queued, or none");
}

static void print_jobs(const struct cli *cli, int64_t count, int64_t first_id, int64_t last_id)
{
	if (cli->wants_json)
		cli_print_json(cli,
			json_pack("{s:I, s:I, s:I}", "jobs", (json_int_t)count, "first_job_id",
				(json_int_t)first_id, "last_job_id", (json_int_t)last_id));
	else
		printf("%" PRId64 " job%s queued, ids from %" PRId64 " to %" PRId64 "\n", count,
			count == 1 ? "" : "s", first_id, last_id);
}

bool enqueue_file(struct cli *cli, const char *path, struct err *e)
{
	struct loader loader CLEANUP(close_loader) = {
		.cli = cli, .file = {.fd = -1}, .bar = {.terminal = &cli->err}};
	PGresult *ids CLEANUP(clear_result) = NULL;

	if (!enqueue_family(cli, cli->args[0], &loader.family, e) ||
		!ndjson_open(&loader.file, path, e) || !load(&loader, &ids, e))
		return err_in(e, "nothing is queued");
	if (!commit(&loader, row_i64(ids, 0, "first_id"), e))
		return false;
	bar_erase(&loader.bar);
	print_jobs(cli, loader.copied, row_i64(ids, 0, "first_id"), row_i64(ids, 0, "last_id"));
	return true;
}
