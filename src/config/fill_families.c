/* SPDX-License-Identifier: PostgreSQL */
/* The entries of `families:` as structs. */
#include "base/redact.h"
#include "config/load.h"
#include "config/settings.h"

static const char *const *argv_of(struct arena *arena, const json_t *list)
{
	size_t count = json_array_size(list);
	const char **argv = arena_alloc(arena, (count + 1) * sizeof(*argv));

	if (!list)
		return NULL;
	for (size_t i = 0; i < count; i++)
		argv[i] = json_string_value(json_array_get(list, i));
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
		*pair = (struct config_pair){name, json_string_value(value)};
		if (vars_is_secret(name))
			redact_learn(pair->value);
		pair++;
	}
	*pair = (struct config_pair){0};
	return pairs;
}

static void fill_family(
	struct config *config, struct config_family *family, const char *name, const json_t *values)
{
	const struct option_row *rows = settings_family;
	struct arena *arena = &config->state->arena;
	const json_t *origins = json_object_get(config->state->origins, "families");
	const char *run = option_text(rows, values, "run");
	int concurrency = (int)option_int(rows, values, "concurrency");

	*family = (struct config_family){
		.name = name,
		.run = run ? run : name,
		.command = argv_of(arena, json_object_get(values, "command")),
		.concurrency = concurrency > 0 ? concurrency : config->worker.concurrency,
		.timeout_ms = option_int(rows, values, "timeout"),
		.lease_ms = option_int(rows, values, "lease"),
		.max_attempts = (int)option_int(rows, values, "max_attempts"),
		.permanent_exits = exits_of(arena, json_object_get(values, "permanent_exits")),
		.wait_timeout_ms = option_int(rows, values, "wait_timeout"),
		.env = env_of(arena, json_object_get(values, "env")),
		.where = json_string_value(json_object_get(origins, name)),
	};
}

void fill_families(struct config *config)
{
	json_t *entries = json_object_get(config->state->values, "families");
	size_t count = json_object_size(entries);
	struct config_family *families =
		arena_alloc(&config->state->arena, (count + 1) * sizeof(*families));
	const char *name;
	json_t *values;

	config->families = families;
	config->family_count = count;
	json_object_foreach (entries, name, values) {
		fill_family(config, families++, name, values);
	}
}
