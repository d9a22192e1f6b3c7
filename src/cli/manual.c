/* SPDX-License-Identifier: PostgreSQL */
/*
 * athena manual: man pages, made from the rows of commands and options.
 *
 * What is written is man(7): `athena manual athena.1 | man -l -`. `make install` calls it once per
 * page; nothing else about a page is written by hand.
 */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/command_table.h"
#include "cli/usage.h"
#include "config/settings.h"
#include "version.h"

/* Text whose dashes, backslashes and leading dots mean themselves. */
static void add_text(struct buf *out, const char *text)
{
	bool begins = true;

	for (; *text; text++) {
		if (begins && (*text == '.' || *text == '\''))
			buf_text(out, "\\&");
		if (*text == '\\')
			buf_text(out, "\\e");
		else if (*text == '-')
			buf_text(out, "\\-");
		else
			buf_char(out, *text);
		begins = *text == '\n';
	}
}

static void add_section(struct buf *out, const char *title)
{
	buf_printf(out, ".SH %s\n", title);
}

static void add_title(struct buf *out, const char *name, const char *section, const char *summary)
{
	char upper[64];
	size_t i;

	for (i = 0; name[i] && i + 1 < sizeof(upper); i++)
		upper[i] = name[i] >= 'a' && name[i] <= 'z' ? (char)(name[i] - 'a' + 'A') : name[i];
	upper[i] = '\0';
	buf_printf(
		out, ".TH %s %s \"\" \"Athena %s\" \"Athena\"\n", upper, section, ATHENA_VERSION);
	add_section(out, "NAME");
	add_text(out, name);
	buf_text(out, " \\- ");
	add_text(out, summary);
	buf_char(out, '\n');
}

/* Paragraphs are filled; what is indented is an example and stays as it is. */
static void add_help(struct buf *out, const char *help)
{
	bool is_example = false;

	for (const char *line = help; *line; line += strcspn(line, "\n") + 1) {
		char *text CLEANUP(free_ptr) = xstrndup(line, strcspn(line, "\n"));
		bool is_indented = *line == ' ';

		if (is_indented != is_example)
			buf_text(out, is_indented ? ".RS\n.nf\n" : ".fi\n.RE\n");
		is_example = is_indented;
		if (*text)
			add_text(out, text + (is_indented ? 2 : 0));
		else
			buf_text(out, is_example ? "" : ".PP");
		buf_char(out, '\n');
	}
	if (is_example)
		buf_text(out, ".fi\n.RE\n");
}

static void add_option(struct buf *out, const struct option_row *row)
{
	struct buf help CLEANUP(buf_clear) = {0};
	char spelled[64];

	arguments_spelling(row->name, spelled, sizeof(spelled));
	buf_text(out, ".TP\n\\fB\\-\\-");
	add_text(out, spelled);
	buf_text(out, "\\fR");
	if (row->type != OPTION_BOOL) {
		buf_text(out, " \\fI");
		add_text(out, usage_value_name(row));
		buf_text(out, "\\fR");
	}
	buf_char(out, '\n');
	usage_option_help(row, &help);
	add_text(out, help.bytes);
	buf_text(out, ".\n");
}

static void add_options(struct buf *out, const struct option_row *rows)
{
	for (; rows && rows->name; rows++)
		add_option(out, rows);
}

static void add_synopsis(struct buf *out, const struct command *command)
{
	char title[64];

	command_title(command, title, sizeof(title));
	buf_text(out, "\\fB");
	add_text(out, title);
	buf_text(out, command->options ? "\\fR [\\fIOPTION\\fR...] " : "\\fR ");
	add_text(out, command->args);
	buf_char(out, '\n');
}

static void add_command(struct buf *out, const struct command *command)
{
	buf_text(out, ".SS ");
	add_synopsis(out, command);
	add_text(out, command->summary);
	buf_text(out, ".\n");
	if (command->help) {
		buf_text(out, ".PP\n");
		add_help(out, command->help);
	}
	add_options(out, command->options);
}

static void add_end(struct buf *out, const char *see_also)
{
	add_section(out, "EXIT STATUS");
	buf_text(out, "0 done, 1 failed, 2 wrong usage or configuration, 3 cancelled.\n");
	add_section(out, "SEE ALSO");
	buf_printf(out, "%s\n", see_also);
}

/* What every program and command takes. */
static void add_common_options(struct buf *out)
{
	add_section(out, "OPTIONS OF EVERY COMMAND");
	add_options(out, global_options);
}

static void make_athena(struct buf *out)
{
	add_title(out, "athena", "1", "jobs are rows, workers claim them");
	add_section(out, "SYNOPSIS");
	buf_text(out, "\\fBathena\\fR \\fICOMMAND\\fR [\\fIARGUMENT\\fR...] [\\fIOPTION\\fR...]\n");
	add_section(out, "DESCRIPTION");
	add_text(out,
		"Athena is a job runner whose queue is a table in Postgres. A row in athena.jobs "
		"is "
		"a job; a worker claims it, runs it, and settles it. This program makes the "
		"schema, "
		"queues jobs, shows and changes what became of them, and looks after the queue.\n");
	add_section(out, "COMMANDS");
	for (const struct command *const *command = commands; *command; command++)
		add_command(out, *command);
	add_common_options(out);
	add_end(out,
		"\\fBathena\\-worker\\fR(1), \\fBathena\\-daemon\\fR(1), "
		"\\fBathena\\-config\\fR(5)");
}

static void make_program(struct buf *out, const struct command *program)
{
	add_title(out, program->program, "1", program->summary);
	add_section(out, "SYNOPSIS");
	add_synopsis(out, program);
	add_section(out, "DESCRIPTION");
	add_help(out, program->help);
	add_section(out, "OPTIONS");
	add_options(out, program->options);
	add_common_options(out);
	add_end(out, "\\fBathena\\fR(1), \\fBathena\\-config\\fR(5)");
}

static void make_worker(struct buf *out)
{
	make_program(out, &program_worker);
}

static void make_daemon(struct buf *out)
{
	make_program(out, &program_daemon);
}

static void add_setting(struct buf *out, const struct option_row *row)
{
	struct buf expected CLEANUP(buf_clear) = {0};

	option_expected(row, &expected);
	buf_text(out, ".TP\n\\fB");
	add_text(out, row->name);
	buf_text(out, "\\fR: ");
	add_text(out, expected.bytes);
	buf_char(out, '\n');
	usage_option_help(row, out);
	buf_text(out, row->flags & OPTION_RELOADABLE ? ". SIGHUP reloads it.\n" : ".\n");
}

static void add_settings(
	struct buf *out, const char *name, const char *help, const struct option_row *rows)
{
	buf_text(out, ".SS ");
	add_text(out, name);
	buf_char(out, '\n');
	add_text(out, help);
	buf_text(out, ".\n");
	for (; rows->name; rows++)
		add_setting(out, rows);
}

static void make_config(struct buf *out)
{
	add_title(out, "athena-config", "5", "config.yaml, .env and variables of Athena");
	add_section(out, "DESCRIPTION");
	add_text(out,
		"The first of these is read: the file of --config, ATHENA_CONFIG_PATH, config.yaml "
		"in "
		"$XDG_CONFIG_HOME/athena, $HOME/.config/athena, $HOME/.athena and the current "
		"folder. "
		"A .env beside it is read, too, and never becomes part of the environment. "
		"${NAME} in a value is replaced from environment or .env, and "
		"ATHENA_<SECTION>_<KEY> "
		"overrides section.key. An unknown key is an error that names file and line; see "
		"what "
		"is in force with: athena config show.\n");
	add_section(out, "SETTINGS");
	for (const struct settings_section *section = settings_sections; section->name; section++)
		add_settings(out, section->name, section->help, section->rows);
	add_settings(out, "postgres_clients",
		"Names for connection URIs: NAME: URI. SIGHUP reloads them",
		(const struct option_row[]){{0}});
	add_settings(out, "families", "One mapping per family, under its name", settings_family);
	add_section(out, "SEE ALSO");
	buf_text(out, "\\fBathena\\fR(1), \\fBathena\\-worker\\fR(1)\n");
}

static const struct page {
	const char *name;
	void (*make)(struct buf *out);
} pages[] = {
	{"athena.1", make_athena},
	{"athena-worker.1", make_worker},
	{"athena-daemon.1", make_daemon},
	{"athena-config.5", make_config},
};

static const struct page *find_page(const char *name)
{
	for (size_t i = 0; i < ARRAY_LENGTH(pages); i++)
		if (strcmp(pages[i].name, name) == 0)
			return &pages[i];
	return NULL;
}

static bool run(struct cli *cli, struct err *e)
{
	const char *name = cli->arg_count ? cli->args[0] : pages[0].name;
	const struct page *page = find_page(name);
	struct buf text CLEANUP(buf_clear) = {0};

	if (!page)
		return err_set(e, ERR_CONFIG,
			"no page \"%.64s\"; there are athena.1, athena-worker.1, "
			"athena-daemon.1 and athena-config.5",
			name);
	page->make(&text);
	fputs(text.bytes, stdout);
	return true;
}

const struct command command_manual = {
	.name = "manual",
	.args = "[PAGE]",
	.summary = "the man pages: athena.1, athena-worker.1, athena-daemon.1, athena-config.5",
	.help = "Written as man(7), to read with man or to install where that finds it:\n"
		"\n"
		"  athena manual athena.1 | man -l -\n"
		"  athena manual athena-config.5 >/usr/local/share/man/man5/athena-config.5\n",
	.run = run,
};
