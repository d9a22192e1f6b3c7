/* SPDX-License-Identifier: PostgreSQL */
/* The jobs that a worker holds. */
#include "queue/lease.h"

#include "base/mem.h"

static const char *const result_names[] = {
	[RESULT_SUCCEEDED] = "succeeded",
	[RESULT_FAILED] = "failed",
	[RESULT_CANCELLED] = "cancelled",
	[RESULT_RETURNED] = "returned",
};

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
	free(lease->kind);
	free(lease->payload);
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
	return a->ticket < b->ticket ? -1 : a->ticket > b->ticket;
}
