/* SPDX-License-Identifier: PostgreSQL */
/*
 * backup: puts databases into a store, proves that they can be got back, and gets them back.
 *
 * Everything here may be killed at any instruction. What is left then, and who removes it:
 *
 *   killed in ...                  what is left                      ...
 *   backup, before it has begun    a session                         its server, within 2 s
 *   backup, afterwards             objects under its stem, in part   the next attempt, by the
 *                                  or whole; the row says running    stem in the catalog
 *   backup, once it is completed   a good backup                     the next attempt is done
 *   verify                         nothing
 *   restore, drill                 what a clone leaves (clone.c)     the next attempt, by names
 *   expire                         objects of a backup that the      the next expiry
 *                                  catalog says is expiring
 */
#include "families/backup/backup.h"

#include "families/clone/endpoint.h"
#include "families/clone/tool_error.h"
#include "families/family.h"

enum { KEEP_MOST = 100000 };

const struct option_row backup_payload[] = {
	{"database", OPTION_TEXT,
		.help = "database to back up, or whose backups are meant: a name under "
			"postgres_clients, a URI or a key=value string"},
	{"label", OPTION_TEXT, .help = "a word of your own for a backup"},
	{"verify", OPTION_WORD, .fallback = "full", .words = "full|counts|none",
		.help = "what is recorded of the tables' rows, and compared when it is restored"},
	{"backup", OPTION_INT,
		.help = "id of the backup, which is that of the job that made it; else the newest "
			"verified one"},
	{"target", OPTION_TEXT, .help = "database to restore into, named as `database` is"},
	{"replace", OPTION_TEXT,
		.help = "name of the target's database once more, if it exists and is to be "
			"replaced"},
	{"keep_last", OPTION_INT, .max = KEEP_MOST, .help = "how many of the newest stay"},
	{"keep_hourly", OPTION_INT, .max = KEEP_MOST, .help = "for how many hours one stays"},
	{"keep_daily", OPTION_INT, .max = KEEP_MOST, .help = "for how many days one stays"},
	{"keep_weekly", OPTION_INT, .max = KEEP_MOST, .help = "for how many weeks one stays"},
	{"keep_monthly", OPTION_INT, .max = KEEP_MOST, .help = "for how many months one stays"},
	{"keep_yearly", OPTION_INT, .max = KEEP_MOST, .help = "for how many years one stays"},
	{"min_age", OPTION_DURATION, .help = "what is younger stays in any case"},
	{"dry_run", OPTION_BOOL, .help = "only say what would expire, and why"},
	{0},
};

static const struct {
	const char *kind;
	bool (*run)(struct attempt *attempt, struct err *e);
} kinds[] = {
	{"", backup_create},
	{"backup", backup_create},
	{"verify", backup_verify},
	{"restore", backup_restore},
	{"drill", backup_drill},
	{"expire", backup_expire},
};

static bool backup_execute(struct attempt *attempt, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
		if (strcmp(attempt->kind, kinds[i].kind) != 0)
			continue;
		if (kinds[i].run(attempt, e))
			return true;
		tool_error_name(e);
		return false;
	}
	return err_code(e, ERR_PERMANENT, "bad_kind",
		"kind \"%.64s\" is none of backup, verify, restore, drill, expire", attempt->kind);
}

/* What connection strings say can be known without a configuration; names cannot. */
static bool backup_check(const json_t *payload, struct err *e)
{
	static const char *const keys[] = {"database", "target"};

	for (size_t i = 0; i < ARRAY_LENGTH(keys); i++) {
		const char *named = json_string_value(json_object_get(payload, keys[i]));

		if (named && !endpoint_check(keys[i], named, e))
			return false;
	}
	return true;
}

bool backup_need(struct attempt *attempt, const char *name, const char **ret_text, struct err *e)
{
	*ret_text = option_text(backup_payload, attempt->payload, name);
	return *ret_text ||
		err_code(e, ERR_PERMANENT, "bad_payload",
			"payload: \"%s\" is missing, which kind "
			"\"%s\" needs",
			name, attempt->kind[0] ? attempt->kind : "backup");
}

bool backup_client(struct attempt *attempt, const char **ret_client, struct err *e)
{
	struct endpoint endpoint = {0};
	const char *named;

	if (!backup_need(attempt, "database", &named, e) ||
		!endpoint_init(&endpoint, attempt, "database", named, e))
		return false;
	*ret_client = config_client_uri(attempt->config, named) ? named : endpoint.database;
	return true;
}

const char *backup_key(struct attempt *attempt, const char *stem, const char *kind)
{
	return arena_printf(&attempt->arena, "%s.%s", stem, kind);
}

const struct family backup_family = {
	.name = "backup",
	.summary = "backs databases up, and restores, verifies, drills and expires backups",
	.payload = backup_payload,
	.lease_s = 120,
	.max_attempts = 5,
	.prefetch = 0,
	.check = backup_check,
	.execute = backup_execute,
};
