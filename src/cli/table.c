/* SPDX-License-Identifier: PostgreSQL */
/* Aligned columns. */
#include "cli/table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const size_t gap = 2;
static const size_t narrowest = 8; /* a column is not cut below this */

void table_init(struct table *ret_table, const struct table_column *columns)
{
	*ret_table = (struct table){.columns = columns};
	while (columns[ret_table->column_count].title)
		ret_table->column_count++;
}

void table_cell(struct table *table, enum style style, const char *text)
{
	struct buf clean = {0};

	text_clean(&clean, text ? text : "");
	table->cells = xreallocarray(table->cells, table->count + 1, sizeof(*table->cells));
	table->cells[table->count++] = (struct table_cell){buf_take(&clean), style};
}

void table_cellf(struct table *table, enum style style, const char *fmt, ...)
{
	char *text CLEANUP(free_ptr) = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	table_cell(table, style, text);
}

/* 0 for a column that has nothing to show. */
static size_t column_width(const struct table *table, size_t column)
{
	size_t width = 0;

	for (size_t i = column; i < table->count; i += table->column_count) {
		size_t own = text_width(table->cells[i].text);

		if (own > width)
			width = own;
	}
	if (width > 0 && width < text_width(table->columns[column].title))
		width = text_width(table->columns[column].title);
	return width;
}

/*
 * Takes what is too much from the widest of the columns that may shrink, until it fits. Where that
 * is not enough the last column is left out, if it is one that may shrink: a remark.
 */
static void shrink(const struct table *table, size_t *widths, size_t available)
{
	for (;;) {
		size_t total = 0;
		size_t widest = table->column_count;

		for (size_t i = 0; i < table->column_count; i++) {
			total += widths[i] ? widths[i] + (total ? gap : 0) : 0;
			if (table->columns[i].may_shrink && widths[i] > narrowest &&
				(widest == table->column_count || widths[i] > widths[widest]))
				widest = i;
		}
		if (total <= available)
			return;
		if (widest == table->column_count) {
			if (table->columns[widest - 1].may_shrink)
				widths[widest - 1] = 0;
			return;
		}
		widths[widest]--;
	}
}

static void print_blanks(const struct terminal *terminal, size_t count)
{
	fprintf(terminal->file, "%*s", (int)count, "");
}

/* The last column is not padded, so that no line ends with blanks. */
static void print_cell(const struct terminal *terminal, const struct table_cell *cell, size_t width,
	bool is_right, bool is_last)
{
	struct buf text CLEANUP(buf_clear) = {0};
	size_t padding;

	buf_text(&text, cell->text);
	text_cut(&text, width, terminal->has_unicode);
	padding = width - text_width(text.bytes ? text.bytes : "");
	if (is_right)
		print_blanks(terminal, padding);
	if (text.length > 0)
		terminal_printf(terminal, cell->style, "%s", text.bytes);
	if (!is_right && !is_last)
		print_blanks(terminal, padding);
}

/* Trailing empty cells are left out with their gaps. */
static void print_row(const struct table *table, const struct terminal *terminal,
	const struct table_cell *cells, const size_t *widths)
{
	size_t last = 0;
	bool is_first = true;

	for (size_t i = 0; i < table->column_count; i++)
		if (widths[i] > 0 && cells[i].text[0])
			last = i;
	for (size_t i = 0; i <= last; i++) {
		if (widths[i] == 0)
			continue;
		if (!is_first)
			print_blanks(terminal, gap);
		print_cell(terminal, &cells[i], widths[i], table->columns[i].is_right, i == last);
		is_first = false;
	}
	fputc('\n', terminal->file);
}

static void print_titles(
	const struct table *table, const struct terminal *terminal, const size_t *widths)
{
	struct table_cell *titles CLEANUP(free_ptr) = xcalloc(table->column_count, sizeof(*titles));

	for (size_t i = 0; i < table->column_count; i++) {
		titles[i].text = xstrdup(table->columns[i].title);
		titles[i].style = STYLE_BOLD;
	}
	print_row(table, terminal, titles, widths);
	for (size_t i = 0; i < table->column_count; i++)
		free(titles[i].text);
}

void table_print(const struct table *table, const struct terminal *terminal)
{
	size_t *widths CLEANUP(free_ptr) = xcalloc(table->column_count, sizeof(*widths));

	assert(table->count % table->column_count == 0);
	for (size_t i = 0; i < table->column_count; i++)
		widths[i] = column_width(table, i);
	if (terminal->columns > 0)
		shrink(table, widths, terminal->columns);
	print_titles(table, terminal, widths);
	for (size_t row = 0; row < table->count; row += table->column_count)
		print_row(table, terminal, table->cells + row, widths);
}

void table_clear(struct table *table)
{
	for (size_t i = 0; i < table->count; i++)
		free(table->cells[i].text);
	free(table->cells);
	*table = (struct table){0};
}
