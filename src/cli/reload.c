/* SPDX-License-Identifier: PostgreSQL */
/* Loading again, and what the log says about it. */
#include "cli/reload.h"

#include <jansson.h>

#include "base/log.h"
#include "base/mem.h"
#include "families/family.h"

static bool check_families(const struct config *config, struct err *e)
{
	for (size_t i = 0; i < config->family_count; i++)
		if (!family_check_entry(&config->families[i], e))
			return false;
	return true;
}

/* Text as it is; everything else as JSON. The caller frees it. */
static char *text_of(const json_t *value)
{
	if (json_is_null(value))
		return xstrdup("(not set)");
	if (json_is_string(value))
		return xstrdup(json_string_value(value));
	return json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
}

static void tell_change(const json_t *change)
{
	const char *option = json_string_value(json_object_get(change, "option"));
	char *old CLEANUP(free_ptr) = text_of(json_object_get(change, "old"));
	char *new CLEANUP(free_ptr) = text_of(json_object_get(change, "new"));

	if (json_is_true(json_object_get(change, "applied")))
		log_info("option_reloaded", LOG_S("option", option), LOG_S("old", old),
			LOG_S("new", new));
	else
		log_warn("option_needs_restart", LOG_S("option", option), LOG_S("old", old),
			LOG_S("new", new));
}

/* How many of them hold from now on. */
static size_t tell_changes(const struct config *config, const json_t *changes)
{
	size_t applied = 0, i;
	const json_t *change;

	json_array_foreach (changes, i, change) {
		tell_change(change);
		applied += json_is_true(json_object_get(change, "applied"));
	}
	log_info("reloaded", LOG_S("config", config->config_path ? config->config_path : "(none)"),
		LOG_I("changed", (int64_t)applied),
		LOG_I("need_restart", (int64_t)(json_array_size(changes) - applied)));
	return applied;
}

struct config *reload_config(const struct config *config)
{
	struct config *merged CLEANUP(config_clear) = NULL;
	json_auto_t *changes = NULL;
	size_t applied;
	struct err e;

	if (!config_reload(config, &merged, &changes, &e) || !check_families(merged, &e)) {
		log_error("reload_failed", LOG_S("error", e.text),
			LOG_S("hint", "nothing has changed; try: athena config check"));
		return NULL;
	}
	/* By the chattier of the two levels, or one that is silenced would not say so. */
	log_setup(merged->log_level < config->log_level ? merged->log_level : config->log_level,
		merged->log_format);
	applied = tell_changes(merged, changes);
	log_setup(merged->log_level, merged->log_format);
	return applied > 0 ? TAKE(merged) : NULL;
}
