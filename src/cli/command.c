/* SPDX-License-Identifier: PostgreSQL */
/* From argv to a command and its exit status. */
#include "cli/command.h"

#include <stdio.h>
#include <string.h>

#include "base/hangup.h"
#include "base/nearest.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/usage.h"
#include "cli/when.h"
#include "version.h"

const struct option_row global_options[] = {
	{.name = "config",
		.type = OPTION_TEXT,
		.unit = "FILE",
		.help = "config.yaml to read, instead of looking for it"},
	{.name = "json", .type = OPTION_BOOL, .help = "print JSON, with times in UTC"},
	{.name = "utc",
		.type = OPTION_BOOL,
		.help = "times for people in UTC, not in the local zone"},
	{.name = "no_color", .type = OPTION_BOOL, .help = "no colours, not even on a terminal"},
	{.name = "help", .type = OPTION_BOOL, .help = "what a command does and takes"},
	{.name = "version", .type = OPTION_BOOL, .help = "the program's version"},
	{0},
};

void command_title(const struct command *command, char *text, size_t size)
{
	const char *program = command && command->program ? command->program : "athena";
	const char *name = command && command->name ? command->name : "";

	snprintf(text, size, "%s%s%s", program, name[0] ? " " : "", name);
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; commands[i]; i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

/* True for the first word of commands that have two. */
static bool is_group(const char *word)
{
	size_t length = strlen(word);

	for (size_t i = 0; commands[i]; i++)
		if (strncmp(commands[i]->name, word, length) == 0 &&
			commands[i]->name[length] == ' ')
			return true;
	return false;
}

static bool unknown_command(struct cli *cli, const char *first, const char *second, struct err *e)
{
	bool in_group = is_group(first) && second;
	char typed[128];
	struct nearest nearest = {.typed = typed};

	snprintf(typed, sizeof(typed), "%s%s%s", first, second ? " " : "", second ? second : "");
	for (size_t i = 0; commands[i]; i++)
		nearest_try(&nearest, commands[i]->name);
	if (!in_group && !nearest.word[0]) { /* the second word was an argument */
		snprintf(typed, sizeof(typed), "%s", first);
		for (size_t i = 0; commands[i]; i++)
			nearest_try(&nearest, commands[i]->name);
	}
	cli_next(cli, in_group ? "athena %s --help" : "athena --help", first);
	if (nearest.word[0])
		return err_set(e, ERR_CONFIG, "unknown command '%s'; did you mean '%s'?", typed,
			nearest.word);
	return err_set(e, ERR_CONFIG, "unknown command '%s'", typed);
}

/*
 * Finds the command by the first words of the line. True with no command when help or version
 * was asked of the program as a whole, or of a group.
 */
static bool find(struct cli *cli, const char *first, const char *second, struct err *e)
{
	char name[64];

	if (!first)
		return true;
	snprintf(name, sizeof(name), "%s %s", first, second ? second : "");
	cli->command = find_command(name);
	if (!cli->command)
		cli->command = find_command(first);
	if (cli->command || (is_group(first) && !second))
		return true;
	return unknown_command(cli, first, second, e);
}

static bool parse(struct cli *cli, char **argv, struct err *e)
{
	const struct option_row *own = cli->command ? cli->command->options : NULL;
	bool is_named = cli->command && !cli->command->program;
	size_t name_words = is_named ? 1 + (strchr(cli->command->name, ' ') != NULL) : 0;

	if (!arguments_parse(&cli->arguments, argv, own, global_options, e))
		return false;
	cli->wants_json = cli_bool(cli, "json");
	if (cli_bool(cli, "utc"))
		when_use_utc();
	terminal_init(&cli->out, stdout, !cli_bool(cli, "no_color"));
	terminal_init(&cli->err, stderr, !cli_bool(cli, "no_color"));
	cli->args = cli->arguments.words + name_words;
	cli->arg_count = cli->arguments.word_count - name_words;
	return true;
}

/* `athena`, `athena job`, and --help and --version wherever they stand. */
static bool answer_help(struct cli *cli, const char *group, struct err *e)
{
	if (cli_bool(cli, "version"))
		printf("athena %s (%s)\n", ATHENA_VERSION, ATHENA_COMMIT);
	else if (cli->command)
		usage_print_command(&cli->out, cli->command);
	else if (cli_bool(cli, "help") && group)
		usage_print_group(&cli->out, group);
	else if (cli_bool(cli, "help"))
		usage_print_all(&cli->out);
	else if (group) {
		usage_print_group(&cli->err, group);
		return err_set(e, ERR_CONFIG, "which command of '%s'?", group);
	} else {
		usage_print_all(&cli->err);
		return err_set(e, ERR_CONFIG, "which command?");
	}
	return true;
}

static bool run(struct cli *cli, char **argv, struct err *e)
{
	const char *words[2] = {NULL, NULL};
	char title[64];

	if (!cli->command) {
		arguments_peek(argv, global_options, words, 2);
		if (!find(cli, words[0], words[1], e))
			return false;
	}
	command_title(cli->command, title, sizeof(title));
	if (!parse(cli, argv, e))
		return cli->command ? cli_next(cli, "%s --help", title) : false;
	if (!cli->command || cli_bool(cli, "help") || cli_bool(cli, "version"))
		return answer_help(cli, words[0], e);
	if (!arguments_count(cli->command->args, cli->args, e))
		return cli_next(cli, "%s --help", title);
	if (!cli->command->takes_hangup)
		hangup_let();
	return cli->command->run(cli, e);
}

/*
 * Errors of the server end with "; hint: ..."; ours have no hint, or cli_next(). What libpq says
 * may have lines, which become one.
 */
static void print_error(struct cli *cli, const char *text)
{
	static const char mark[] = "; hint: ";
	const char *hint = strstr(text, mark);
	struct buf line CLEANUP(buf_clear) = {0};
	char *message CLEANUP(free_ptr) =
		xstrndup(text, hint ? (size_t)(hint - text) : strlen(text));

	for (char *c = message; (c = strstr(c, "\n\t")); c++)
		memmove(c, c + 1, strlen(c));
	text_clean(&line, message);
	terminal_printf(&cli->err, STYLE_RED, "%s", line.bytes ? line.bytes : "");
	fputc('\n', stderr);
	if (hint && !cli->next[0])
		cli_next(cli, "%s", hint + strlen(mark));
	if (cli->next[0])
		fprintf(stderr, "  next: %s\n", cli->next);
}

static int failed(struct cli *cli, const struct err *e)
{
	char title[64];

	fflush(stdout);
	command_title(cli->command, title, sizeof(title));
	fprintf(stderr, "%s: ", title);
	print_error(cli, e->text);
	return e->kind == ERR_CONFIG ? 2 : e->kind == ERR_CANCELLED ? 3 : 1;
}

int command_program_main(int argc, char **argv, const struct command *command)
{
	struct cli cli CLEANUP(cli_clear) = {.command = command};
	struct err e;
	int status;

	terminal_setup();
	terminal_init(&cli.out, stdout, true);
	terminal_init(&cli.err, stderr, true);
	if (run(&cli, argv + (argc > 0), &e))
		status = cli.status;
	else
		status = failed(&cli, &e);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		perror("athena: writing to standard output");
		return 1;
	}
	return status;
}

int command_main(int argc, char **argv)
{
	return command_program_main(argc, argv, NULL);
}
