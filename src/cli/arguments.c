/* SPDX-License-Identifier: PostgreSQL */
/* argv into typed options and words. */
#include "cli/arguments.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/nearest.h"

enum { NAME_MAX_LENGTH = 64 };

void arguments_spelling(const char *name, char *text, size_t size)
{
	snprintf(text, size, "%s", name);
	for (; *text; text++)
		if (*text == '_')
			*text = '-';
}

/* Compares "run-at" (of `length` bytes, as typed) with "run_at". */
static bool is_option(const char *typed, size_t length, const char *name)
{
	char spelled[NAME_MAX_LENGTH];

	arguments_spelling(name, spelled, sizeof(spelled));
	return strlen(spelled) == length && strncmp(spelled, typed, length) == 0;
}

static const struct option_row *find_in(
	const struct option_row *table, const char *typed, size_t length)
{
	for (; table && table->name; table++)
		if (is_option(typed, length, table->name))
			return table;
	return NULL;
}

static void try_nearest(struct nearest *nearest, const struct option_row *table)
{
	char spelled[NAME_MAX_LENGTH];

	for (; table && table->name; table++) {
		arguments_spelling(table->name, spelled, sizeof(spelled));
		nearest_try(nearest, spelled);
	}
}

static bool unknown_option(const char *typed, size_t length, const struct option_row *own,
	const struct option_row *global, struct err *e)
{
	char *word CLEANUP(free_ptr) = xstrndup(typed, length);
	struct nearest nearest = {.typed = word};

	try_nearest(&nearest, own);
	try_nearest(&nearest, global);
	if (nearest.word[0])
		return err_set(e, ERR_CONFIG, "unknown option --%s; did you mean --%s?", word,
			nearest.word);
	return err_set(e, ERR_CONFIG, "unknown option --%s", word);
}

static json_t *integer(const char *text)
{
	char *end;
	long long number;

	errno = 0;
	number = strtoll(text, &end, 10);
	if (errno || end == text || *end)
		return json_string(text); /* which option_check() refuses by name */
	return json_integer(number);
}

static json_t *typed_value(const struct option_row *row, const char *text)
{
	json_t *value;

	if (row->type == OPTION_BOOL)
		return json_true();
	value = row->type == OPTION_INT ? integer(text) : json_string(text);
	return value ? value : json_string(""); /* not UTF-8 */
}

/* Sets one option; its value is what stands behind "=", or the next word, which is then taken. */
static bool parse_option(char ***at, const struct option_row *own, const struct option_row *global,
	json_t *options, struct err *e)
{
	const char *name = **at + 2;
	size_t length = strcspn(name, "=");
	const char *value = name[length] == '=' ? name + length + 1 : NULL;
	const struct option_row *row = find_in(own, name, length);
	char where[NAME_MAX_LENGTH];

	if (!row)
		row = find_in(global, name, length);
	if (!row)
		return unknown_option(name, length, own, global, e);
	if (row->type == OPTION_BOOL && value)
		return err_set(e, ERR_CONFIG, "option --%.*s takes no value", (int)length, name);
	if (row->type != OPTION_BOOL && !value) {
		value = *++*at;
		if (!value)
			return err_set(
				e, ERR_CONFIG, "option --%.*s needs a value", (int)length, name);
	}
	json_object_set_new(options, row->name, typed_value(row, value ? value : ""));
	snprintf(where, sizeof(where), "option --%.*s", (int)length, name);
	if (!option_check(row, json_object_get(options, row->name), where, e)) {
		e->kind = ERR_CONFIG;
		return false;
	}
	return true;
}

static bool is_help(const char *word)
{
	return strcmp(word, "-h") == 0;
}

/* "-" alone is a word: standard input. */
static bool looks_like_option(const char *word)
{
	return word[0] == '-' && word[1] != '\0';
}

void arguments_peek(
	char **argv, const struct option_row *global, const char **ret_words, size_t count)
{
	size_t found = 0;

	for (; *argv && found < count && strcmp(*argv, "--") != 0; argv++) {
		const char *word = *argv;
		const struct option_row *row = NULL;

		if (!looks_like_option(word)) {
			ret_words[found++] = word;
			continue;
		}
		if (!strchr(word, '=') && strlen(word) > 2)
			row = find_in(global, word + 2, strlen(word + 2));
		if (row && row->type != OPTION_BOOL && argv[1])
			argv++;
	}
	for (; found < count; found++)
		ret_words[found] = NULL;
}

static void add_word(struct arguments *arguments, const char *word)
{
	arguments->words = xreallocarray(
		arguments->words, arguments->word_count + 2, sizeof(*arguments->words));
	arguments->words[arguments->word_count++] = word;
	arguments->words[arguments->word_count] = NULL;
}

bool arguments_parse(struct arguments *ret_arguments, char **argv, const struct option_row *own,
	const struct option_row *global, struct err *e)
{
	struct arguments arguments CLEANUP(arguments_clear) = {.options = json_object()};
	bool has_dashes = false;

	arguments.words = xcalloc(1, sizeof(*arguments.words));
	for (; *argv; argv++) {
		if (strcmp(*argv, "--") == 0) {
			has_dashes = true;
			arguments.words_before_dashes = arguments.word_count;
			while (*++argv)
				add_word(&arguments, *argv);
			break;
		}
		if (!looks_like_option(*argv))
			add_word(&arguments, *argv);
		else if (is_help(*argv))
			json_object_set_new(arguments.options, "help", json_true());
		else if (strncmp(*argv, "--", 2) != 0)
			return err_set(e, ERR_CONFIG, "unknown option %s", *argv);
		else if (!parse_option(&argv, own, global, arguments.options, e))
			return false;
	}
	if (!has_dashes)
		arguments.words_before_dashes = arguments.word_count;
	*ret_arguments = arguments;
	arguments = (struct arguments){0};
	return true;
}

void arguments_clear(struct arguments *arguments)
{
	free(arguments->words);
	json_decref(arguments->options);
	*arguments = (struct arguments){0};
}

static bool is_missing(const char *arg, size_t length, struct err *e)
{
	return err_set(e, ERR_CONFIG, "%.*s is missing", (int)length, arg);
}

bool arguments_count(const char *args, const char *const *words, struct err *e)
{
	for (; *args; args += strspn(args, " ")) {
		const char *arg = args;
		size_t length = strcspn(arg, " ");
		bool is_optional = arg[0] == '[' || arg[length - 1] == ']';
		bool is_many = memmem(arg, length, "...", 3) != NULL;

		args += length;
		if (length == 3 && memcmp(arg, "[--", 3) == 0)
			continue;
		if (!*words && !is_optional)
			return is_missing(arg, length, e);
		do
			words += *words != NULL;
		while (is_many && *words);
	}
	return !*words || err_set(e, ERR_CONFIG, "'%s' is one argument too many", *words);
}
