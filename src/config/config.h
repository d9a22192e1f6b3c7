/* SPDX-License-Identifier: PostgreSQL */
/*
 * The configuration of one process: file, environment and defaults made into one immutable struct.
 *
 * config_load() reads the first of: `path`, ATHENA_CONFIG_PATH, $XDG_CONFIG_HOME/athena/,
 * $HOME/.config/athena/, $HOME/.athena/ and the current folder's config.yaml; none is fine. A
 * `.env` beside the file that was found (without one: in the current folder) goes into a private
 * table, never into the process environment. `${NAME}` in a value is replaced from environment or
 * `.env`, and ATHENA_<SECTION>_<KEY> from the same two overrides section.key; the environment wins
 * over `.env`, both win over the file, and a blank variable counts as unset. The caller applies
 * options of the command line after that, by itself.
 *
 * Loading blocks only on reading these small files, asks nobody else, and gives the same result
 * for the same files and environment. Passwords are made known to redact_learn(). Everything
 * reachable from struct config lives until config_free(); nobody may change it. What the settings
 * mean stands in the tables of settings.h.
 */
#ifndef ATHENA_CONFIG_CONFIG_H
#define ATHENA_CONFIG_CONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/log.h"

enum config_prepare { CONFIG_PREPARE_AUTO, CONFIG_PREPARE_NEVER };

struct config_pair {
	const char *name; /* NULL ends the list */
	const char *value;
};

/* One entry of `families:`. Where it says nothing, the built-in family decides. */
struct config_family {
	const char *name;	    /* value of jobs.family */
	const char *run;	    /* built-in family that does the work; `name` when not said */
	const char *const *command; /* argv, ended by NULL; NULL: not said */
	int concurrency;	    /* slots per process; worker.concurrency when not said */
	int64_t timeout_ms;	    /* of one attempt; 0: not said */
	int64_t lease_ms;	    /* how long a silent worker keeps a job; 0: not said */
	int max_attempts;	    /* 0: not said */
	const int *permanent_exits; /* exit statuses, ended by -1; NULL: not said */
	int64_t wait_timeout_ms;    /* for how long its jobs may be parked; 0: never */
	const struct config_pair *env; /* added to the command's environment; never NULL */
	const char *where;	       /* "config.yaml:12", to begin an error with */
};

/* `backup.s3`: a bucket, and how to reach it. Strings are NULL where nothing was said. */
struct config_s3 {
	const char *provider; /* "s3" or "r2", or an alias of one of them */
	const char *endpoint;
	const char *account_id;
	const char *region;
	const char *bucket;
	const char *prefix;
	const char *style; /* "auto", "path" or "host" */
	const char *access_key_id;
	const char *secret_access_key;
	const char *session_token;
	const char *credentials_file;
	const char *profile;
	const char *ca_file;
	int64_t part_bytes;
	int tries;
	int64_t connect_timeout_ms;
	int64_t stall_timeout_ms;
};

struct config {
	const char *config_path; /* absolute; NULL when there is no file */

	const char *database_url;	 /* NULL: libpq's defaults (PGHOST, ...) */
	const char *database_direct_url; /* for LISTEN behind a pooler; NULL: use database_url */
	enum config_prepare database_prepare;

	struct {
		int concurrency; /* slots of a family that says nothing */
		int64_t heartbeat_ms;
		int64_t fence_margin_ms; /* an executor dies this long before its lease ends */
		int64_t drain_ms;	 /* for what runs, after SIGTERM */
		int64_t cancel_grace_ms; /* between asking and SIGKILL */
		int64_t poll_ms;	 /* slow poll, when no wake-up came */
		int64_t reconnect_min_ms, reconnect_max_ms;
		int executor_attempts; /* an executor is replaced after so many */
	} worker;

	struct {
		int64_t finished_ms; /* succeeded and cancelled */
		int64_t dead_ms;
	} retention;

	struct config_s3 backup_s3;

	const char *http_callback_secret; /* signs answers from outside; NULL: none are taken */
	const char *http_listen;	  /* "127.0.0.1:4052", of `athena server` */
	const char *pg_dump_path;	  /* NULL: looked for in PATH */
	const char *pg_restore_path;	  /* NULL: looked for in PATH */
	struct {
		const char *directory; /* NULL: backups have no place on this host */
		const char *prefix;    /* of all keys; NULL: none */
		const char *key;       /* NULL: not said */
		const char *key_file;  /* NULL: not said */
	} backup;

	bool daemon_enabled;
	enum log_level log_level;
	enum log_format log_format;

	const struct config_family *families; /* in the order of the file */
	size_t family_count;

	const char *const *warnings; /* sentences, ended by NULL; see config_log_warnings() */

	struct config_state *state; /* of config.c */
};

/* `path` is that of --config, or NULL. ERR_CONFIG with file and line. Free with config_free(). */
MUSTCHECK bool config_load(const char *path, struct config **ret_config, struct err *e);

void config_free(struct config *config);

/*
 * The configuration that a reload makes of this one: everything is read anew, and of what differs
 * the settings marked OPTION_RELOADABLE are taken over, and postgres_clients; all others stay as
 * they are, families that came or went too. *ret_changes: what differs, as an array of
 * {"option", "old", "new", "applied"}, secrets masked; the caller owns it. What cannot be loaded as
 * a whole is refused as by config_load(), and the old one goes on.
 */
MUSTCHECK bool config_reload(const struct config *config, struct config **ret_config,
	json_t **ret_changes, struct err *e);

/*
 * For executors, which must see what their worker sees and not what stands in the file meanwhile:
 * a file without a name, to be inherited, that config_unseal() reads. It holds secrets. The caller
 * closes it.
 */
MUSTCHECK bool config_seal(const struct config *config, int *ret_fd, struct err *e);
MUSTCHECK bool config_unseal(int fd, struct config **ret_config, struct err *e);

/* The URI under postgres_clients, or NULL when nobody has that name. */
const char *config_client_uri(const struct config *config, const char *name);

/* NULL when `families:` does not name it. */
const struct config_family *config_family_find(const struct config *config, const char *name);

/* Where to connect past a pooler. NULL: libpq's defaults. */
const char *config_direct_url(const struct config *config);

/*
 * A number that the schema and the program agree on and that no setting changes, by its name in
 * config_limits (settings.h): "priority", "event_line_bytes", ... Durations are in ms.
 */
int64_t config_limit(const char *name);

/* One log line per warning. Programs call it once after log_setup(); executors do not. */
void config_log_warnings(const struct config *config);

/*
 * What is in force, for people: an array of {"section", "key", "value", "origin"} in the order of
 * the tables, secrets masked. The origin is "config.yaml:12", the name of a variable (with
 * " in .env" where that is so) or "default". The caller owns the result.
 */
json_t *config_list(const struct config *config);

/* For CLEANUP(): takes the address of the local. */
static inline void config_clear(struct config **config)
{
	config_free(*config);
}

#endif
