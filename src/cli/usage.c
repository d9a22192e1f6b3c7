/* SPDX-License-Identifier: PostgreSQL */
/* What --help prints. */
#include "cli/usage.h"

#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "cli/arguments.h"

static void heading(const struct terminal *terminal, const char *text)
{
	terminal_printf(terminal, STYLE_BOLD, "%s", text);
	fputc('\n', terminal->file);
}

static bool is_in_group(const struct command *command, const char *group)
{
	size_t length = strlen(group);

	return strncmp(command->name, group, length) == 0 && command->name[length] == ' ';
}

enum {
	LEFT_COLUMN = 30,  /* the longest "name args" that still shares its line with the summary */
	RIGHT_COLUMN = 66, /* summaries and helps are wrapped at this, or where the terminal ends */
	NARROWEST = 20,
	GAPS = 4,
};

static size_t right_width(const struct terminal *terminal)
{
	size_t left = LEFT_COLUMN + GAPS;

	if (terminal->columns == 0 || terminal->columns >= left + RIGHT_COLUMN)
		return RIGHT_COLUMN;
	return terminal->columns > left + NARROWEST ? terminal->columns - left : NARROWEST;
}

/* Bytes of the words that fit; at least one word. */
static size_t fitting(const char *text, size_t width)
{
	size_t fits = strcspn(text, " ");

	while (text[fits] == ' ') {
		size_t next = fits + 1 + strcspn(text + fits + 1, " ");

		if (next > width)
			break;
		fits = next;
	}
	return fits;
}

static void print_line(const struct terminal *terminal, const char *left, const char *right)
{
	bool is_long = strlen(left) > LEFT_COLUMN;

	fprintf(terminal->file, "  %-*s", is_long ? 0 : LEFT_COLUMN, left);
	if (is_long)
		fprintf(terminal->file, "\n  %*s", LEFT_COLUMN, "");
	for (;;) {
		size_t length = fitting(right, right_width(terminal));

		fprintf(terminal->file, "  %.*s\n", (int)length, right);
		right += length;
		if (!*right)
			return;
		right++;
		fprintf(terminal->file, "  %*s", LEFT_COLUMN, "");
	}
}

static void print_command_line(const struct terminal *terminal, const struct command *command)
{
	struct buf left CLEANUP(buf_clear) = {0};

	buf_printf(&left, "%s%s%s", command->name, command->args[0] ? " " : "", command->args);
	print_line(terminal, left.bytes, command->summary);
}

const char *usage_value_name(const struct option_row *row)
{
	if (row->unit)
		return row->unit;
	switch (row->type) {
	case OPTION_INT:
		return "N";
	case OPTION_DURATION:
		return "TIME";
	case OPTION_WORD:
		return row->words;
	default:
		return "TEXT";
	}
}

void usage_option_help(const struct option_row *row, struct buf *out)
{
	buf_text(out, row->help);
	if (row->type == OPTION_INT && row->min != row->max && row->max < INT32_MAX)
		buf_printf(out, ", %" PRId64 " to %" PRId64, row->min, row->max);
	if (row->fallback && row->type != OPTION_BOOL)
		buf_printf(out, " (default %s)", row->fallback);
}

static void print_option(const struct terminal *terminal, const struct option_row *row)
{
	struct buf left CLEANUP(buf_clear) = {0};
	struct buf right CLEANUP(buf_clear) = {0};
	char spelled[64];

	arguments_spelling(row->name, spelled, sizeof(spelled));
	buf_printf(&left, "--%s", spelled);
	if (row->type != OPTION_BOOL)
		buf_printf(&left, " %s", usage_value_name(row));
	usage_option_help(row, &right);
	print_line(terminal, left.bytes, right.bytes);
}

static void print_options(const struct terminal *terminal, const struct option_row *table)
{
	for (; table && table->name; table++)
		print_option(terminal, table);
}

static void print_footer(const struct terminal *terminal)
{
	fputc('\n', terminal->file);
	heading(terminal, "Options of every command");
	print_options(terminal, global_options);
}

void usage_print_all(const struct terminal *terminal)
{
	fputs("athena: jobs are rows, workers claim them\n\n", terminal->file);
	fputs("Usage: athena COMMAND [ARGUMENT...] [OPTION...]\n\n", terminal->file);
	heading(terminal, "Commands");
	for (const struct command *const *command = commands; *command; command++)
		print_command_line(terminal, *command);
	print_footer(terminal);
	fputs("\nExit status: 0 done, 1 failed, 2 wrong usage or configuration, 3 cancelled.\n"
	      "More about one: athena COMMAND --help\n",
		terminal->file);
}

void usage_print_group(const struct terminal *terminal, const char *group)
{
	fprintf(terminal->file, "Usage: athena %s COMMAND [ARGUMENT...] [OPTION...]\n\n", group);
	heading(terminal, "Commands");
	for (const struct command *const *command = commands; *command; command++)
		if (is_in_group(*command, group))
			print_command_line(terminal, *command);
}

void usage_print_command(const struct terminal *terminal, const struct command *command)
{
	char title[64];

	command_title(command, title, sizeof(title));
	fprintf(terminal->file, "%s: %s\n\n", title, command->summary);
	fprintf(terminal->file, "Usage: %s%s%s%s\n", title, command->options ? " [OPTION...]" : "",
		command->args[0] ? " " : "", command->args);
	if (command->help)
		fprintf(terminal->file, "\n%s", command->help);
	if (command->options) {
		fputc('\n', terminal->file);
		heading(terminal, "Options");
		print_options(terminal, command->options);
	}
	print_footer(terminal);
}
