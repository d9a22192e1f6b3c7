/* SPDX-License-Identifier: PostgreSQL */
/* NAME=value, line by line. */
#include "config/dotenv.h"

#include <ctype.h>
#include <string.h>

struct scan {
	const char *at;
	int line;
	struct buf value; /* of the entry that is being read */
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static void skip_blanks(struct scan *scan)
{
	while (is_blank(*scan->at))
		scan->at++;
}

static void skip_line(struct scan *scan)
{
	scan->at += strcspn(scan->at, "\n");
	if (*scan->at == '\n') {
		scan->at++;
		scan->line++;
	}
}

static void skip_export(struct scan *scan)
{
	if (strncmp(scan->at, "export", 6) == 0 && is_blank(scan->at[6])) {
		scan->at += 6;
		skip_blanks(scan);
	}
}

static size_t name_length(const char *at)
{
	size_t length = 0;

	if (isdigit((unsigned char)*at))
		return 0;
	while (isalnum((unsigned char)at[length]) || at[length] == '_')
		length++;
	return length;
}

/* The character that a backslash and `c` stand for, or '\0': they stand for themselves. */
static char unescaped(char c)
{
	static const char from[] = "nrt\"\\$";
	static const char to[] = "\n\r\t\"\\$";
	const char *found = c ? strchr(from, c) : NULL;

	if (!found)
		return '\0';
	return to[found - from];
}

/* From the opening quote to behind the closing one; false when there is none. */
static bool read_quoted(struct scan *scan)
{
	char mark = *scan->at++;

	for (; *scan->at != mark; scan->at++) {
		char c = *scan->at;

		if (c == '\0')
			return false;
		if (c == '\n')
			scan->line++;
		if (c == '\\' && mark == '"' && unescaped(scan->at[1]))
			c = unescaped(*++scan->at);
		buf_char(&scan->value, c);
	}
	scan->at++;
	return true;
}

static void read_bare(struct scan *scan)
{
	const char *start = scan->at;
	const char *end = start;

	while (*end && *end != '\n' && !(*end == '#' && (end == start || is_blank(end[-1]))))
		end++;
	scan->at = end;
	while (end > start && is_blank(end[-1]))
		end--;
	buf_add(&scan->value, start, (size_t)(end - start));
}

/* What stands behind the '='. True when nothing but a comment follows it in its line. */
static bool read_value(struct scan *scan)
{
	skip_blanks(scan);
	buf_reset(&scan->value);
	if (*scan->at != '\'' && *scan->at != '"')
		read_bare(scan);
	else if (!read_quoted(scan))
		return false;
	skip_blanks(scan);
	return *scan->at == '\0' || *scan->at == '\n' || *scan->at == '#';
}

static void keep(struct dotenv *dotenv, struct arena *arena, char *name, const struct buf *value)
{
	dotenv->entries =
		xreallocarray(dotenv->entries, dotenv->count + 1, sizeof(*dotenv->entries));
	dotenv->entries[dotenv->count++] = (struct dotenv_entry){
		.name = arena_strdup(arena, name),
		.value = arena_strdup(arena, value->bytes ? value->bytes : ""),
	};
}

/* The entry at hand; NULL, or what is wrong with it. */
static const char *read_entry(struct scan *scan, struct dotenv *dotenv, struct arena *arena)
{
	size_t length = name_length(scan->at);
	char *name CLEANUP(free_ptr) = xstrndup(scan->at, length);

	scan->at += length;
	skip_blanks(scan);
	if (length == 0 || *scan->at++ != '=')
		return "no NAME=value, skipped";
	if (!read_value(scan))
		return "no end of the quoted value, or something behind it, skipped";
	if (dotenv_find(dotenv, name))
		return "a name that is already set, skipped";
	keep(dotenv, arena, name, &scan->value);
	return NULL;
}

void dotenv_parse(struct dotenv *dotenv, struct arena *arena, const char *name, const char *text,
	struct buf *warnings)
{
	struct scan scan = {.at = text, .line = 1};

	while (*scan.at) {
		const char *problem = NULL;
		const char *start;
		int line;

		skip_blanks(&scan);
		skip_export(&scan);
		start = scan.at;
		line = scan.line;
		if (*scan.at != '\n' && *scan.at != '#' && *scan.at != '\0')
			problem = read_entry(&scan, dotenv, arena);
		if (problem) {
			buf_printf(warnings, "%s:%d: %s\n", name, line, problem);
			/* An open quote may have eaten the rest of the file: only its line is lost.
			 */
			scan.at = start;
			scan.line = line;
		}
		skip_line(&scan);
	}
	buf_clear(&scan.value);
}

const char *dotenv_find(const struct dotenv *dotenv, const char *name)
{
	for (size_t i = 0; i < dotenv->count; i++)
		if (strcmp(dotenv->entries[i].name, name) == 0)
			return dotenv->entries[i].value;
	return NULL;
}

void dotenv_clear(struct dotenv *dotenv)
{
	free(dotenv->entries);
	*dotenv = (struct dotenv){0};
}
