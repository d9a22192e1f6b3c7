/* SPDX-License-Identifier: PostgreSQL */
/* One struct config out of a file, the environment and the defaults. */
#include "config/config.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>

#include "base/redact.h"
#include "config/load.h"
#include "config/locate.h"
#include "config/settings.h"

static const struct option_row *rows_of(const char *section)
{
	const struct settings_section *found = settings_find(section);

	assert(found);
	return found->rows;
}

static int64_t number(const struct config *config, const char *section, const char *name)
{
	return option_int(rows_of(section), json_object_get(config->state->values, section), name);
}

static bool truth(const struct config *config, const char *section, const char *name)
{
	return option_bool(rows_of(section), json_object_get(config->state->values, section), name);
}

/* NULL for an empty string, too. */
static const char *text(const struct config *config, const char *section, const char *name)
{
	const char *value = option_text(
		rows_of(section), json_object_get(config->state->values, section), name);

	return value && *value ? value : NULL;
}

static void fill_worker(struct config *config)
{
	config->worker.concurrency = (int)number(config, "worker", "concurrency");
	config->worker.heartbeat_ms = number(config, "worker", "heartbeat");
	config->worker.fence_margin_ms = number(config, "worker", "fence_margin");
	config->worker.drain_ms = number(config, "worker", "drain");
	config->worker.cancel_grace_ms = number(config, "worker", "cancel_grace");
	config->worker.poll_ms = number(config, "worker", "poll");
	config->worker.reconnect_min_ms = number(config, "worker", "reconnect_min");
	config->worker.reconnect_max_ms = number(config, "worker", "reconnect_max");
	config->worker.executor_attempts = (int)number(config, "worker", "executor_attempts");
}

static void fill_backup_s3(const struct config *config, struct config_s3 *s3)
{
	static const char section[] = "backup.s3";

	*s3 = (struct config_s3){
		.provider = text(config, section, "provider"),
		.endpoint = text(config, section, "endpoint"),
		.account_id = text(config, section, "account_id"),
		.region = text(config, section, "region"),
		.bucket = text(config, section, "bucket"),
		.prefix = text(config, section, "prefix"),
		.style = text(config, section, "style"),
		.access_key_id = text(config, section, "access_key_id"),
		.secret_access_key = text(config, section, "secret_access_key"),
		.session_token = text(config, section, "session_token"),
		.credentials_file = text(config, section, "credentials_file"),
		.profile = text(config, section, "profile"),
		.ca_file = text(config, section, "ca_file"),
		.part_bytes = number(config, section, "part_size"),
		.tries = (int)number(config, section, "tries"),
		.connect_timeout_ms = number(config, section, "connect_timeout"),
		.stall_timeout_ms = number(config, section, "stall_timeout"),
	};
}

static void fill_sections(struct config *config)
{
	fill_worker(config);
	config->database_url = text(config, "database", "url");
	config->database_direct_url = text(config, "database", "direct_url");
	config->database_prepare = strcmp(text(config, "database", "prepare"), "never") == 0
		? CONFIG_PREPARE_NEVER
		: CONFIG_PREPARE_AUTO;
	config->retention.finished_ms = number(config, "retention", "finished");
	config->retention.dead_ms = number(config, "retention", "dead");
	fill_backup_s3(config, &config->backup_s3);
	config->http_listen = text(config, "http", "listen");
	config->http_callback_secret = text(config, "http", "callback_secret");
	config->pg_dump_path = text(config, "pg", "dump_path");
	config->pg_restore_path = text(config, "pg", "restore_path");
	config->backup.directory = text(config, "backup", "directory");
	config->backup.prefix = text(config, "backup", "prefix");
	config->backup.key = text(config, "backup", "key");
	config->backup.key_file = text(config, "backup", "key_file");
	config->daemon_enabled = truth(config, "daemon", "enabled");
	config->log_format =
		strcmp(text(config, "log", "format"), "json") == 0 ? LOG_JSON : LOG_LOGFMT;
	log_level_find(text(config, "log", "level"), &config->log_level);
}

/* What no row can say by itself. */
static bool check_together(const struct config *config, struct err *e)
{
	int64_t shortest_ms = config->worker.heartbeat_ms + config->worker.fence_margin_ms;

	if (config->worker.reconnect_min_ms > config->worker.reconnect_max_ms)
		return err_set(e, ERR_CONFIG,
			"worker.reconnect_min must not be longer than worker.reconnect_max");
	if (shortest_ms >= config_limit("lease"))
		return err_set(e, ERR_CONFIG,
			"worker.heartbeat and worker.fence_margin together must be shorter than "
			"the default lease of %d s",
			(int)(config_limit("lease") / 1000));
	if (config->http_callback_secret && strlen(config->http_callback_secret) < 16)
		return err_set(
			e, ERR_CONFIG, "http.callback_secret must have at least 16 characters");
	for (size_t i = 0; i < config->family_count; i++)
		if (config->families[i].lease_ms > 0 && config->families[i].lease_ms <= shortest_ms)
			return err_set(e, ERR_CONFIG,
				"%s: \"lease\" must be longer than worker.heartbeat and "
				"worker.fence_margin together",
				config->families[i].where);
	return true;
}

static void learn_secrets(const struct config *config, const struct settings_section *section)
{
	const json_t *values = json_object_get(config->state->values, section->name);

	for (const struct option_row *row = section->rows; row->name; row++) {
		const char *secret = json_string_value(json_object_get(values, row->name));

		if (secret && (row->flags & OPTION_SECRET) && !(row->flags & OPTION_URI))
			redact_learn(secret);
	}
}

bool config_fill(struct config *config, struct err *e)
{
	for (const struct settings_section *section = settings_sections; section->name; section++)
		learn_secrets(config, section);
	fill_sections(config);
	fill_families(config);
	return check_together(config, e);
}

/*
 * Loading.
 */

static bool read_file(struct load *load, const char *path, struct tree **ret_tree, struct err *e)
{
	struct buf bytes CLEANUP(buf_clear) = {0};

	if (!path)
		return true;
	load->file = arena_strdup(load->arena, path);
	return locate_read(path, &bytes, e) &&
		tree_parse(load->arena, load->file, bytes.bytes ? bytes.bytes : "", bytes.length,
			ret_tree, e);
}

/* A .env that cannot be read is a warning: not having one is normal. */
static void read_dotenv(struct load *load, const char *config_path)
{
	char *path CLEANUP(free_ptr) = locate_dotenv(config_path);
	struct buf bytes CLEANUP(buf_clear) = {0};
	struct err e;

	if (access(path, F_OK) == 0 && !locate_read(path, &bytes, &e))
		buf_printf(&load->warnings, "%s, ignored\n", e.text);
	dotenv_parse(&load->vars.dotenv, load->arena, path, bytes.bytes ? bytes.bytes : "",
		&load->warnings);
	vars_learn(&load->vars);
}

/* The lines of a text as strings, ended by NULL. */
static const char *const *split_lines(struct arena *arena, const struct buf *lines)
{
	char *text = arena_strdup(arena, lines->bytes ? lines->bytes : "");
	const char **list;
	size_t count = 0;

	for (const char *at = text; *at; at++)
		count += *at == '\n';
	list = arena_alloc(arena, (count + 1) * sizeof(*list));
	for (size_t i = 0; i < count; i++)
		list[i] = strsep(&text, "\n");
	list[count] = NULL;
	return list;
}

static bool load_all(struct load *load, const char *path, struct config *config, struct err *e)
{
	const struct tree *families;
	struct tree *root = NULL;

	if (!read_file(load, path, &root, e))
		return false;
	read_dotenv(load, path);
	families = root ? tree_find(root, "families") : NULL;
	if (!load_sections(load, root, e) || (families && !load_families(load, families, e)))
		return false;
	config->warnings = split_lines(load->arena, &load->warnings);
	return config_fill(config, e);
}

struct config *config_new(void)
{
	static const char *const no_warnings[] = {NULL};
	struct config *config = xcalloc(1, sizeof(*config));

	config->warnings = no_warnings;
	config->state = xcalloc(1, sizeof(*config->state));
	config->state->values = json_object();
	config->state->origins = json_object();
	return config;
}

bool config_load(const char *path, struct config **ret_config, struct err *e)
{
	struct config *config CLEANUP(config_clear) = config_new();
	char *found CLEANUP(free_ptr) = locate_config(path);
	char *absolute CLEANUP(free_ptr) = NULL;
	struct load load = {
		.arena = &config->state->arena,
		.values = config->state->values,
		.origins = config->state->origins,
	};
	bool ok;

	if (found && !locate_absolute(found, &absolute, e))
		return false;
	if (absolute)
		config->config_path = arena_strdup(load.arena, absolute);
	ok = load_all(&load, found, config, e);
	dotenv_clear(&load.vars.dotenv);
	buf_clear(&load.warnings);
	if (ok)
		*ret_config = TAKE(config);
	return ok;
}

void config_free(struct config *config)
{
	if (!config)
		return;
	json_decref(config->state->values);
	json_decref(config->state->origins);
	arena_clear(&config->state->arena);
	free(config->state);
	free(config);
}

/*
 * Looking up.
 */

const char *config_client_uri(const struct config *config, const char *name)
{
	const json_t *clients = json_object_get(config->state->values, "postgres_clients");

	return json_string_value(json_object_get(clients, name));
}

const struct config_family *config_family_find(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->family_count; i++)
		if (strcmp(config->families[i].name, name) == 0)
			return &config->families[i];
	return NULL;
}

const char *config_direct_url(const struct config *config)
{
	return config->database_direct_url ? config->database_direct_url : config->database_url;
}

int64_t config_limit(const char *name)
{
	return option_int(settings_limits, NULL, name);
}

void config_log_warnings(const struct config *config)
{
	for (const char *const *warning = config->warnings; *warning; warning++)
		log_warn("config_warning", LOG_S("text", *warning));
}
