/* SPDX-License-Identifier: PostgreSQL */
/*
 * athena completion: a script for bash, made from the rows of commands and options.
 *
 * The script is one table from a command to the words that may follow it, and one function that
 * looks in it; it runs no program while somebody types.
 */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/command_table.h"

static void add_options(struct buf *out, const struct option_row *rows)
{
	char spelled[64];

	for (; rows && rows->name; rows++) {
		arguments_spelling(rows->name, spelled, sizeof(spelled));
		buf_printf(out, " --%s", spelled);
	}
}

/* The options behind one command: `['athena job list']=' --limit ...'`. */
static void add_entry(struct buf *out, const struct command *command)
{
	char title[64];

	command_title(command, title, sizeof(title));
	buf_printf(out, "\t['%s']='", title);
	add_options(out, command->options);
	add_options(out, global_options);
	buf_text(out, "'\n");
}

/* Each first word once: the commands of a group stand side by side. */
static void add_first_words(struct buf *out)
{
	const char *last = "";

	buf_text(out, "\t['athena']='");
	for (const struct command *const *command = commands; *command; command++) {
		size_t length = strcspn((*command)->name, " ");

		if (strncmp(last, (*command)->name, length) != 0 || strcspn(last, " ") != length)
			buf_printf(out, " %.*s", (int)length, (*command)->name);
		last = (*command)->name;
	}
	buf_text(out, "'\n");
}

/* The second words of a group, when this command is its first. */
static void add_group(struct buf *out, const struct command *const *first)
{
	size_t length = strcspn((*first)->name, " ");
	bool is_group = (*first)->name[length] == ' ';
	bool begins =
		first == commands || strncmp(first[-1]->name, (*first)->name, length + 1) != 0;

	if (!is_group || !begins)
		return;
	buf_printf(out, "\t['athena %.*s']='", (int)length, (*first)->name);
	for (size_t i = 0; first[i] && strncmp(first[i]->name, (*first)->name, length + 1) == 0;
		i++)
		buf_printf(out, " %s", first[i]->name + length + 1);
	buf_text(out, "'\n");
}

static const char script_begin[] =
	"# bash completion for athena, athena-worker and athena-daemon; made by athena completion\n"
	"declare -gA _athena_words=(\n";

/* The longest sequence of typed words that the table knows decides; files after that. */
static const char script_end[] =
	")\n"
	"_athena()\n"
	"{\n"
	"\tlocal word=${COMP_WORDS[COMP_CWORD]} path=${COMP_WORDS[0]##*/} i\n"
	"\n"
	"\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	"\t\t[[ -n ${_athena_words[\"$path ${COMP_WORDS[i]}\"]-} ]] && path+=\" "
	"${COMP_WORDS[i]}\"\n"
	"\tdone\n"
	"\tCOMPREPLY=($(compgen -W \"${_athena_words[$path]-}\" -- \"$word\"))\n"
	"}\n"
	"complete -o default -F _athena athena athena-worker athena-daemon\n";

static bool run(struct cli *cli, struct err *e)
{
	struct buf out CLEANUP(buf_clear) = {0};

	if (strcmp(cli->args[0], "bash") != 0)
		return err_set(
			e, ERR_CONFIG, "no completion for \"%.64s\", only for bash", cli->args[0]);
	buf_text(&out, script_begin);
	add_first_words(&out);
	for (const struct command *const *command = commands; *command; command++) {
		add_group(&out, command);
		add_entry(&out, *command);
	}
	add_entry(&out, &program_worker);
	add_entry(&out, &program_daemon);
	buf_text(&out, script_end);
	fputs(out.bytes, stdout);
	return true;
}

const struct command command_completion = {
	.name = "completion",
	.args = "SHELL",
	.summary = "a script that lets bash complete commands and options",
	.help = "`make install` puts it where bash looks for it. By hand:\n"
		"\n"
		"  eval \"$(athena completion bash)\"\n",
	.run = run,
};
