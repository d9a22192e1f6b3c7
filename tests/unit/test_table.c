/* SPDX-License-Identifier: PostgreSQL */
#include "cli/table.h"

#include <stdlib.h>
#include <string.h>

#include "suite.h"

static const struct table_column columns[] = {
	{.title = "JOB", .is_right = true},
	{.title = "NAME"},
	{.title = "NOTHING"},
	{.title = "DETAIL", .may_shrink = true},
	{0},
};

/* What a table prints on a terminal of that width; 0: no terminal. */
static char *printed(const struct table *table, size_t width, bool has_colour)
{
	struct terminal terminal = {
		.columns = width, .has_unicode = true, .has_colour = has_colour};
	char *text = NULL;
	size_t size;

	terminal.file = open_memstream(&text, &size);
	table_print(table, &terminal);
	fclose(terminal.file);
	return text;
}

static void fill(struct table *table)
{
	table_init(table, columns);
	table_cell(table, STYLE_PLAIN, "7");
	table_cell(table, STYLE_GREEN, "caf\u00e9");
	table_cell(table, STYLE_PLAIN, NULL);
	table_cell(table, STYLE_PLAIN, "all is well");
	table_cellf(table, STYLE_PLAIN, "%d", 1234);
	table_cell(table, STYLE_PLAIN, "\u65e5\u672c\u8a9e");
	table_cell(table, STYLE_PLAIN, "");
	table_cell(table, STYLE_PLAIN, NULL);
}

START_TEST(columns_are_as_wide_as_they_look)
{
	struct table table;
	char *text;

	terminal_setup();
	fill(&table);
	text = printed(&table, 0, false);
	ck_assert_str_eq(text,
		" JOB  NAME    DETAIL\n"
		"   7  caf\u00e9    all is well\n"
		"1234  \u65e5\u672c\u8a9e\n");
	free(text);
	table_clear(&table);
}
END_TEST

START_TEST(only_what_may_shrink_is_cut)
{
	struct table table;
	char *text;

	terminal_setup();
	fill(&table);
	text = printed(&table, 22, false);
	ck_assert_str_eq(text,
		" JOB  NAME    DETAIL\n"
		"   7  caf\u00e9    all is \u2026\n"
		"1234  \u65e5\u672c\u8a9e\n");
	free(text);
	table_clear(&table);
}
END_TEST

START_TEST(colours_surround_text_and_no_blanks)
{
	static const struct table_column two[] = {{.title = "A"}, {.title = "B"}, {0}};
	struct table table;
	char *text;

	terminal_setup();
	table_init(&table, two);
	table_cell(&table, STYLE_RED, "x");
	table_cell(&table, STYLE_PLAIN, "y");
	text = printed(&table, 0, true);
	ck_assert_str_eq(text, "\033[1mA\033[0m  \033[1mB\033[0m\n\033[31mx\033[0m  y\n");
	free(text);
	table_clear(&table);
}
END_TEST

START_TEST(control_characters_never_reach_a_terminal)
{
	static const struct table_column one[] = {{.title = "A"}, {0}};
	struct table table;
	char *text;

	terminal_setup();
	table_init(&table, one);
	table_cell(&table, STYLE_PLAIN, "a\033[31mb\tc\nd\xff\x7f\xc2\x85");
	text = printed(&table, 0, false);
	ck_assert_str_eq(text, "A\na?[31mb c d???\n");
	free(text);
	table_clear(&table);
}
END_TEST

Suite *suite_table(void)
{
	const TTest *const tests[] = {columns_are_as_wide_as_they_look, only_what_may_shrink_is_cut,
		colours_surround_text_and_no_blanks, control_characters_never_reach_a_terminal,
		NULL};

	return suite_of("table", tests);
}
