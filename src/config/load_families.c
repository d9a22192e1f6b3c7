/* SPDX-License-Identifier: PostgreSQL */
/* The entries of `families:`. */
#include <ctype.h>
#include <string.h>

#include "config/load.h"
#include "config/settings.h"

enum { LONGEST_NAME = 63 }; /* as the table athena.families has it */

/* a-z, then a-z 0-9 _ -. */
static bool is_family_name(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
	size_t length = strlen(name);

	return length > 0 && length <= LONGEST_NAME && strchr(letters, *name) &&
		strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == length;
}

static bool is_variable_name(const char *name)
{
	size_t length = 0;

	while (isalnum((unsigned char)name[length]) || name[length] == '_')
		length++;
	return length > 0 && name[length] == '\0' && !isdigit((unsigned char)*name);
}

/*
 * What the rows cannot say.
 */

static bool check_env(json_t *env, const char *where, struct err *e)
{
	const char *name;
	json_t *value;

	json_object_foreach (env, name, value) {
		if (!is_variable_name(name))
			return err_set(e, ERR_CONFIG, "%s: \"%.64s\" is no name of a variable",
				where, name);
		if (strncmp(name, "ATHENA_JOB_", 11) == 0)
			return err_set(e, ERR_CONFIG,
				"%s: ATHENA_JOB_ variables are set by the worker", where);
	}
	return true;
}

static bool check_entry(json_t *values, const char *where, struct err *e)
{
	json_t *command = json_object_get(values, "command");
	const char *program = json_string_value(json_array_get(command, 0));

	if (command && (!program || *program == '\0'))
		return err_set(e, ERR_CONFIG, "%s: \"command\" must begin with a program", where);
	return check_env(json_object_get(values, "env"), where, e);
}

static bool load_family(const struct load *load, const struct tree *member, struct err *e)
{
	const char *where = load_where(load, member);
	json_auto_t *values = NULL;

	if (!is_family_name(member->key))
		return err_set(e, ERR_CONFIG,
			"%s: a family name is a-z, then up to 62 of a-z 0-9 _ -, not \"%.80s\"",
			where, member->key);
	if (!load_rows(load, settings_family, member->key, member, &values, e) ||
		!check_entry(values, where, e))
		return false;
	load_set(load, "families", member->key, json_incref(values), where);
	return true;
}

bool load_families(const struct load *load, const struct tree *map, struct err *e)
{
	if (map->kind != TREE_MAP && map->kind != TREE_NULL)
		return err_set(e, ERR_CONFIG, "%s:%d: \"families\" must be a mapping, not %s",
			load->file, map->line, tree_kind_name(map));
	for (const struct tree *member = map->first; member; member = member->next)
		if (!load_family(load, member, e))
			return false;
	return true;
}
