/* SPDX-License-Identifier: PostgreSQL */
/* Prometheus' text format. */
#include "http/exposition.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

/* Backslash and line feed are escaped everywhere, quotes in values of labels only. */
static void add_escaped(struct buf *text, const char *value, char quote)
{
	for (; *value; value++) {
		if (*value == '\\' || (quote && *value == quote))
			buf_char(text, '\\');
		if (*value == '\n')
			buf_text(text, "\\n");
		else
			buf_char(text, *value);
	}
}

void exposition_begin(struct buf *text, const char *name, const char *type, const char *help)
{
	buf_printf(text, "# HELP %s ", name);
	add_escaped(text, help, '\0');
	buf_printf(text, "\n# TYPE %s %s\n", name, type);
}

static void add_label(struct buf *text, bool is_first, const char *name, const char *value)
{
	buf_printf(text, "%c%s=\"", is_first ? '{' : ',', name);
	add_escaped(text, value, '"');
	buf_char(text, '"');
}

/* A name with its labels and one more (name NULL: none), up to the value. */
static void add_series(struct buf *text, const char *name, const char *suffix,
	const struct label *labels, const char *more_name, const char *more_value)
{
	bool is_first = true;

	buf_text(text, name);
	buf_text(text, suffix);
	for (; labels->name; labels++, is_first = false)
		add_label(text, is_first, labels->name, labels->value);
	if (more_name) {
		add_label(text, is_first, more_name, more_value);
		is_first = false;
	}
	buf_text(text, is_first ? " " : "} ");
}

static void add_f64(struct buf *text, double value)
{
	if (isnan(value))
		buf_text(text, "NaN\n");
	else if (isinf(value))
		buf_text(text, value < 0 ? "-Inf\n" : "+Inf\n");
	else
		buf_printf(text, "%.12g\n", value);
}

void exposition_i64(struct buf *text, const char *name, const struct label *labels, int64_t value)
{
	add_series(text, name, "", labels, NULL, NULL);
	buf_printf(text, "%" PRId64 "\n", value);
}

void exposition_f64(struct buf *text, const char *name, const struct label *labels, double value)
{
	add_series(text, name, "", labels, NULL, NULL);
	add_f64(text, value);
}

void exposition_text(
	struct buf *text, const char *name, const struct label *labels, const char *value)
{
	add_series(text, name, "", labels, NULL, NULL);
	buf_printf(text, "%s\n", value);
}

void exposition_histogram(struct buf *text, const char *name, const struct label *labels,
	const struct histogram *histogram)
{
	uint64_t count = 0;
	char bound[32];

	for (int i = 0; i <= HISTOGRAM_BOUNDS; i++) {
		count += histogram->counts[i];
		if (i < HISTOGRAM_BOUNDS)
			snprintf(bound, sizeof(bound), "%g", histogram_bounds_s[i]);
		add_series(
			text, name, "_bucket", labels, "le", i < HISTOGRAM_BOUNDS ? bound : "+Inf");
		buf_printf(text, "%" PRIu64 "\n", count);
	}
	add_series(text, name, "_sum", labels, NULL, NULL);
	add_f64(text, histogram->sum_s);
	add_series(text, name, "_count", labels, NULL, NULL);
	buf_printf(text, "%" PRIu64 "\n", count);
}
