/* SPDX-License-Identifier: PostgreSQL */
/* Environment and .env as one. */
#include "config/vars.h"

#include <ctype.h>
#include <string.h>
#include <unistd.h>

#include "base/redact.h"

static const char *unless_blank(const char *value)
{
	return value && value[strspn(value, " \t\r\n")] != '\0' ? value : NULL;
}

bool vars_is_secret(const char *name)
{
	static const char *const words[] = {"PASSWORD", "PASSWD", "SECRET", "TOKEN"};
	size_t length = strlen(name);

	for (size_t i = 0; i < ARRAY_LENGTH(words); i++)
		if (strcasestr(name, words[i]))
			return true;
	return length > 4 && strcasecmp(name + length - 4, "_KEY") == 0;
}

const char *vars_get(const struct vars *vars, const char *name)
{
	const char *value = unless_blank(getenv(name));

	if (!value)
		value = unless_blank(dotenv_find(&vars->dotenv, name));
	if (value && vars_is_secret(name))
		redact_learn(value);
	return value;
}

void vars_learn(const struct vars *vars)
{
	vars_get(vars, "PGPASSWORD");
	for (size_t i = 0; i < vars->dotenv.count; i++)
		if (vars_is_secret(vars->dotenv.entries[i].name))
			redact_learn(vars->dotenv.entries[i].value);
}

bool vars_is_from_dotenv(const struct vars *vars, const char *name)
{
	return !unless_blank(getenv(name)) && unless_blank(dotenv_find(&vars->dotenv, name));
}

/* Length of NAME in "${NAME}", or 0 when that is not what stands there. */
static size_t token_name(const char *at)
{
	size_t length = 0;

	if (isdigit((unsigned char)at[2]))
		return 0;
	while (isalnum((unsigned char)at[2 + length]) || at[2 + length] == '_')
		length++;
	return at[2 + length] == '}' ? length : 0;
}

/* Adds what "${NAME}" stands for. */
static bool add_token(
	const struct vars *vars, const char *at, size_t length, struct buf *out, struct err *e)
{
	char *name CLEANUP(free_ptr) = xstrndup(at + 2, length);
	const char *value;

	if (length == 0)
		return err_set(e, ERR_CONFIG, "expected ${NAME}; write $${ for a literal ${");
	value = vars_get(vars, name);
	if (!value)
		return err_set(
			e, ERR_CONFIG, "${%s} is set neither in the environment nor in .env", name);
	buf_text(out, value);
	return true;
}

bool vars_expand(const struct vars *vars, struct arena *arena, const char *text,
	const char **ret_text, struct err *e)
{
	struct buf out CLEANUP(buf_clear) = {0};
	const char *at = text;

	while (*at) {
		if (strncmp(at, "$${", 3) == 0) {
			buf_text(&out, "${");
			at += 3;
		} else if (strncmp(at, "${", 2) == 0) {
			size_t length = token_name(at);

			if (!add_token(vars, at, length, &out, e))
				return false;
			at += length + 3;
		} else {
			buf_char(&out, *at++);
		}
	}
	*ret_text = arena_strdup(arena, out.bytes ? out.bytes : "");
	return true;
}

void vars_each(const struct vars *vars, const char *prefix,
	void (*take)(void *context, const char *name, bool is_from_dotenv), void *context)
{
	for (char **entry = environ; entry && *entry; entry++) {
		char *name CLEANUP(free_ptr) = xstrndup(*entry, strcspn(*entry, "="));

		if (strncmp(name, prefix, strlen(prefix)) == 0)
			take(context, name, false);
	}
	for (size_t i = 0; i < vars->dotenv.count; i++) {
		const char *name = vars->dotenv.entries[i].name;

		if (strncmp(name, prefix, strlen(prefix)) == 0 && !getenv(name))
			take(context, name, true);
	}
}
