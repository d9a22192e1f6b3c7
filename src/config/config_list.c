/* SPDX-License-Identifier: PostgreSQL */
/* A configuration as people look at it. */
#include "base/redact_json.h"
#include "config/load.h"
#include "config/settings.h"

json_t *config_shown(const struct option_row *row, const json_t *value)
{
	if (value)
		return redact_json(value);
	return row->fallback ? option_from_text(row, row->fallback) : json_null();
}

/* Takes over the reference to the value. */
static void add(
	json_t *list, const char *section, const char *key, json_t *value, const char *origin)
{
	json_t *entry = json_pack("{s:s, s:s, s:o, s:s}", "section", section, "key", key, "value",
		value, "origin", origin);

	json_array_append_new(list, entry);
}

static void add_section(
	json_t *list, const struct config_state *state, const struct settings_section *section)
{
	const json_t *values = json_object_get(state->values, section->name);
	const json_t *origins = json_object_get(state->origins, section->name);

	for (const struct option_row *row = section->rows; row->name; row++) {
		const json_t *value = json_object_get(values, row->name);

		add(list, section->name, row->name, config_shown(row, value),
			value ? json_string_value(json_object_get(origins, row->name)) : "default");
	}
}

/* Of a section whose names are the user's. */
static void add_named(json_t *list, const struct config_state *state, const char *section)
{
	const json_t *origins = json_object_get(state->origins, section);
	json_t *values = json_object_get(state->values, section);
	const char *name;
	json_t *value;

	json_object_foreach (values, name, value) {
		add(list, section, name, redact_json(value),
			json_string_value(json_object_get(origins, name)));
	}
}

json_t *config_list(const struct config *config)
{
	json_t *list = json_array();

	for (const struct settings_section *section = settings_sections; section->name; section++)
		add_section(list, config->state, section);
	add_named(list, config->state, "postgres_clients");
	add_named(list, config->state, "families");
	return list;
}
