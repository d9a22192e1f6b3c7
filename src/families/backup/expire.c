/* SPDX-License-Identifier: PostgreSQL */
/*
 * Kind expire: what retention.h lets go, goes: its row says so first, then its objects are removed.
 *
 * One that cannot be removed does not stop the rest; the job then fails, and is tried again.
 */
#include <inttypes.h>

#include "db/query.h"
#include "families/backup/backup.h"
#include "families/backup/retention.h"

struct expire {
	struct attempt *attempt;
	struct place place;
	const char *client;
	struct retention_policy policy;
	bool is_dry;
	PGresult *history;
	struct retention_backup *backups;
	size_t count;
	int expired, failed;
	struct err first; /* of those that failed */
};

static void expire_clear(struct expire *expire)
{
	place_clear(&expire->place);
	PQclear(expire->history);
	free(expire->backups);
}

static void read_policy(struct expire *expire)
{
	static const char *const spans[] = {
		[RETENTION_HOUR] = "keep_hourly",
		[RETENTION_DAY] = "keep_daily",
		[RETENTION_WEEK] = "keep_weekly",
		[RETENTION_MONTH] = "keep_monthly",
		[RETENTION_YEAR] = "keep_yearly",
	};
	const json_t *payload = expire->attempt->payload;

	expire->policy.last = option_int(backup_payload, payload, "keep_last");
	for (int span = 0; span < RETENTION_SPANS; span++)
		expire->policy.spans[span] = option_int(backup_payload, payload, spans[span]);
	expire->policy.min_age_s = option_int(backup_payload, payload, "min_age") / 1000;
	expire->is_dry = option_bool(backup_payload, payload, "dry_run");
}

static bool read_history(struct expire *expire, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};

	params_text(&params, expire->client);
	params_text(&params, expire->place.store->driver->name);
	params_text(&params, expire->place.store->place);
	if (!catalog_ask(expire->attempt, &sql_backup_history, &params, &expire->history, e))
		return false;
	expire->count = (size_t)PQntuples(expire->history);
	expire->backups = xcalloc(expire->count + 1, sizeof(*expire->backups));
	for (size_t i = 0; i < expire->count; i++) {
		int row = (int)i;
		const char *state = row_text(expire->history, row, "state");

		/* One that is expiring already is judged like one that failed: it counts for
		 * nothing. */
		expire->backups[i] = (struct retention_backup){
			.at_s = row_i64(expire->history, row, "at_s"),
			.is_complete = strcmp(state, "completed") == 0,
			.is_verified = row_bool(expire->history, row, "is_verified"),
			.is_pinned = row_bool(expire->history, row, "pinned"),
		};
	}
	return true;
}

static bool is_expiring(const struct expire *expire, size_t i)
{
	return strcmp(row_text(expire->history, (int)i, "state"), "expiring") == 0;
}

static bool change(struct expire *expire, const struct sql_statement *statement, int64_t job_id,
	const char *reason, bool *ret_changed, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	PGresult *rows CLEANUP(clear_result) = NULL;

	params_i64(&params, job_id);
	if (reason)
		params_text(&params, reason);
	if (!catalog_ask(expire->attempt, statement, &params, &rows, e))
		return false;
	*ret_changed = PQntuples(rows) > 0;
	return true;
}

static bool remove_backup(struct expire *expire, size_t i, struct err *e)
{
	int64_t job_id = row_i64(expire->history, (int)i, "job_id");
	bool changed;

	if (!change(expire, &sql_backup_expiring, job_id, "retention", &changed, e))
		return false;
	if (!changed)
		return true; /* pinned, or verified to be something else, meanwhile */
	if (!place_sweep(&expire->place, expire->attempt, row_text(expire->history, (int)i, "stem"),
		    e) ||
		!change(expire, &sql_backup_expired, job_id, NULL, &changed, e))
		return false;
	expire->expired++;
	return true;
}

static void tell(struct expire *expire, size_t i)
{
	const struct retention_backup *backup = &expire->backups[i];
	int64_t job_id = row_i64(expire->history, (int)i, "job_id");

	attempt_event(expire->attempt, EVENT_INFO, backup->goes ? "expires" : "stays",
		json_pack("{s:I, s:s, s:b}", "backup", (json_int_t)job_id, "reason", backup->reason,
			"dry_run", (int)expire->is_dry),
		"backup %" PRId64 " %s: %s", job_id, backup->goes ? "expires" : "stays",
		backup->reason);
}

/* Cancelled: stop; anything else: go on with the others. */
static bool note_failure(struct expire *expire, size_t i, const struct err *e)
{
	if (e->kind == ERR_CANCELLED || e->kind == ERR_LEASE_LOST)
		return false;
	if (expire->failed++ == 0)
		expire->first = *e;
	attempt_event(expire->attempt, EVENT_WARN, "left_behind",
		json_pack("{s:s, s:s}", "what", "objects", "name",
			row_text(expire->history, (int)i, "stem")),
		"%s", e->text);
	return true;
}

/* A job that has ended and never completed its backup may have died in the middle of it. */
static bool has_failed(const struct expire *expire, size_t i)
{
	return row_bool(expire->history, (int)i, "is_over") &&
		strcmp(row_text(expire->history, (int)i, "state"), "running") == 0;
}

static bool expire_one(struct expire *expire, size_t i, struct err *e)
{
	tell(expire, i);
	if (has_failed(expire, i) && !expire->is_dry &&
		!place_sweep(&expire->place, expire->attempt,
			row_text(expire->history, (int)i, "stem"), e))
		return note_failure(expire, i, e);
	if (!expire->backups[i].goes || expire->is_dry || remove_backup(expire, i, e))
		return true;
	return note_failure(expire, i, e);
}

/* What an expiry that died has begun. */
static void judge(struct expire *expire)
{
	int64_t now_s = expire->count ? row_i64(expire->history, 0, "now_s") : 0;
	size_t kept = 0;
	struct retention_backup *live = xcalloc(expire->count + 1, sizeof(*live));

	for (size_t i = 0; i < expire->count; i++)
		if (!is_expiring(expire, i))
			live[kept++] = expire->backups[i];
	retention_judge(&expire->policy, now_s, live, kept);
	kept = 0;
	for (size_t i = 0; i < expire->count; i++) {
		if (!is_expiring(expire, i)) {
			expire->backups[i] = live[kept++];
			continue;
		}
		expire->backups[i].goes = true;
		expire->backups[i].reason = "expiring";
	}
	free(live);
}

bool backup_expire_if_asked(struct attempt *attempt, struct err *e)
{
	struct expire expire = {.attempt = attempt};

	read_policy(&expire);
	return retention_is_empty(&expire.policy) || backup_expire(attempt, e);
}

bool backup_expire(struct attempt *attempt, struct err *e)
{
	struct expire expire CLEANUP(expire_clear) = {.attempt = attempt};

	read_policy(&expire);
	if (!backup_client(attempt, &expire.client, e) || !place_open(attempt, &expire.place, e) ||
		!read_history(&expire, e))
		return false;
	attempt_phase(attempt, "expiring");
	judge(&expire);
	for (size_t i = 0; i < expire.count; i++)
		if (!expire_one(&expire, i, e))
			return false;
	if (expire.failed > 0) {
		*e = expire.first;
		return err_in(e, "%d of %d backups could not be removed", expire.failed,
			expire.failed + expire.expired);
	}
	return true;
}
