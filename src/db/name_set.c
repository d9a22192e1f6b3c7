/* SPDX-License-Identifier: PostgreSQL */
/* Names of prepared statements; a few dozen at most, so a list does. */
#include "db/name_set.h"

#include "base/mem.h"

struct name_set {
	int count;
	int size;
	const char *names[];
};

bool name_set_has(const struct name_set *set, const char *name)
{
	for (int i = 0; set && i < set->count; i++)
		if (set->names[i] == name)
			return true;
	return false;
}

void name_set_add(struct name_set **set, const char *name)
{
	int count = *set ? (*set)->count : 0;

	if (!*set || count == (*set)->size) {
		int size = count + 16;

		*set = xrealloc(*set, sizeof(**set) + (size_t)size * sizeof(name));
		(*set)->size = size;
	}
	(*set)->names[count] = name;
	(*set)->count = count + 1;
}

void name_set_free(struct name_set *set)
{
	free(set);
}
