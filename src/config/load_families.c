/* SPDX-License-Identifier: PostgreSQL */
/* The entries of `families:`. */
#include <ctype.h>
#include <string.h>

#include "base/redact.h"
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
 * Parts of an entry. JSON strings are copied: the objects go away after loading.
 */

static const char *const *argv_of(struct arena *arena, const json_t *list)
{
	size_t count = json_array_size(list);
	const char **argv = arena_alloc(arena, (count + 1) * sizeof(*argv));

	if (!list)
		return NULL;
	for (size_t i = 0; i < count; i++)
		argv[i] = arena_strdup(arena, json_string_value(json_array_get(list, i)));
	argv[count] = NULL;
	return argv;
}

static const int *exits_of(struct arena *arena, const json_t *list)
{
	size_t count = json_array_size(list);
	int *exits = arena_alloc(arena, (count + 1) * sizeof(*exits));

	if (!list)
		return NULL;
	for (size_t i = 0; i < count; i++)
		exits[i] = (int)json_integer_value(json_array_get(list, i));
	exits[count] = -1;
	return exits;
}

static const struct config_pair *env_of(struct arena *arena, json_t *object)
{
	struct config_pair *pairs =
		arena_alloc(arena, (json_object_size(object) + 1) * sizeof(*pairs));
	struct config_pair *pair = pairs;
	const char *name;
	json_t *value;

	json_object_foreach (object, name, value) {
		pair->name = arena_strdup(arena, name);
		pair->value = arena_strdup(arena, json_string_value(value));
		if (vars_is_secret(name))
			redact_learn(pair->value);
		pair++;
	}
	*pair = (struct config_pair){0};
	return pairs;
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

static bool load_family(const struct load *load, const struct tree *member,
	struct config_family *ret_family, struct err *e)
{
	const struct option_row *rows = settings_family;
	const char *where = load_where(load, member);
	json_auto_t *values = NULL;
	const char *run;

	if (!is_family_name(member->key))
		return err_set(e, ERR_CONFIG,
			"%s: a family name is a-z, then up to 62 of a-z 0-9 _ -, not \"%.80s\"",
			where, member->key);
	if (!load_rows(load, rows, member->key, member, &values, e) ||
		!check_entry(values, where, e))
		return false;
	load_set(load, "families", member->key, json_incref(values), where);
	run = option_text(rows, values, "run");
	*ret_family = (struct config_family){
		.name = member->key,
		.run = run ? arena_strdup(load->arena, run) : member->key,
		.command = argv_of(load->arena, json_object_get(values, "command")),
		.concurrency = (int)option_int(rows, values, "concurrency"),
		.timeout_ms = option_int(rows, values, "timeout"),
		.lease_ms = option_int(rows, values, "lease"),
		.max_attempts = (int)option_int(rows, values, "max_attempts"),
		.permanent_exits =
			exits_of(load->arena, json_object_get(values, "permanent_exits")),
		.wait_timeout_ms = option_int(rows, values, "wait_timeout"),
		.env = env_of(load->arena, json_object_get(values, "env")),
		.where = where,
	};
	return true;
}

bool load_families(const struct load *load, const struct tree *map,
	struct config_family **ret_families, size_t *ret_count, struct err *e)
{
	struct config_family *families;
	size_t count = 0, i = 0;

	if (map->kind != TREE_MAP && map->kind != TREE_NULL)
		return err_set(e, ERR_CONFIG, "%s:%d: \"families\" must be a mapping, not %s",
			load->file, map->line, tree_kind_name(map));
	for (const struct tree *member = map->first; member; member = member->next)
		count++;
	families = arena_alloc(load->arena, count * sizeof(*families));
	for (const struct tree *member = map->first; member; member = member->next)
		if (!load_family(load, member, &families[i++], e))
			return false;
	*ret_families = families;
	*ret_count = count;
	return true;
}
