/* SPDX-License-Identifier: PostgreSQL */
/* Values against the rows of an option table. */
#include "config/option.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/nearest.h"

static const struct {
	const char *suffix;
	int64_t ms;
} units[] = {
	{"d", 86400000},
	{"h", 3600000},
	{"m", 60000},
	{"s", 1000},
	{"", 1000}, /* what is written without a unit */
	{"ms", 1},
};

/* What each type is called in athena.families.payload_keys. */
static const char *const type_names[] = {
	[OPTION_TEXT] = "string",
	[OPTION_BOOL] = "boolean",
	[OPTION_INT] = "integer",
	[OPTION_DURATION] = "duration",
	[OPTION_WORD] = "string",
	[OPTION_LIST] = "array",
	[OPTION_INTS] = "array",
	[OPTION_OBJECT] = "object",
};

static bool has_bounds(const struct option_row *row)
{
	return row->min != 0 || row->max != 0;
}

static bool is_within(const struct option_row *row, int64_t number)
{
	return !has_bounds(row) || (number >= row->min && number <= row->max);
}

/*
 * Text to values.
 */

/* A whole decimal number with nothing around it. */
static bool read_int(const char *text, int64_t *ret_number)
{
	char *end;
	long long number;

	if (strspn(text, "-0123456789") == 0 || text[strspn(text, "-0123456789")] != '\0')
		return false;
	errno = 0;
	number = strtoll(text, &end, 10);
	if (errno != 0 || *end != '\0')
		return false;
	*ret_number = number;
	return true;
}

static bool read_bool(const char *text, bool *ret_truth)
{
	static const char *const words[][2] = {
		{"false", "true"}, {"no", "yes"}, {"off", "on"}, {"0", "1"}};

	for (size_t i = 0; i < ARRAY_LENGTH(words); i++)
		for (int truth = 0; truth < 2; truth++)
			if (strcasecmp(text, words[i][truth]) == 0) {
				*ret_truth = truth;
				return true;
			}
	return false;
}

static bool read_duration(const char *text, int64_t *ret_ms)
{
	size_t digits = strspn(text, "0123456789");
	char number[20];
	int64_t count, ms;

	if (digits == 0 || digits >= sizeof(number))
		return false;
	memcpy(number, text, digits);
	number[digits] = '\0';
	if (!read_int(number, &count))
		return false;
	for (size_t i = 0; i < ARRAY_LENGTH(units); i++)
		if (strcmp(text + digits, units[i].suffix) == 0 &&
			!__builtin_mul_overflow(count, units[i].ms, &ms)) {
			*ret_ms = ms;
			return true;
		}
	return false;
}

bool option_duration_ms(const char *text, int64_t *ret_ms, struct err *e)
{
	if (read_duration(text, ret_ms))
		return true;
	return err_set(e, ERR_PERMANENT, "\"%.40s\" is no duration such as 90s, 5m or 250ms", text);
}

void option_duration_text(int64_t ms, struct buf *out)
{
	size_t unit = 0;

	if (ms == 0) {
		buf_text(out, "0s");
		return;
	}
	while (*units[unit].suffix == '\0' || ms % units[unit].ms != 0)
		unit++;
	buf_printf(out, "%" PRId64 "%s", ms / units[unit].ms, units[unit].suffix);
}

static json_t *read_list(const struct option_row *row, const char *text)
{
	json_t *list = json_array();

	while (*text) {
		size_t length = strcspn(text, ",");
		char *word CLEANUP(free_ptr) = xstrndup(text, length);
		int64_t number;

		if (row->type == OPTION_INTS && read_int(word, &number))
			json_array_append_new(list, json_integer(number));
		else
			json_array_append_new(list, json_string(word));
		text += length + (text[length] == ',');
	}
	return list;
}

json_t *option_from_text(const struct option_row *row, const char *text)
{
	json_t *value;
	int64_t number;
	bool truth;

	if (row->type == OPTION_BOOL && read_bool(text, &truth))
		return json_boolean(truth);
	if (row->type == OPTION_INT && read_int(text, &number))
		return json_integer(number);
	if (row->type == OPTION_LIST || row->type == OPTION_INTS)
		return read_list(row, text);
	value = json_string(text);
	return value ? value : json_null();
}

/*
 * What is expected, in words.
 */

static void add_number(const struct option_row *row, int64_t number, struct buf *out)
{
	if (row->type == OPTION_DURATION)
		option_duration_text(number, out);
	else
		buf_printf(out, "%" PRId64, number);
}

static void add_bounds(const struct option_row *row, struct buf *out)
{
	if (!has_bounds(row))
		return;
	buf_text(out, " from ");
	add_number(row, row->min, out);
	buf_text(out, " to ");
	add_number(row, row->max, out);
}

void option_expected(const struct option_row *row, struct buf *out)
{
	static const char *const texts[] = {
		[OPTION_TEXT] = "a string",
		[OPTION_BOOL] = "true or false",
		[OPTION_INT] = "a whole number",
		[OPTION_DURATION] = "a duration (90s, 5m, 250ms)",
		[OPTION_WORD] = "one of ",
		[OPTION_LIST] = "a list of strings",
		[OPTION_INTS] = "a list of whole numbers",
		[OPTION_OBJECT] = "an object",
	};

	buf_text(out, texts[row->type]);
	add_bounds(row, out);
	for (const char *at = row->type == OPTION_WORD ? row->words : ""; *at; at++) {
		if (*at == '|')
			buf_text(out, ", ");
		else
			buf_char(out, *at);
	}
}

/* A scalar as it stands, but no long one and no secret; of all others the kind. */
static void add_found(const struct option_row *row, const json_t *value, struct buf *out)
{
	static const char *const kinds[] = {
		[JSON_OBJECT] = "an object",
		[JSON_ARRAY] = "a list",
		[JSON_STRING] = "a string",
		[JSON_INTEGER] = "a number",
		[JSON_REAL] = "a number",
		[JSON_TRUE] = "true",
		[JSON_FALSE] = "false",
		[JSON_NULL] = "null",
	};
	char *text CLEANUP(free_ptr) = NULL;

	if (!(row->flags & OPTION_SECRET) && !json_is_array(value) && !json_is_object(value))
		text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
	if (text && strlen(text) <= 40)
		buf_text(out, text);
	else
		buf_text(out, kinds[json_typeof(value)]);
}

static bool refuse(
	const struct option_row *row, const json_t *value, const char *where, struct err *e)
{
	struct buf text CLEANUP(buf_clear) = {0};

	option_expected(row, &text);
	buf_text(&text, ", not ");
	add_found(row, value, &text);
	return err_set(e, ERR_PERMANENT, "%s: \"%s\" must be %s", where, row->name, text.bytes);
}

/*
 * Checks.
 */

/* As in the trigger's check, 5.0 is a whole number. */
static bool as_int(const json_t *value, int64_t *ret_number)
{
	double real = json_number_value(value);

	if (json_is_integer(value)) {
		*ret_number = json_integer_value(value);
		return true;
	}
	if (!json_is_real(value) || real < -9e15 || real > 9e15 || real != (double)(int64_t)real)
		return false;
	*ret_number = (int64_t)real;
	return true;
}

/* A string with a unit, or a number of seconds. */
static bool as_duration(const json_t *value, int64_t *ret_ms)
{
	double seconds = json_number_value(value);

	if (json_is_string(value))
		return read_duration(json_string_value(value), ret_ms);
	if (!json_is_number(value) || seconds < 0 || seconds > 9e12)
		return false;
	*ret_ms = (int64_t)(seconds * 1000);
	return true;
}

static bool is_word(const struct option_row *row, const json_t *value)
{
	const char *word = json_string_value(value);
	size_t length;

	if (!word)
		return false;
	for (const char *at = row->words; *at; at += length + (at[length] == '|')) {
		length = strcspn(at, "|");
		if (strlen(word) == length && strncmp(at, word, length) == 0)
			return true;
	}
	return false;
}

static bool is_list(const struct option_row *row, const json_t *value)
{
	size_t i;
	json_t *item;
	int64_t number;

	json_array_foreach (value, i, item) {
		if (row->type == OPTION_LIST && !json_is_string(item))
			return false;
		if (row->type == OPTION_INTS && !(as_int(item, &number) && is_within(row, number)))
			return false;
	}
	return json_is_array(value);
}

static bool is_valid(const struct option_row *row, const json_t *value)
{
	int64_t number;

	switch (row->type) {
	case OPTION_TEXT:
		return json_is_string(value);
	case OPTION_BOOL:
		return json_is_boolean(value);
	case OPTION_INT:
		return as_int(value, &number) && is_within(row, number);
	case OPTION_DURATION:
		return as_duration(value, &number) && is_within(row, number);
	case OPTION_WORD:
		return is_word(row, value);
	case OPTION_LIST:
	case OPTION_INTS:
		return is_list(row, value);
	case OPTION_OBJECT:
		return json_is_object(value);
	}
	return false;
}

bool option_check(
	const struct option_row *row, const json_t *value, const char *where, struct err *e)
{
	return is_valid(row, value) || refuse(row, value, where, e);
}

static bool refuse_key(
	const struct option_row *table, const char *key, const char *where, struct err *e)
{
	struct nearest nearest = {.typed = key};
	struct buf text CLEANUP(buf_clear) = {0};

	for (const struct option_row *row = table; row->name; row++) {
		buf_printf(&text, "%s%s", row == table ? " (known: " : ", ", row->name);
		nearest_try(&nearest, row->name);
	}
	buf_text(&text, table->name ? ")" : "");
	nearest_hint(&nearest, &text);
	return err_set(e, ERR_PERMANENT, "%s: unknown key \"%.64s\"%s", where, key, text.bytes);
}

/* jansson's iterators take no const object, though they change nothing. */
static json_t *iterable(const json_t *object)
{
	union {
		const json_t *given;
		json_t *iterated;
	} both = {object};

	return both.iterated;
}

bool option_check_object(
	const struct option_row *table, const json_t *object, const char *where, struct err *e)
{
	const char *key;
	json_t *value;

	if (!json_is_object(object))
		return err_set(e, ERR_PERMANENT, "%s must be an object", where);
	for (const struct option_row *row = table; row->name; row++)
		if ((row->flags & OPTION_REQUIRED) && !json_object_get(object, row->name))
			return err_set(
				e, ERR_PERMANENT, "%s: missing key \"%s\"", where, row->name);
	json_object_foreach (iterable(object), key, value) {
		const struct option_row *row = option_find(table, key);

		if (!row)
			return refuse_key(table, key, where, e);
		if (!option_check(row, value, where, e))
			return false;
	}
	return true;
}

/*
 * Reading.
 */

const struct option_row *option_find(const struct option_row *table, const char *name)
{
	for (const struct option_row *row = table; row->name; row++)
		if (strcmp(row->name, name) == 0)
			return row;
	return NULL;
}

static const struct option_row *option_get(const struct option_row *table, const char *name)
{
	const struct option_row *row = option_find(table, name);

	assert(row);
	return row;
}

const char *option_text(const struct option_row *table, const json_t *object, const char *name)
{
	const struct option_row *row = option_get(table, name);
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : row->fallback;
}

/* The value that was given, or that of the default; NULL without either. The caller owns it. */
static json_t *value_of(const struct option_row *row, const json_t *object)
{
	json_t *given = json_object_get(object, row->name);

	if (given)
		return json_incref(given);
	return row->fallback ? option_from_text(row, row->fallback) : NULL;
}

int64_t option_int(const struct option_row *table, const json_t *object, const char *name)
{
	const struct option_row *row = option_get(table, name);
	json_auto_t *value = value_of(row, object);
	int64_t number = 0;
	bool is_read = true;

	assert(row->type == OPTION_INT || row->type == OPTION_DURATION);
	if (value && row->type == OPTION_INT)
		is_read = as_int(value, &number);
	else if (value)
		is_read = as_duration(value, &number);
	assert(is_read);
	return number;
}

bool option_bool(const struct option_row *table, const json_t *object, const char *name)
{
	const struct option_row *row = option_get(table, name);
	json_auto_t *value = value_of(row, object);

	assert(row->type == OPTION_BOOL);
	return json_is_true(value);
}

static json_t *words_json(const char *words)
{
	json_t *list = json_array();
	size_t length;

	for (; *words; words += length + (words[length] == '|')) {
		length = strcspn(words, "|");
		json_array_append_new(list, json_stringn(words, length));
	}
	return list;
}

json_t *option_keys_json(const struct option_row *table)
{
	json_t *keys = json_object();

	for (const struct option_row *row = table; row->name; row++) {
		json_t *key = json_pack("{s:s}", "type", type_names[row->type]);

		if (row->flags & OPTION_REQUIRED)
			json_object_set_new(key, "required", json_true());
		if (row->type == OPTION_INT && has_bounds(row)) {
			json_object_set_new(key, "min", json_integer(row->min));
			json_object_set_new(key, "max", json_integer(row->max));
		}
		if (row->type == OPTION_WORD)
			json_object_set_new(key, "enum", words_json(row->words));
		json_object_set_new(keys, row->name, key);
	}
	return keys;
}
