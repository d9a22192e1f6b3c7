/* SPDX-License-Identifier: PostgreSQL */
/*
 * How often something took how long: counts by upper bounds, as Prometheus wants them.
 *
 * The bounds are the same for all: 1, 2 and 5 times each power of ten from a millisecond to some
 * hours. Zero-initialise. Observing costs a few comparisons and allocates nothing.
 */
#ifndef ATHENA_BASE_HISTOGRAM_H
#define ATHENA_BASE_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_BOUNDS = 22 };

/* In seconds, ascending. */
extern const double histogram_bounds_s[HISTOGRAM_BOUNDS];

struct histogram {
	uint64_t counts[HISTOGRAM_BOUNDS +
		1]; /* by the least bound that is not below; then: above all */
	double sum_s;
};

/* So many times. What is below 0 (a clock was set back) counts as 0. */
void histogram_observe(struct histogram *histogram, double seconds, uint64_t times);

#endif
