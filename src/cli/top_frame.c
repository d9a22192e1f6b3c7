/* SPDX-License-Identifier: PostgreSQL */
/* Drawing figures. */
#include "cli/top_frame.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/bar.h"
#include "cli/listing.h"
#include "cli/table.h"
#include "cli/when.h"
#include "db/query.h"

enum {
	BAR_COLUMNS = 10,
	HISTORY_COLUMNS = 16,
	WIDE = 100,	 /* from here on there is room for the history of each family */
	WIDER = 114,	 /* and for a bar of what is ready */
	PANE_HEAD = 2,	 /* lines of a pane above its rows */
	PANE_ROWS = 3,	 /* what a pane that is not chosen keeps, where lines are few */
	HEAD_COLUMNS = 7 /* names of the head's lines */
};

/* A pane's rows in the order in which they are shown, drawn. */
struct pane {
	enum top_pane which;
	size_t *order;
	size_t count;
	char *text; /* titles, then a line per row; NULL: no rows */
	size_t lines;
};

/* --- Order */

/* Ways to sort: greatest first. The first of each pane is as the rows came. */
static const struct sort {
	const char *name;
	int figure;	    /* of families */
	const char *column; /* of the others */
} sorts[TOP_PANES][8] = {
	[TOP_FAMILIES] = {{"name", 0, NULL}, {"ready", FIGURE_READY, NULL},
		{"oldest", FIGURE_OLDEST_S, NULL}, {"running", FIGURE_RUNNING, NULL},
		{"done/s", FIGURE_ENDED_PER_S, NULL}, {"dead", FIGURE_DEAD, NULL}},
	[TOP_WORKERS] = {{"host", 0, NULL}, {"running", 0, "running"},
		{"silence", 0, "heartbeat_at"}},
	[TOP_LANES] = {{"number", 0, NULL}, {"took", 0, "took_s"}, {"total", 0, "total"}},
};

void top_view_sort(struct top_view *view)
{
	size_t *sort = &view->sort[view->pane];

	*sort = sorts[view->pane][*sort + 1].name ? *sort + 1 : 0;
	view->first[view->pane] = 0;
}

static const PGresult *rows_of(const struct figures *figures, enum top_pane which)
{
	return which == TOP_WORKERS ? figures->workers : figures->lanes;
}

static size_t count_of(const struct figures *figures, enum top_pane which)
{
	return which == TOP_FAMILIES ? figures->family_count
				     : (size_t)PQntuples(rows_of(figures, which));
}

/* What sorts first is greatest; what is not known comes last. */
static double rank(
	const struct figures *figures, enum top_pane which, const struct sort *sort, size_t row)
{
	const char *text;
	double value;

	if (which == TOP_FAMILIES) {
		value = figures->families[row].now[sort->figure];
		return isnan(value) ? -INFINITY : value;
	}
	text = row_text(rows_of(figures, which), (int)row, sort->column);
	if (!text)
		return -INFINITY;
	return strcmp(sort->column, "heartbeat_at") == 0 ? -(double)when_from_postgres(text)
							 : strtod(text, NULL);
}

static int by_rank(const void *one, const void *other, void *ranks)
{
	size_t a = *(const size_t *)one, b = *(const size_t *)other;
	const double *rank_of = ranks;

	if (rank_of[a] != rank_of[b])
		return rank_of[a] > rank_of[b] ? -1 : 1;
	return a < b ? -1 : a > b;
}

static void reverse(size_t *order, size_t count)
{
	for (size_t i = 0; i < count / 2; i++) {
		size_t row = order[i];

		order[i] = order[count - 1 - i];
		order[count - 1 - i] = row;
	}
}

static void set_order(struct pane *pane, const struct figures *figures, const struct top_view *view)
{
	const struct sort *sort = &sorts[pane->which][view->sort[pane->which]];
	double *ranks CLEANUP(free_ptr) = xcalloc(pane->count + 1, sizeof(*ranks));

	pane->order = xcalloc(pane->count + 1, sizeof(*pane->order));
	for (size_t row = 0; row < pane->count; row++) {
		pane->order[row] = row;
		if (view->sort[pane->which] > 0)
			ranks[row] = rank(figures, pane->which, sort, row);
	}
	qsort_r(pane->order, pane->count, sizeof(*pane->order), by_rank, ranks);
	if (view->is_reversed[pane->which])
		reverse(pane->order, pane->count);
}

/* --- Families */

enum family_column {
	NAME,
	READY,
	BAR,
	SCHEDULED,
	RUNNING,
	WAITING,
	DEAD,
	IN,
	DONE,
	PAST,
	LOST,
	OLDEST,
	PAUSED
};

static const struct table_column family_titles[] = {
	[NAME] = {.title = "FAMILY", .may_shrink = true},
	[READY] = {.title = "READY", .is_right = true},
	[BAR] = {.title = "          "},
	[SCHEDULED] = {.title = "SCHED", .is_right = true},
	[RUNNING] = {.title = "RUN", .is_right = true},
	[WAITING] = {.title = "WAIT", .is_right = true},
	[DEAD] = {.title = "DEAD", .is_right = true},
	[IN] = {.title = "IN/S", .is_right = true},
	[DONE] = {.title = "DONE/S", .is_right = true},
	[PAST] = {.title = "                "},
	[LOST] = {.title = "DEAD/S", .is_right = true},
	[OLDEST] = {.title = "OLDEST", .is_right = true},
	[PAUSED] = {.title = "PAUSED"},
	{0},
};

/* "1,234"; below ten and not whole "3.4"; "-" where it is not known. */
static void add_figure(struct buf *out, double value)
{
	if (isnan(value))
		buf_char(out, '-');
	else if (value < 9.95 && value != (double)(int64_t)value)
		buf_printf(out, "%.1f", value);
	else
		bar_number(out, (int64_t)(value + 0.5));
}

/* Nothing is dim, so that something is seen. */
static void figure_cell(struct table *table, enum style style, double value)
{
	struct buf text CLEANUP(buf_clear) = {0};

	add_figure(&text, value);
	table_cell(table, value > 0 ? style : STYLE_DIM, text.bytes);
}

static void age_cell(struct table *table, double seconds)
{
	char text[WHEN_TEXT];

	if (isnan(seconds))
		table_cell(table, STYLE_DIM, "-");
	else
		table_cell(table, STYLE_PLAIN, when_length((int64_t)(seconds * 1e6), text));
}

static void ready_bar(
	struct table *table, const struct terminal *terminal, double ready, double most)
{
	struct buf text CLEANUP(buf_clear) = {0};

	if (terminal->columns >= WIDER) {
		bar_cells(&text, terminal->has_unicode, most > 0 ? ready / most : 0, BAR_COLUMNS);
		if (text.length == 0)
			buf_char(&text, ' '); /* keeps the column */
	}
	table_cell(table, STYLE_CYAN, text.bytes);
}

/* The head has the sum of them, where there is no room. */
static void lost_cell(struct table *table, const struct terminal *terminal, double value)
{
	if (terminal->columns > 0 && terminal->columns < WIDE)
		table_cell(table, STYLE_PLAIN, NULL);
	else
		figure_cell(table, STYLE_RED, value);
}

static void past_cell(
	struct table *table, const struct terminal *terminal, const struct figures_family *family)
{
	const double *history = family->history + FIGURES_HISTORY - HISTORY_COLUMNS;
	enum style style = STYLE_DIM;
	struct buf text CLEANUP(buf_clear) = {0};

	for (int i = 0; i < HISTORY_COLUMNS; i++)
		style = history[i] > 0 ? STYLE_GREEN : style;
	if (terminal->columns >= WIDE)
		bar_history(&text, terminal->has_unicode, history, HISTORY_COLUMNS);
	table_cell(table, style, text.bytes);
}

static void add_family(struct table *table, const struct terminal *terminal,
	const struct figures_family *family, double most)
{
	const double *now = family->now;

	table_cell(table, family->is_paused ? STYLE_YELLOW : STYLE_PLAIN, family->name);
	figure_cell(table, STYLE_PLAIN, now[FIGURE_READY]);
	ready_bar(table, terminal, now[FIGURE_READY], most);
	figure_cell(table, STYLE_PLAIN, now[FIGURE_SCHEDULED]);
	figure_cell(table, STYLE_CYAN, now[FIGURE_RUNNING]);
	figure_cell(table, STYLE_PLAIN, now[FIGURE_WAITING]);
	figure_cell(table, STYLE_RED, now[FIGURE_DEAD]);
	figure_cell(table, STYLE_PLAIN, now[FIGURE_ENQUEUED_PER_S]);
	figure_cell(table, STYLE_GREEN, now[FIGURE_ENDED_PER_S]);
	past_cell(table, terminal, family);
	lost_cell(table, terminal, now[FIGURE_DEAD_PER_S]);
	age_cell(table, now[FIGURE_OLDEST_S]);
	table_cell(table, STYLE_YELLOW, family->is_paused ? "paused" : NULL);
}

static void print_families(
	const struct pane *pane, const struct figures *figures, const struct terminal *terminal)
{
	struct table table CLEANUP(table_clear) = {0};
	double most = 0;

	for (size_t i = 0; i < figures->family_count; i++)
		if (figures->families[i].now[FIGURE_READY] > most)
			most = figures->families[i].now[FIGURE_READY];
	table_init(&table, family_titles);
	for (size_t i = 0; i < pane->count; i++)
		add_family(&table, terminal, &figures->families[pane->order[i]], most);
	table_print(&table, terminal);
}

/* --- Workers and lanes */

static void print_rows(
	const struct pane *pane, const struct figures *figures, const struct terminal *terminal)
{
	const struct listing_column *columns =
		pane->which == TOP_WORKERS ? worker_columns : lane_columns;
	struct table_column *titles CLEANUP(free_ptr) = listing_titles(columns);
	struct table table CLEANUP(table_clear) = {0};

	table_init(&table, titles);
	for (size_t i = 0; i < pane->count; i++)
		listing_add_row(
			&table, columns, rows_of(figures, pane->which), (int)pane->order[i]);
	table_print(&table, terminal);
}

/* --- Panes */

static void fill(struct pane *pane, const struct figures *figures, const struct top_view *view,
	const struct terminal *terminal)
{
	struct terminal paper = *terminal;
	size_t size;

	pane->count = count_of(figures, pane->which);
	set_order(pane, figures, view);
	if (pane->count == 0)
		return;
	paper.file = open_memstream(&pane->text, &size);
	if (pane->which == TOP_FAMILIES)
		print_families(pane, figures, &paper);
	else
		print_rows(pane, figures, &paper);
	fclose(paper.file);
}

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* What it takes to show all of a pane: its head, its rows or the word "none". */
static size_t wish(const struct pane *pane)
{
	return pane->count ? PANE_HEAD + pane->count : PANE_HEAD;
}

/* A pane gets what it wishes of so many lines, up to `most`; nothing if no row would be seen. */
static size_t give(struct pane *pane, size_t lines, size_t most)
{
	size_t wanted = min_size(wish(pane), most);

	if (lines < min_size(wanted, PANE_HEAD + 1))
		return lines;
	pane->lines = min_size(wanted, lines);
	return lines - pane->lines;
}

/* The chosen one comes first; each a little, then what is left to those who can use it. */
static void divide(struct pane panes[TOP_PANES], enum top_pane chosen, size_t lines)
{
	static const size_t shares[] = {PANE_HEAD + PANE_ROWS, SIZE_MAX};

	for (size_t round = 0; round < ARRAY_LENGTH(shares); round++)
		for (size_t i = 0; i <= TOP_PANES; i++) {
			struct pane *pane = &panes[i == 0 ? chosen : i - 1];

			lines = give(pane, lines + pane->lines, shares[round]);
		}
}

static const char *const pane_names[TOP_PANES] = {"families", "workers", "maintenance"};

static void print_rule(const struct terminal *terminal, size_t from)
{
	size_t columns = terminal->columns ? terminal->columns : 80;
	struct buf rule CLEANUP(buf_clear) = {0};

	for (; from < columns; from++)
		buf_text(&rule, terminal->has_unicode ? "─" : "-");
	terminal_printf(terminal, STYLE_DIM, "%s\n", rule.length ? rule.bytes : "");
}

/* "── families  3-9 of 40, by ready ─────" */
static void print_pane_title(const struct pane *pane, const struct top_view *view,
	const struct terminal *terminal, bool is_chosen, size_t first, size_t shown)
{
	size_t sort = view->sort[pane->which];
	struct buf about CLEANUP(buf_clear) = {0};

	if (shown < pane->count)
		buf_printf(&about, "%zu-%zu of ", first + 1, first + shown);
	buf_printf(&about, "%zu", pane->count);
	if (sort > 0 || view->is_reversed[pane->which])
		buf_printf(&about, ", by %s%s", sorts[pane->which][sort].name,
			view->is_reversed[pane->which] ? " (reversed)" : "");
	terminal_printf(terminal, STYLE_DIM, "%s", terminal->has_unicode ? "── " : "-- ");
	terminal_printf(
		terminal, is_chosen ? STYLE_CYAN : STYLE_BOLD, "%s", pane_names[pane->which]);
	terminal_printf(terminal, STYLE_DIM, "  %s ", about.bytes);
	print_rule(terminal, 3 + strlen(pane_names[pane->which]) + 2 + about.length + 1);
}

static void print_line(const struct terminal *terminal, const char *text, size_t number)
{
	size_t length;

	for (; number > 0; number--)
		text += strcspn(text, "\n") + 1;
	length = strcspn(text, "\n");
	fprintf(terminal->file, "%.*s\n", (int)length, text);
}

static void print_pane(const struct pane *pane, struct top_view *view,
	const struct terminal *terminal, bool is_chosen)
{
	size_t shown = min_size(pane->count, pane->lines - PANE_HEAD);
	size_t *first = &view->first[pane->which];

	*first = min_size(*first, pane->count - shown);
	print_pane_title(pane, view, terminal, is_chosen, *first, shown);
	if (pane->count == 0) {
		terminal_printf(terminal, STYLE_DIM, "none\n");
		return;
	}
	print_line(terminal, pane->text, 0);
	for (size_t i = 0; i < shown; i++)
		print_line(terminal, pane->text, 1 + *first + i);
}

/* --- Head and foot */

static void print_name(const struct terminal *terminal, const char *name)
{
	terminal_printf(terminal, STYLE_DIM, "%-*s", HEAD_COLUMNS, name);
}

/* "  1,234 ready"; dim where there is nothing. */
static void print_sum(
	const struct terminal *terminal, enum style style, double value, const char *what)
{
	struct buf text CLEANUP(buf_clear) = {0};

	add_figure(&text, value);
	fputs("  ", terminal->file);
	terminal_printf(terminal, value > 0 ? style : STYLE_DIM, "%s %s", text.bytes, what);
}

static void print_jobs(const struct terminal *terminal, const struct figures_family *all)
{
	print_name(terminal, "jobs");
	print_sum(terminal, STYLE_PLAIN, all->now[FIGURE_READY], "ready");
	print_sum(terminal, STYLE_PLAIN, all->now[FIGURE_SCHEDULED], "scheduled");
	print_sum(terminal, STYLE_CYAN, all->now[FIGURE_RUNNING], "running");
	print_sum(terminal, STYLE_PLAIN, all->now[FIGURE_WAITING], "waiting");
	print_sum(terminal, STYLE_RED, all->now[FIGURE_DEAD], "dead");
	fputc('\n', terminal->file);
}

static void print_speeds(const struct terminal *terminal, const struct figures_family *all)
{
	struct buf past CLEANUP(buf_clear) = {0};

	print_name(terminal, "per s");
	print_sum(terminal, STYLE_PLAIN, all->now[FIGURE_ENQUEUED_PER_S], "in");
	print_sum(terminal, STYLE_GREEN, all->now[FIGURE_ENDED_PER_S], "done");
	print_sum(terminal, STYLE_RED, all->now[FIGURE_DEAD_PER_S], "dead");
	bar_history(&past, terminal->has_unicode, all->history, FIGURES_HISTORY);
	if (terminal->columns > 0)
		terminal_printf(
			terminal, STYLE_GREEN, "  %s", past.bytes + strspn(past.bytes, " "));
	fputc('\n', terminal->file);
}

static double count_state(const PGresult *rows, const char *state)
{
	double count = 0;

	for (int row = 0; row < PQntuples(rows); row++)
		count += strcmp(row_text(rows, row, "state"), state) == 0;
	return count;
}

/* A state of the rows of a view, as it is shown when there is any. */
struct shown_state {
	const char *name; /* NULL ends a list */
	enum style style;
};

/* The first one is shown even when there is none of it. */
static void print_states(const struct terminal *terminal, const char *what, const PGresult *rows,
	const struct shown_state *states)
{
	print_name(terminal, what);
	for (const struct shown_state *state = states; state->name; state++) {
		double count = count_state(rows, state->name);

		if (count > 0 || state == states)
			print_sum(terminal, state->style, count, state->name);
	}
}

static void print_workers(const struct terminal *terminal, const PGresult *workers)
{
	static const struct shown_state states[] = {
		{"alive", STYLE_PLAIN}, {"stopping", STYLE_YELLOW}, {"silent", STYLE_RED}, {0}};

	print_states(terminal, "workers", workers, states);
	fputc('\n', terminal->file);
}

/* "led by vm:17", or by how many. */
static void print_leader(const struct terminal *terminal, const PGresult *lanes)
{
	const char *leader = NULL;

	for (int row = 0; row < PQntuples(lanes); row++) {
		const char *by = row_text(lanes, row, "leader");

		if (!by || !row_bool(lanes, row, "visible"))
			continue;
		if (leader && strcmp(leader, by) != 0) {
			fputs("  led by several", terminal->file);
			return;
		}
		leader = by;
	}
	if (leader)
		fprintf(terminal->file, "  led by %s", leader);
}

static void print_lanes(const struct terminal *terminal, const PGresult *lanes)
{
	static const struct shown_state states[] = {
		{"fine", STYLE_PLAIN}, {"overdue", STYLE_RED}, {"never ran", STYLE_YELLOW}, {0}};

	print_states(terminal, "lanes", lanes, states);
	print_leader(terminal, lanes);
	fputc('\n', terminal->file);
}

/* The time of the last look stands at the right. */
static void print_title(
	const struct terminal *terminal, const struct figures *figures, const struct top_view *view)
{
	char at[WHEN_TEXT];
	size_t columns = terminal->columns ? terminal->columns : 80;
	size_t used = strlen("athena top  ") + text_width(view->database);

	when_clock((int64_t)(figures->at_s * 1e6), at);
	at[strcspn(at, ".")] = '\0';
	terminal_printf(terminal, STYLE_BOLD, "athena top");
	fprintf(terminal->file, "  %s%*s\n", view->database,
		columns > used + strlen(at) ? (int)(columns - used) : 10, at);
}

static void print_foot(const struct terminal *terminal, const struct top_view *view)
{
	if (view->trouble)
		terminal_printf(terminal, STYLE_RED, "%s", view->trouble);
	else if (view->is_held)
		terminal_printf(terminal, STYLE_YELLOW, "held; space goes on");
	else
		terminal_printf(terminal, STYLE_DIM,
			"q quit  tab pane  s sort  r reverse  %s scroll  space hold",
			terminal->has_unicode ? "↑↓" : "arrows");
	fputc('\n', terminal->file);
}

enum { HEAD_LINES = 5 };

static void print_frame(const struct figures *figures, struct top_view *view,
	const struct terminal *terminal, struct pane panes[TOP_PANES])
{
	print_title(terminal, figures, view);
	print_jobs(terminal, &figures->all);
	print_speeds(terminal, &figures->all);
	print_workers(terminal, figures->workers);
	print_lanes(terminal, figures->lanes);
	for (int i = 0; i < TOP_PANES; i++)
		if (panes[i].lines > 0)
			print_pane(&panes[i], view, terminal, i == (int)view->pane);
}

/* As many lines of the text as there is room for above the foot, which is the last one. */
static void add_screen(struct buf *out, const char *text, const struct top_view *view,
	const struct terminal *terminal, size_t lines)
{
	struct terminal paper = *terminal;
	char *foot CLEANUP(free_ptr) = NULL;
	size_t size;

	for (size_t i = 1; i < lines; i++) {
		size_t length = strcspn(text, "\n");

		buf_add(out, text, length);
		buf_char(out, '\n');
		text += length + (text[length] == '\n');
	}
	paper.file = open_memstream(&foot, &size);
	print_foot(&paper, view);
	fclose(paper.file);
	buf_text(out, foot);
}

static void fill_panes(struct pane panes[TOP_PANES], const struct figures *figures,
	const struct top_view *view, const struct terminal *terminal, size_t lines)
{
	size_t others = HEAD_LINES + 1; /* with the foot */

	for (int i = 0; i < TOP_PANES; i++) {
		panes[i].which = (enum top_pane)i;
		fill(&panes[i], figures, view, terminal);
	}
	divide(panes, view->pane, lines == 0 ? SIZE_MAX / 2 : lines > others ? lines - others : 0);
}

void top_frame(struct buf *out, const struct figures *figures, struct top_view *view,
	const struct terminal *terminal, size_t lines)
{
	struct pane panes[TOP_PANES] = {{0}};
	struct terminal paper = *terminal;
	char *text CLEANUP(free_ptr) = NULL;
	size_t size;

	fill_panes(panes, figures, view, terminal, lines);
	paper.file = open_memstream(&text, &size);
	print_frame(figures, view, &paper, panes);
	fclose(paper.file);
	if (lines == 0)
		buf_text(out, text);
	else
		add_screen(out, text, view, terminal, lines);
	for (int i = 0; i < TOP_PANES; i++) {
		free(panes[i].order);
		free(panes[i].text);
	}
}
