/* SPDX-License-Identifier: PostgreSQL */
/* What a new configuration may change of the one in force. */
#include <string.h>

#include "config/load.h"
#include "config/settings.h"

struct merge {
	const struct config_state *old, *fresh;
	struct config_state *merged;
	json_t *changes;
};

static json_t *entry_of(json_t *sections, const char *section, const char *name)
{
	return json_object_get(json_object_get(sections, section), name);
}

static void set(json_t *sections, const char *section, const char *name, json_t *value)
{
	json_t *entries = json_object_get(sections, section);

	if (!entries) {
		entries = json_object();
		json_object_set_new(sections, section, entries);
	}
	json_object_set(entries, name, value);
}

/* The value of that name, and where it came from, as one of the two has it; if it has. */
static void take(
	struct merge *merge, const struct config_state *from, const char *section, const char *name)
{
	json_t *value = entry_of(from->values, section, name);

	if (!value)
		return;
	set(merge->merged->values, section, name, value);
	set(merge->merged->origins, section, name, entry_of(from->origins, section, name));
}

/* `name` stands for section.name, or section.name.key. References to values are taken over. */
static void note(struct merge *merge, const char *section, const char *name, const char *key,
	json_t *old, json_t *fresh, bool is_applied)
{
	char *option CLEANUP(free_ptr) =
		xasprintf("%s.%s%s%s", section, name, key ? "." : "", key ? key : "");

	json_array_append_new(merge->changes,
		json_pack("{s:s, s:o, s:o, s:b}", "option", option, "old", old, "new", fresh,
			"applied", is_applied));
}

static bool is_reloadable(const struct option_row *row)
{
	return row->flags & OPTION_RELOADABLE;
}

/* A setting that is written down differs from none only if it differs from the default. */
static bool differ(const struct option_row *row, const json_t *old, const json_t *fresh)
{
	json_auto_t *fallback = row->fallback ? option_from_text(row, row->fallback) : json_null();

	return !json_equal(old ? old : fallback, fresh ? fresh : fallback);
}

static void merge_section(struct merge *merge, const struct settings_section *section)
{
	for (const struct option_row *row = section->rows; row->name; row++) {
		const json_t *old = entry_of(merge->old->values, section->name, row->name);
		const json_t *fresh = entry_of(merge->fresh->values, section->name, row->name);

		take(merge, is_reloadable(row) ? merge->fresh : merge->old, section->name,
			row->name);
		if (differ(row, old, fresh))
			note(merge, section->name, row->name, NULL, config_shown(row, old),
				config_shown(row, fresh), is_reloadable(row));
	}
}

/*
 * Names for URIs.
 */

static void note_client(struct merge *merge, const char *name, json_t *old, json_t *fresh)
{
	static const struct option_row row = {.type = OPTION_TEXT};

	if (!old || !fresh || !json_equal(old, fresh))
		note(merge, "postgres_clients", name, NULL, config_shown(&row, old),
			config_shown(&row, fresh), true);
}

static void merge_clients(struct merge *merge)
{
	json_t *old = json_object_get(merge->old->values, "postgres_clients");
	json_t *fresh = json_object_get(merge->fresh->values, "postgres_clients");
	const char *name;
	json_t *uri;

	json_object_foreach (fresh, name, uri) {
		take(merge, merge->fresh, "postgres_clients", name);
		note_client(merge, name, json_object_get(old, name), uri);
	}
	json_object_foreach (old, name, uri) {
		if (!json_object_get(fresh, name))
			note_client(merge, name, uri, NULL);
	}
}

/*
 * Families: what a process serves, and by which built-in, is settled when it starts.
 */

static json_t *merge_family(
	struct merge *merge, const char *name, const json_t *old, const json_t *fresh)
{
	json_t *merged = json_object();

	for (const struct option_row *row = settings_family; row->name; row++) {
		json_t *was = json_object_get(old, row->name);
		json_t *is = json_object_get(fresh, row->name);
		json_t *taken = is_reloadable(row) ? is : was;

		if (taken)
			json_object_set(merged, row->name, taken);
		if (differ(row, was, is))
			note(merge, "families", name, row->name, config_shown(row, was),
				config_shown(row, is), is_reloadable(row));
	}
	return merged;
}

static void merge_families(struct merge *merge)
{
	json_t *old = json_object_get(merge->old->values, "families");
	json_t *fresh = json_object_get(merge->fresh->values, "families");
	const char *name;
	json_t *entry;

	json_object_foreach (old, name, entry) {
		const json_t *other = json_object_get(fresh, name);
		json_auto_t *merged = other ? merge_family(merge, name, entry, other) : NULL;

		take(merge, other ? merge->fresh : merge->old, "families", name);
		if (merged)
			set(merge->merged->values, "families", name, merged);
		else
			note(merge, "families", name, NULL, json_string("there"), json_null(),
				false);
	}
	json_object_foreach (fresh, name, entry) {
		if (!json_object_get(old, name))
			note(merge, "families", name, NULL, json_null(), json_string("there"),
				false);
	}
}

bool config_reload(const struct config *config, struct config **ret_config, json_t **ret_changes,
	struct err *e)
{
	struct config *fresh CLEANUP(config_clear) = NULL;
	struct config *merged CLEANUP(config_clear) = config_new();
	json_auto_t *changes = json_array();
	struct merge merge = {.old = config->state, .merged = merged->state, .changes = changes};

	if (!config_load(config->config_path, &fresh, e))
		return false;
	merge.fresh = fresh->state;
	if (fresh->config_path)
		merged->config_path = arena_strdup(&merged->state->arena, fresh->config_path);
	for (const struct settings_section *section = settings_sections; section->name; section++)
		merge_section(&merge, section);
	merge_clients(&merge);
	merge_families(&merge);
	if (!config_fill(merged, e))
		return false;
	*ret_config = TAKE(merged);
	*ret_changes = json_incref(changes);
	return true;
}
