/* SPDX-License-Identifier: PostgreSQL */
/* Optimal string alignment distance of short words. */
#include "base/nearest.h"

#include <string.h>

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Three rows of the usual matrix: the one being filled and the two above it. */
static size_t distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
	size_t rows[3][NEAREST_LONGEST + 1];

	for (size_t j = 0; j <= b_length; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= a_length; i++) {
		size_t *row = rows[i % 3];
		const size_t *above = rows[(i + 2) % 3];
		const size_t *above2 = rows[(i + 1) % 3];

		row[0] = i;
		for (size_t j = 1; j <= b_length; j++) {
			row[j] = least(least(above[j], row[j - 1]) + 1,
				above[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = least(row[j], above2[j - 2] + 1);
		}
	}
	return rows[a_length % 3][b_length];
}

void nearest_try(struct nearest *nearest, const char *word)
{
	size_t typed_length = strlen(nearest->typed);
	size_t length = strlen(word);
	size_t found;

	if (typed_length > NEAREST_LONGEST || length > NEAREST_LONGEST)
		return;
	found = distance(nearest->typed, typed_length, word, length);
	if (found > (length + 2) / 3 || (nearest->word[0] && found >= nearest->distance))
		return;
	memcpy(nearest->word, word, length + 1);
	nearest->distance = found;
}

void nearest_hint(const struct nearest *nearest, struct buf *out)
{
	if (nearest->word[0])
		buf_printf(out, ", did you mean \"%s\"?", nearest->word);
}
