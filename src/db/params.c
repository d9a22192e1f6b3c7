/* SPDX-License-Identifier: PostgreSQL */
/* Statement parameters that own their text. */
#include "db/params.h"

#include <assert.h>
#include <inttypes.h>

#include "base/buf.h"
#include "base/mem.h"

void params_give(struct params *params, char *text)
{
	assert(params->count < PARAMS_MAX);
	params->values[params->count++] = text;
}

void params_null(struct params *params)
{
	params_give(params, NULL);
}

void params_text(struct params *params, const char *text)
{
	params_give(params, text ? xstrdup(text) : NULL);
}

void params_i64(struct params *params, int64_t number)
{
	params_give(params, xasprintf("%" PRId64, number));
}

void params_f64(struct params *params, double number)
{
	params_give(params, xasprintf("%.17g", number));
}

void params_bool(struct params *params, bool value)
{
	params_text(params, value ? "t" : "f");
}

/* Postgres 14 reads no field of an interval that exceeds 32 bits: in ms that is 25 days. */
char *interval_text(int64_t interval_ms)
{
	return xasprintf("%" PRId64 ".%03d s", interval_ms / 1000, (int)(interval_ms % 1000));
}

void params_ms(struct params *params, int64_t interval_ms)
{
	if (interval_ms < 0)
		params_null(params);
	else
		params_give(params, interval_text(interval_ms));
}

void params_i64s(struct params *params, const int64_t *numbers, size_t count)
{
	struct buf text = {0};

	buf_char(&text, '{');
	for (size_t i = 0; i < count; i++) {
		if (i)
			buf_char(&text, ',');
		buf_i64(&text, numbers[i]);
	}
	buf_char(&text, '}');
	params_give(params, buf_take(&text));
}

static void add_quoted(struct buf *text, const char *element)
{
	buf_char(text, '"');
	for (; *element; element++) {
		if (*element == '"' || *element == '\\')
			buf_char(text, '\\');
		buf_char(text, *element);
	}
	buf_char(text, '"');
}

void params_texts(struct params *params, const char *const *texts, size_t count)
{
	struct buf text = {0};

	buf_char(&text, '{');
	for (size_t i = 0; i < count; i++) {
		if (i)
			buf_char(&text, ',');
		if (texts[i])
			add_quoted(&text, texts[i]);
		else
			buf_text(&text, "NULL");
	}
	buf_char(&text, '}');
	params_give(params, buf_take(&text));
}

void params_clear(struct params *params)
{
	for (int i = 0; i < params->count; i++)
		free(params->values[i]);
	params->count = 0;
}
