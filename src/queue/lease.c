/* SPDX-License-Identifier: PostgreSQL */
/* The jobs that a worker holds. */
#include "queue/lease.h"

#include "base/mem.h"
#include "queue/chunk.h"

static const char *const result_names[] = {
	[RESULT_SUCCEEDED] = "succeeded",
	[RESULT_FAILED] = "failed",
	[RESULT_CANCELLED] = "cancelled",
	[RESULT_RETURNED] = "returned",
	[RESULT_PARKED] = "parked",
	[RESULT_APART] = "apart",
};

/* One block: there are tens of thousands a second. */
struct lease *lease_new(const char *kind, const char *payload)
{
	size_t kind_size = kind ? strlen(kind) + 1 : 0;
	size_t payload_size = payload ? strlen(payload) + 1 : 0;
	struct lease *lease = xmalloc(sizeof(*lease) + kind_size + payload_size);
	char *texts = (char *)(lease + 1);

	*lease = (struct lease){.jobs = 1};
	if (kind)
		lease->kind = memcpy(texts, kind, kind_size);
	if (payload)
		lease->payload = memcpy(texts + kind_size, payload, payload_size);
	lease->payload_bytes = payload_size;
	return lease;
}

void lease_table_add(struct lease_table *table, struct lease *lease)
{
	HASH_ADD(hh, table->by_ticket, ticket, sizeof(lease->ticket), lease);
}

struct lease *lease_table_find(const struct lease_table *table, int64_t ticket)
{
	struct lease *lease;

	HASH_FIND(hh, table->by_ticket, &ticket, sizeof(ticket), lease);
	return lease;
}

int lease_table_count(const struct lease_table *table)
{
	return (int)HASH_COUNT(table->by_ticket);
}

static void result_clear(struct result *result)
{
	free(result->error_kind);
	free(result->code);
	free(result->error);
	*result = (struct result){0};
}

void lease_table_drop(struct lease_table *table, struct lease *lease)
{
	HASH_DEL(table->by_ticket, lease);
	result_clear(&lease->result);
	free(lease->answers);
	chunk_free(lease->chunk);
	free(lease);
}

static char *copied(const char *text)
{
	return text && text[0] ? xstrdup(text) : NULL;
}

void lease_set_result(struct lease *lease, enum result_kind kind, const char *error_kind,
	const char *code, const char *error)
{
	struct result result = {
		.kind = kind,
		.error_kind = copied(error_kind),
		.code = copied(code),
		.error = copied(error),
	};

	result_clear(&lease->result);
	lease->result = result;
}

const char *result_name(enum result_kind kind)
{
	return result_names[kind];
}

int lease_compare(const struct lease *a, const struct lease *b)
{
	if (a->priority != b->priority)
		return a->priority < b->priority ? -1 : 1;
	return a->last_ticket < b->last_ticket ? -1 : a->last_ticket > b->last_ticket;
}
