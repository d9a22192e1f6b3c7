/* SPDX-License-Identifier: PostgreSQL */
/* Rows for people and for programs. */
#include "cli/listing.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "cli/bar.h"
#include "cli/when.h"
#include "db/query.h"

enum style listing_state_style(const char *state)
{
	static const struct {
		const char *state;
		enum style style;
	} styles[] = {
		{"running", STYLE_CYAN},
		{"succeeded", STYLE_GREEN},
		{"dead", STYLE_RED},
		{"cancelled", STYLE_YELLOW},
		{"scheduled", STYLE_DIM},
		{"silent", STYLE_RED},
		{"stopping", STYLE_YELLOW},
		{"overdue", STYLE_RED},
		{"never ran", STYLE_YELLOW},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(styles); i++)
		if (strcmp(state, styles[i].state) == 0)
			return styles[i].style;
	return STYLE_PLAIN;
}

static json_t *to_json(enum listing_kind kind, const char *text)
{
	char at[WHEN_TEXT];

	switch (kind) {
	case LISTING_NUMBER:
	case LISTING_BYTES:
		return json_integer(strtoll(text, NULL, 10));
	case LISTING_BOOL:
		return json_boolean(text[0] == 't');
	case LISTING_TIME:
	case LISTING_AGE:
		return json_string(when_utc(when_from_postgres(text), at));
	case LISTING_REAL:
	case LISTING_LENGTH:
		return json_real(strtod(text, NULL));
	case LISTING_JSON:
		return json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	case LISTING_TEXT:
	case LISTING_STATE:
		break;
	}
	return json_string(text);
}

json_t *listing_row(const struct listing_column *columns, const PGresult *rows, int row)
{
	json_t *object = json_object();

	for (; columns->name; columns++) {
		const char *text;
		json_t *value;

		if (columns->flags & LISTING_PEOPLE_ONLY)
			continue;
		text = row_text(rows, row, columns->name);
		value = text ? to_json(columns->kind, text) : NULL;
		json_object_set_new(object, columns->name, value ? value : json_null());
	}
	return object;
}

static void bool_cell(struct table *table, const char *title, bool value)
{
	char *word CLEANUP(free_ptr) = xstrdup(value ? title : "");

	for (char *c = word; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	table_cell(table, STYLE_YELLOW, word);
}

static void cell(struct table *table, const struct listing_column *column, const char *text)
{
	struct buf amount CLEANUP(buf_clear) = {0};
	char word[WHEN_TEXT];

	if (!text) {
		table_cell(table, STYLE_PLAIN, NULL);
		return;
	}
	switch (column->kind) {
	case LISTING_BOOL:
		bool_cell(table, column->title, text[0] == 't');
		break;
	case LISTING_TIME:
		table_cell(
			table, STYLE_PLAIN, when_local(when_from_postgres(text), when_now(), word));
		break;
	case LISTING_AGE:
		table_cell(
			table, STYLE_PLAIN, when_ago(when_from_postgres(text), when_now(), word));
		break;
	case LISTING_LENGTH:
		table_cell(
			table, STYLE_PLAIN, when_length((int64_t)(strtod(text, NULL) * 1e6), word));
		break;
	case LISTING_BYTES:
		bar_amount(&amount, strtoll(text, NULL, 10), "bytes");
		table_cell(table, STYLE_PLAIN, amount.bytes);
		break;
	case LISTING_STATE:
		table_cell(table, listing_state_style(text), text);
		break;
	case LISTING_TEXT:
	case LISTING_NUMBER:
	case LISTING_REAL:
	case LISTING_JSON:
		table_cell(table, STYLE_PLAIN, text);
		break;
	}
}

static void print_json(const struct cli *cli, const struct listing_column *columns, PGresult *rows)
{
	json_t *list = json_array();

	for (int row = 0; row < PQntuples(rows); row++)
		json_array_append_new(list, listing_row(columns, rows, row));
	cli_print_json(cli, list);
}

static bool is_right(enum listing_kind kind)
{
	return kind == LISTING_NUMBER || kind == LISTING_REAL || kind == LISTING_LENGTH ||
		kind == LISTING_BYTES;
}

struct table_column *listing_titles(const struct listing_column *columns)
{
	struct table_column *titles = NULL;
	size_t count = 0;

	for (; columns->name; columns++) {
		titles = xreallocarray(titles, count + 2, sizeof(*titles));
		titles[count] = (struct table_column){
			columns->title, is_right(columns->kind), columns->flags & LISTING_SHRINKS};
		count += columns->title != NULL;
		titles[count] = (struct table_column){0};
	}
	return titles;
}

void listing_add_row(
	struct table *table, const struct listing_column *columns, const PGresult *rows, int row)
{
	for (; columns->name; columns++)
		if (columns->title)
			cell(table, columns, row_text(rows, row, columns->name));
}

static void print_table(const struct cli *cli, const struct listing_column *columns, PGresult *rows)
{
	struct table_column *titles CLEANUP(free_ptr) = listing_titles(columns);
	struct table table CLEANUP(table_clear) = {0};

	table_init(&table, titles);
	for (int row = 0; row < PQntuples(rows); row++)
		listing_add_row(&table, columns, rows, row);
	table_print(&table, &cli->out);
}

void listing_print(const struct cli *cli, const struct listing_column *columns, PGresult *rows)
{
	if (cli->wants_json)
		print_json(cli, columns, rows);
	else if (PQntuples(rows) > 0)
		print_table(cli, columns, rows);
}
