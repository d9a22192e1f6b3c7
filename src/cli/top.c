/* SPDX-License-Identifier: PostgreSQL */
/* athena top: families, workers and maintenance, as they are at the moment. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/command_table.h"
#include "cli/figures.h"
#include "cli/screen.h"
#include "cli/top_frame.h"

enum { RETRY_MIN_MS = 100, RETRY_MAX_MS = 2000, PAGE_ROWS = 10 };

static const struct option_row top_options[] = {
	{.name = "interval",
		.type = OPTION_DURATION,
		.fallback = "1s",
		.min = 100,
		.max = 86400000,
		.help = "time from one look to the next"},
	{.name = "once",
		.type = OPTION_BOOL,
		.help = "print one frame, made of two looks, and end"},
	{0},
};

/* One run. */
struct top {
	struct cli *cli;
	struct figures figures;
	struct top_view view;
	char *database;
	struct buf trouble; /* of the last look; empty: there was none */
	int64_t retry_ms;   /* until the next attempt to connect */
	int64_t next_ms;    /* boot clock: the next look */
};

/* "shop on db.example as runner" */
static void name_database(struct top *top)
{
	PGconn *pg = top->cli->conn.pg;
	struct buf name CLEANUP(buf_clear) = {0};
	struct buf clean = {0};

	buf_printf(&name, "%s on %s as %s", PQdb(pg), PQhost(pg), PQuser(pg));
	text_clean(&clean, name.bytes);
	top->database = buf_take(&clean);
	top->view.database = top->database;
}

static void note_trouble(struct top *top, const struct err *e)
{
	struct buf text CLEANUP(buf_clear) = {0};

	buf_printf(&text, "no answer, trying again: %s", e->text);
	buf_reset(&top->trouble);
	text_clean(&top->trouble, text.bytes);
	top->retry_ms = top->retry_ms ? top->retry_ms * 2 : RETRY_MIN_MS;
	if (top->retry_ms > RETRY_MAX_MS)
		top->retry_ms = RETRY_MAX_MS;
}

/* After trouble on a new connection, whatever the trouble was. */
static bool look(struct top *top, struct err *e)
{
	bool ok = (top->retry_ms == 0 || cli_reconnect(top->cli, e)) &&
		figures_look(&top->figures, &top->cli->conn, e);

	if (ok) {
		buf_reset(&top->trouble);
		top->retry_ms = 0;
	} else {
		note_trouble(top, e);
	}
	top->view.trouble = ok ? NULL : top->trouble.bytes;
	top->next_ms = clock_boot_ms() + (ok ? cli_int(top->cli, "interval") : top->retry_ms);
	return ok;
}

/* --- Without a screen */

static void print_json(const struct top *top)
{
	json_t *object = figures_json(&top->figures);

	json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(15));
	putchar('\n');
	fflush(stdout);
	json_decref(object);
}

static void print_once(struct top *top)
{
	struct buf frame CLEANUP(buf_clear) = {0};

	top_frame(&frame, &top->figures, &top->view, &top->cli->out, 0);
	fputs(frame.bytes, stdout);
}

/* Two looks, as speeds are made of two. */
static bool run_once(struct top *top, struct err *e)
{
	if (!look(top, e))
		return false;
	clock_sleep_ms(cli_int(top->cli, "interval"));
	if (!look(top, e))
		return false;
	if (top->cli->wants_json)
		print_json(top);
	else
		print_once(top);
	return true;
}

/* Until a signal ends us, or nobody reads any more. */
static bool run_lines(struct top *top, struct err *e)
{
	struct err trouble;
	bool was_well = true;

	if (!look(top, e))
		return false;
	while (!ferror(stdout)) {
		if (was_well)
			print_json(top);
		else if (top->trouble.length)
			fprintf(stderr, "athena top: %s\n", top->trouble.bytes);
		clock_sleep_ms(top->next_ms - clock_boot_ms());
		was_well = look(top, &trouble);
	}
	return true;
}

/* --- On a screen */

static void draw(struct top *top)
{
	struct terminal terminal = top->cli->out;
	struct buf frame CLEANUP(buf_clear) = {0};
	size_t lines;

	screen_size(&terminal.columns, &lines);
	top_frame(&frame, &top->figures, &top->view, &terminal, lines);
	screen_draw(frame.bytes);
}

static void scroll(struct top_view *view, int rows)
{
	size_t *first = &view->first[view->pane];

	if (rows < 0 && *first < (size_t)-rows)
		*first = 0;
	else
		*first += (size_t)rows;
}

/* False when it is over. */
static bool obey(struct top *top, int key)
{
	struct top_view *view = &top->view;

	switch (key) {
	case 'q':
	case SCREEN_GONE:
		return false;
	case SCREEN_TAB:
		view->pane = (view->pane + 1) % TOP_PANES;
		break;
	case 's':
		top_view_sort(view);
		break;
	case 'r':
		view->is_reversed[view->pane] = !view->is_reversed[view->pane];
		break;
	case ' ':
		view->is_held = !view->is_held;
		break;
	case SCREEN_UP:
	case SCREEN_DOWN:
		scroll(view, key == SCREEN_UP ? -1 : 1);
		break;
	case SCREEN_PAGE_UP:
	case SCREEN_PAGE_DOWN:
		scroll(view, key == SCREEN_PAGE_UP ? -PAGE_ROWS : PAGE_ROWS);
		break;
	default:
		break;
	}
	return true;
}

static void watch(struct top *top)
{
	struct err trouble;
	int key = SCREEN_NOTHING;

	do {
		int64_t left_ms = top->next_ms - clock_boot_ms();

		if (left_ms <= 0 && !top->view.is_held) {
			err_ignored(look(top, &trouble), "the frame shows it");
			left_ms = top->next_ms - clock_boot_ms();
		}
		draw(top);
		key = screen_wait(left_ms > 0 ? left_ms : top->view.is_held ? RETRY_MAX_MS : 0);
	} while (obey(top, key));
}

static bool run_screen(struct top *top, struct err *e)
{
	if (!look(top, e) || !screen_open(e))
		return false;
	watch(top);
	screen_close();
	return true;
}

static bool run(struct cli *cli, struct err *e)
{
	struct top top = {.cli = cli};
	bool ok;

	if (!cli_connect(cli, e))
		return false;
	name_database(&top);
	if (cli_bool(cli, "once") || (!cli->wants_json && !cli->out.is_tty))
		ok = run_once(&top, e);
	else
		ok = cli->wants_json ? run_lines(&top, e) : run_screen(&top, e);
	figures_clear(&top.figures);
	buf_clear(&top.trouble);
	free(top.database);
	return ok;
}

const struct command command_top = {
	.name = "top",
	.args = "",
	.summary = "families, workers and maintenance as they are, drawn anew every second",
	.help = "Per family: jobs by state, jobs that came in, ended and died per second since the "
		"last\n"
		"look, and for how long the oldest ready one could have been claimed (only roles "
		"with\n"
		"athena_worker or athena_maintenance may see that). It counts no table: sums and "
		"views\n"
		"only, safe on a busy system. Where standard output is no terminal it prints one "
		"frame.\n"
		"With --json a line per look.\n"
		"\n"
		"Keys: q quits, tab goes from pane to pane; in a pane s chooses what to sort by, "
		"r\n"
		"reverses it, arrows and page keys scroll. The space bar holds the picture.\n"
		"\n"
		"  athena top\n"
		"  athena top --once\n"
		"  athena top --json --interval 10s | jq .families\n",
	.options = top_options,
	.run = run,
};
