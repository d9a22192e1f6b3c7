/* SPDX-License-Identifier: PostgreSQL */
/* Two sorted lists side by side. */
#include "families/clone/compare.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

void facts_add(struct facts *facts, const char *kind, const char *name, const char *definition)
{
	if (facts->count == facts->size) {
		facts->size = facts->size ? 2 * facts->size : 64;
		facts->rows = xreallocarray(facts->rows, facts->size, sizeof(*facts->rows));
	}
	facts->rows[facts->count++] = (struct fact){
		.kind = xstrdup(kind),
		.name = xstrdup(name ? name : ""),
		.definition = xstrdup(definition ? definition : ""),
	};
}

void facts_clear(struct facts *facts)
{
	for (size_t i = 0; i < facts->count; i++) {
		free(facts->rows[i].kind);
		free(facts->rows[i].name);
		free(facts->rows[i].definition);
	}
	free(facts->rows);
	*facts = (struct facts){0};
}

/* FNV-1a, the NUL included, so that no two texts run into each other. */
static uint64_t digest_text(uint64_t digest, const char *text)
{
	do
		digest = (digest ^ (unsigned char)*text) * 0x100000001b3u;
	while (*text++);
	return digest;
}

uint64_t facts_digest(const struct facts *facts)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < facts->count; i++) {
		uint64_t digest = 0xcbf29ce484222325u;

		digest = digest_text(digest, facts->rows[i].kind);
		digest = digest_text(digest, facts->rows[i].name);
		sum += digest_text(digest, facts->rows[i].definition);
	}
	return sum;
}

static int order_names(const struct fact *a, const struct fact *b)
{
	int order = strcmp(a->kind, b->kind);

	return order ? order : strcmp(a->name, b->name);
}

/* By definition last: should a name ever stand twice, both sides have it in the same order. */
static int order_facts(const void *a, const void *b)
{
	const struct fact *one = a, *other = b;
	int order = order_names(one, other);

	return order ? order : strcmp(one->definition, other->definition);
}

static void sort(struct facts *facts)
{
	if (facts->count > 1)
		qsort(facts->rows, facts->count, sizeof(*facts->rows), order_facts);
}

size_t facts_compare(struct facts *source, struct facts *target,
	void (*each)(void *context, const struct difference *difference), void *context)
{
	size_t s = 0, t = 0, differences = 0;

	sort(source);
	sort(target);
	while (s < source->count || t < target->count) {
		const struct fact *one = s < source->count ? &source->rows[s] : NULL;
		const struct fact *other = t < target->count ? &target->rows[t] : NULL;
		int order = !one ? 1 : !other ? -1 : order_names(one, other);
		struct difference difference;

		assert(one || other);
		difference = (struct difference){
			.kind = order <= 0 ? one->kind : other->kind,
			.name = order <= 0 ? one->name : other->name,
			.source = order <= 0 ? one->definition : NULL,
			.target = order >= 0 ? other->definition : NULL,
		};

		s += order <= 0;
		t += order >= 0;
		if (order == 0 && strcmp(difference.source, difference.target) == 0)
			continue;
		differences++;
		each(context, &difference);
	}
	return differences;
}
