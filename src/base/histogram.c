/* SPDX-License-Identifier: PostgreSQL */
/* Counts by upper bounds. */
#include "base/histogram.h"

const double histogram_bounds_s[HISTOGRAM_BOUNDS] = {0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1,
	0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000};

void histogram_observe(struct histogram *histogram, double seconds, uint64_t times)
{
	int i = 0;

	if (seconds < 0)
		seconds = 0;
	while (i < HISTOGRAM_BOUNDS && seconds > histogram_bounds_s[i])
		i++;
	histogram->counts[i] += times;
	histogram->sum_s += seconds * (double)times;
}
