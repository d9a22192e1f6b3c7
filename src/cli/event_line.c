/* SPDX-License-Identifier: PostgreSQL */
/* Events, one line each. */
#include "cli/event_line.h"

#include <string.h>

#include "base/mem.h"
#include "cli/listing.h"
#include "cli/when.h"
#include "db/query.h"

static const struct listing_column event_columns[] = {
	{"seq", NULL, LISTING_NUMBER, 0},
	{"at", NULL, LISTING_TIME, 0},
	{"attempt", NULL, LISTING_NUMBER, 0},
	{"ticket", NULL, LISTING_NUMBER, 0},
	{"phase", NULL, LISTING_TEXT, 0},
	{"level", NULL, LISTING_TEXT, 0},
	{"kind", NULL, LISTING_TEXT, 0},
	{"message", NULL, LISTING_TEXT, 0},
	{"details", NULL, LISTING_JSON, 0},
	{0},
};

json_t *event_line_json(const PGresult *rows, int row)
{
	return listing_row(event_columns, rows, row);
}

enum { PHASE_COLUMNS = 15 };

static enum style level_style(const char *level)
{
	if (strcmp(level, "error") == 0)
		return STYLE_RED;
	if (strcmp(level, "warn") == 0)
		return STYLE_YELLOW;
	return strcmp(level, "debug") == 0 ? STYLE_DIM : STYLE_PLAIN;
}

/* A phase that begins says so by its name alone. */
static bool is_phase_start(const PGresult *rows, int row)
{
	return strcmp(row_text(rows, row, "kind"), "phase_started") == 0;
}

static void add_text(struct buf *out, const PGresult *rows, int row)
{
	const char *message = row_text(rows, row, "message");
	const char *kind = row_text(rows, row, "kind");

	if (!is_phase_start(rows, row))
		text_clean(out, message[0] ? message : kind);
}

void event_line_print(const struct terminal *terminal, const PGresult *rows, int row)
{
	const char *phase = row_text(rows, row, "phase");
	const char *attempt = row_text(rows, row, "attempt");
	struct buf text CLEANUP(buf_clear) = {0};
	char at[WHEN_TEXT];

	add_text(&text, rows, row);
	text_cut(&text, terminal->columns > 60 ? terminal->columns - 35 : 0, terminal->has_unicode);
	terminal_printf(terminal, STYLE_DIM, "%s",
		when_clock(when_from_postgres(row_text(rows, row, "at")), at));
	fprintf(terminal->file, "  %2s  ", attempt ? attempt : "");
	terminal_printf(terminal, is_phase_start(rows, row) ? STYLE_CYAN : STYLE_DIM, "%-*s",
		text.length ? PHASE_COLUMNS : 0, phase ? phase : "");
	if (text.length)
		terminal_printf(
			terminal, level_style(row_text(rows, row, "level")), "  %s", text.bytes);
	fputc('\n', terminal->file);
}
