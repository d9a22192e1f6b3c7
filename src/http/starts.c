/* SPDX-License-Identifier: PostgreSQL */
/* Where to begin looking for first tickets. */
#include "http/starts.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "db/query.h"

enum { LOOK_SHARE = 20 }; /* looks take a twentieth of the time at most */

static void hints_clear(struct starts *starts)
{
	for (size_t i = 0; i < starts->count; i++) {
		free(starts->hints[i].family);
		free(starts->hints[i].after);
	}
	free(starts->hints);
	starts->hints = NULL;
	starts->count = 0;
}

static char *floors_text(const int64_t *floors)
{
	struct buf text = {0};

	for (int lane = 0; lane < LANES; lane++)
		buf_printf(&text, "%c%" PRId64, lane == 0 ? '{' : ',', floors[lane]);
	buf_char(&text, '}');
	return buf_take(&text);
}

static void add_floors(const struct worker *worker, struct params *params)
{
	size_t count = worker ? (size_t)worker->line_count : 0;
	const char **names CLEANUP(free_ptr) = xcalloc(count + 1, sizeof(*names));
	char **floors CLEANUP(free_ptr) = xcalloc(count + 1, sizeof(*floors));

	for (size_t i = 0; i < count; i++) {
		names[i] = worker->lines[i].name;
		floors[i] = floors_text(worker->lines[i].claim.cursor.floors);
	}
	params_texts(params, names, count);
	params_texts(params, (const char *const *)floors, count);
	for (size_t i = 0; i < count; i++)
		free(floors[i]);
}

static void add_hints(const struct starts *starts, struct params *params)
{
	const char **names CLEANUP(free_ptr) = xcalloc(starts->count, sizeof(*names));
	const char **after CLEANUP(free_ptr) = xcalloc(starts->count, sizeof(*after));

	for (size_t i = 0; i < starts->count; i++) {
		names[i] = starts->hints[i].family;
		after[i] = starts->hints[i].after;
	}
	params_texts(params, names, starts->count);
	params_texts(params, after, starts->count);
}

bool starts_choose(struct starts *starts, const struct worker *worker, struct params *params)
{
	int64_t now_ms = clock_boot_ms();

	starts->is_look = now_ms - starts->looked_ms >= LOOK_SHARE * starts->cost_ms;
	if (starts->is_look) {
		starts->looked_ms = now_ms;
		add_floors(worker, params);
		return true;
	}
	if (starts->count == 0)
		return false;
	add_hints(starts, params);
	return true;
}

void starts_learn(struct starts *starts, const PGresult *rows, int64_t took_ms)
{
	if (starts->is_look)
		starts->cost_ms = took_ms;
	if (!rows)
		return;
	hints_clear(starts);
	starts->count = (size_t)PQntuples(rows);
	starts->hints = xcalloc(starts->count, sizeof(*starts->hints));
	for (size_t i = 0; i < starts->count; i++) {
		starts->hints[i].family = xstrdup(row_text(rows, (int)i, "family"));
		starts->hints[i].after = xstrdup(row_text(rows, (int)i, "after"));
	}
}

void starts_clear(struct starts *starts)
{
	hints_clear(starts);
}
