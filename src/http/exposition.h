/* SPDX-License-Identifier: PostgreSQL */
/*
 * Writing Prometheus' text format 0.0.4 into a buffer.
 *
 *     exposition_begin(&text, "athena_queue_depth", "gauge", "Jobs by where they are.");
 *     exposition_i64(&text, "athena_queue_depth", LABELS({"family", "noop"}), 3);
 */
#ifndef ATHENA_HTTP_EXPOSITION_H
#define ATHENA_HTTP_EXPOSITION_H

#include <stdint.h>

#include "base/buf.h"
#include "base/histogram.h"

#define EXPOSITION_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct label {
	const char *name; /* NULL ends the list */
	const char *value;
};

#define LABELS(...) ((const struct label[]){__VA_ARGS__ __VA_OPT__(, ){0}})

/* Before the samples of a metric, which stand together. */
void exposition_begin(struct buf *text, const char *name, const char *type, const char *help);

void exposition_i64(struct buf *text, const char *name, const struct label *labels, int64_t value);
void exposition_f64(struct buf *text, const char *name, const struct label *labels, double value);

/* A number as Postgres writes it. */
void exposition_text(
	struct buf *text, const char *name, const struct label *labels, const char *value);

/* All samples of one histogram. */
void exposition_histogram(struct buf *text, const char *name, const struct label *labels,
	const struct histogram *histogram);

#endif
