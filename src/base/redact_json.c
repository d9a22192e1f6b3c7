/* SPDX-License-Identifier: PostgreSQL */
/* JSON values, string by string. */
#include "base/redact_json.h"

#include <string.h>

#include "base/mem.h"
#include "base/redact.h"

static void redact_in_place(json_t *value);

static void redact_string(json_t *string)
{
	const char *text = json_string_value(string);
	char *clean CLEANUP(free_ptr) = redact_dup(text);

	/* Nothing looks behind a NUL character. */
	json_string_set(string, strlen(text) == json_string_length(string) ? clean : REDACT_MASK);
}

static void redact_members(json_t *object)
{
	const char *name;
	json_t *value;

	json_object_foreach (object, name, value) {
		if (redact_is_secret_name(name) && (json_is_string(value) || json_is_number(value)))
			json_object_set_new(object, name, json_string(REDACT_MASK));
		else
			redact_in_place(value);
	}
}

static void redact_in_place(json_t *value)
{
	size_t i;
	json_t *item;

	if (json_is_string(value))
		redact_string(value);
	if (json_is_object(value))
		redact_members(value);
	json_array_foreach (value, i, item) {
		redact_in_place(item);
	}
}

json_t *redact_json(const json_t *value)
{
	json_t *copy = json_deep_copy(value);

	redact_in_place(copy);
	return copy;
}
