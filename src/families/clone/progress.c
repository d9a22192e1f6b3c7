/* SPDX-License-Identifier: PostgreSQL */
/* One bar for two kinds of bytes. */
#include "families/clone/progress.h"

static int64_t to_compare(const struct clone *clone)
{
	return clone->verify == CLONE_VERIFY_NONE ? 0 : clone->table_bytes;
}

void progress_piped(struct clone *clone)
{
	int64_t piped = clone->piped_bytes;
	/* One byte short of it, so that the bar is not full before the dump is restored. */
	int64_t dump = piped < clone->table_bytes ? clone->table_bytes : piped + 1;

	attempt_progress(clone->attempt, piped, dump + to_compare(clone), "bytes");
}

void progress_verified(struct clone *clone, int64_t compared_bytes)
{
	int64_t total = clone->piped_bytes + to_compare(clone);
	int64_t done = clone->piped_bytes + compared_bytes;

	attempt_progress(clone->attempt, done < total ? done : total - 1, total, "bytes");
}

void progress_complete(struct clone *clone)
{
	int64_t total = clone->piped_bytes + to_compare(clone);

	attempt_progress(clone->attempt, total, total, "bytes");
}
