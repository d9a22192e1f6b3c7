/* SPDX-License-Identifier: PostgreSQL */
/* For clang-tidy, which would follow paths that do not exist: it cannot see into these. */
#include <uthash.h>

#include "base/err.h"

/* Failing is false. */
#define err_set(...) ((void)err_set(__VA_ARGS__), false)
#define err_code(...) ((void)err_code(__VA_ARGS__), false)
#define err_errno(...) ((void)err_errno(__VA_ARGS__), false)
#define err_in(...) ((void)err_in(__VA_ARGS__), false)

/* What is taken out of a hash is not met there again. */
void *hash_without(const void *head, const void *item);
#undef HASH_DEL
#define HASH_DEL(head, item) ((head) = hash_without((head), (item)))
