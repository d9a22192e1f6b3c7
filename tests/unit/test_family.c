/* SPDX-License-Identifier: PostgreSQL */
#include "families/family.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "config/locate.h"
#include "sql_migrations.h"
#include "suite.h"

/* What migrations write for built-in families, in this column order. */
static const char seed[] = "INSERT INTO athena.families (name, builtin, summary, lease, timeout, "
			   "max_attempts, payload_keys) VALUES";

enum column { NAME, BUILTIN, SUMMARY, LEASE, TIMEOUT, MAX_ATTEMPTS, PAYLOAD_KEYS, COLUMNS };

/* Reads 'it''s' or a bare word, and steps over the comma or parenthesis after it. */
static const char *read_value(const char *sql, struct buf *ret_value)
{
	buf_reset(ret_value);
	sql += strspn(sql, " \t\n");
	if (*sql != '\'') {
		size_t length = strcspn(sql, ",)");

		buf_add(ret_value, sql, length);
		return sql + length + 1;
	}
	for (sql++; sql[0] != '\'' || sql[1] == '\''; sql++) {
		ck_assert_msg(*sql, "a text that does not end");
		buf_char(ret_value, *sql);
		sql += sql[0] == '\'';
	}
	sql++;
	return sql + strspn(sql, " \t\n") + 1;
}

/* Finds the last seed of a family; false when no migration has one. */
static bool find_seed(const char *name, struct buf values[COLUMNS])
{
	struct buf given[COLUMNS] = {0};
	bool is_found = false;

	for (const struct sql_migration *m = sql_migrations; m->text; m++) {
		const char *sql = strstr(m->text, seed);

		sql = sql ? strchr(sql + strlen(seed), '(') : NULL;
		while (sql && *sql == '(') {
			sql++;
			for (int column = 0; column < COLUMNS; column++)
				sql = read_value(sql, &given[column]);
			sql += strspn(sql, ", \t\n");
			if (strcmp(given[NAME].bytes, name) != 0)
				continue;
			is_found = true;
			for (int column = 0; column < COLUMNS; column++) {
				buf_reset(&values[column]);
				buf_text(&values[column], given[column].bytes);
			}
		}
	}
	for (int column = 0; column < COLUMNS; column++)
		buf_clear(&given[column]);
	return is_found;
}

static int64_t seconds(const struct buf *value)
{
	char *unit;
	int64_t number = strtoll(value->bytes, &unit, 10);

	if (strcmp(value->bytes, "NULL") == 0)
		return 0;
	ck_assert_str_eq(unit, " s");
	return number;
}

static void compare_keys(const struct family *family, const char *text)
{
	json_t *keys = family->payload ? option_keys_json(family->payload) : NULL;
	json_t *seeded = json_loads(text, JSON_DECODE_ANY, NULL);
	char *wanted = keys ? json_dumps(keys, JSON_SORT_KEYS) : xstrdup("NULL");
	char *found = seeded ? json_dumps(seeded, JSON_SORT_KEYS) : xstrdup(text);

	ck_assert_str_eq(found, wanted);
	json_decref(keys);
	json_decref(seeded);
	free(wanted);
	free(found);
}

START_TEST(every_family_is_seeded_as_it_is)
{
	struct buf values[COLUMNS] = {0};

	for (const struct family *const *at = families; *at; at++) {
		const struct family *family = *at;

		ck_assert_msg(find_seed(family->name, values), "no seed for %s", family->name);
		ck_assert_str_eq(values[BUILTIN].bytes, "true");
		ck_assert_str_eq(values[SUMMARY].bytes, family->summary);
		ck_assert_int_eq(seconds(&values[LEASE]), family->lease_s);
		ck_assert_int_eq(seconds(&values[TIMEOUT]), family->timeout_s);
		ck_assert_int_eq(atoi(values[MAX_ATTEMPTS].bytes), family->max_attempts);
		compare_keys(family, values[PAYLOAD_KEYS].bytes);
	}
	for (int column = 0; column < COLUMNS; column++)
		buf_clear(&values[column]);
}
END_TEST

/* Each key of a payload has its line in docs/families/NAME.md, word by word. */
START_TEST(docs_say_what_the_tables_say)
{
	for (const struct family *const *at = families; *at; at++) {
		char *path CLEANUP(free_ptr) = xasprintf("docs/families/%s.md", (*at)->name);
		struct buf text CLEANUP(buf_clear) = {0};
		struct err e;

		if (access(path, F_OK) != 0)
			continue;
		ck_assert_msg(locate_read(path, &text, &e), "%s", e.text);
		for (const struct option_row *row = (*at)->payload; row && row->name; row++) {
			struct buf line CLEANUP(buf_clear) = {0};

			buf_printf(&line, "| `%s` | ", row->name);
			option_expected(row, &line);
			buf_printf(&line, "%s | %s |\n",
				row->flags & OPTION_REQUIRED ? ", required" : "", row->help);
			ck_assert_msg(
				strstr(text.bytes, line.bytes), "%s lacks %s", path, line.bytes);
		}
	}
}
END_TEST

START_TEST(families_are_found_by_name)
{
	ck_assert_str_eq(family_find("noop")->name, "noop");
	ck_assert_ptr_null(family_find("Noop"));
	ck_assert_ptr_null(family_find(""));
}
END_TEST

static void refuses(
	const char *family, const char *job_family, const char *payload, const char *why)
{
	json_t *json = json_loads(payload, JSON_DECODE_ANY, NULL);
	struct err e;

	ck_assert_ptr_nonnull(json);
	ck_assert_msg(!family_check(family_find(family), job_family, json, &e), "%s", payload);
	ck_assert_int_eq(e.kind, ERR_PERMANENT);
	ck_assert_msg(strstr(e.text, why), "\"%s\" does not say \"%s\"", e.text, why);
	json_decref(json);
}

static void accepts(const char *family, const char *job_family, const char *payload)
{
	json_t *json = json_loads(payload, JSON_DECODE_ANY, NULL);
	struct err e;

	ck_assert_msg(family_check(family_find(family), job_family, json, &e), "%s", e.text);
	json_decref(json);
}

START_TEST(payloads_are_checked)
{
	accepts("noop", "noop", "{}");
	accepts("noop", "noop",
		"{\"sleep_ms\": 5, \"ignore_cancel\": true, \"fail\": \"permanent\"}");
	refuses("noop", "noop", "[]", "not a JSON object");
	refuses("noop", "noop", "{\"sleep\": 5}", "sleep");
	refuses("noop", "noop", "{\"sleep_ms\": -1}", "sleep_ms");
	refuses("noop", "noop", "{\"fail\": \"maybe\"}", "fail");
}
END_TEST

/* Whoever runs a command under a name of his own says himself what is on its stdin. */
START_TEST(families_of_ones_own_take_any_object)
{
	refuses("command", "command", "{}", "name");
	refuses("command", "command", "{\"name\": \"a\", \"args\": [1]}", "args");
	accepts("command", "command", "{\"name\": \"a\", \"args\": [\"b\"]}");
	accepts("command", "thumbnails", "{\"width\": 100}");
	refuses("command", "thumbnails", "[]", "not a JSON object");
	refuses("noop", "nothing", "{\"width\": 100}", "width");
}
END_TEST

Suite *suite_family(void)
{
	const TTest *const tests[] = {
		every_family_is_seeded_as_it_is,
		docs_say_what_the_tables_say,
		families_are_found_by_name,
		payloads_are_checked,
		families_of_ones_own_take_any_object,
		NULL,
	};

	return suite_of("family", tests);
}
