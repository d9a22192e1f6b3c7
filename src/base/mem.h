/* SPDX-License-Identifier: PostgreSQL */
/*
 * Memory: allocation that aborts when there is none, release at the end of a scope, arenas.
 *
 * Out of memory aborts the process. For an executor that costs one attempt, for a worker its
 * leases run out and others take over: both are paths that are tested for other reasons.
 *
 * Ownership words: x_init/x_clear work on the caller's storage, x_new/x_free on the heap; x_free
 * accepts NULL. A local marked CLEANUP(...) is released when its scope ends; hand it out with
 * TAKE().
 */
#ifndef ATHENA_BASE_MEM_H
#define ATHENA_BASE_MEM_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

#define CLEANUP(release) __attribute__((cleanup(release)))

/* Copies the value out and leaves NULL behind, so that the cleanup has nothing to do. */
#define TAKE(pointer)                                   \
	({                                              \
		__typeof__(pointer) taken_ = (pointer); \
		(pointer) = NULL;                       \
		taken_;                                 \
	})

#define ARRAY_LENGTH(array) (sizeof(array) / sizeof((array)[0]))

void *xmalloc(size_t bytes) __attribute__((malloc, returns_nonnull));
void *xcalloc(size_t count, size_t bytes) __attribute__((malloc, returns_nonnull));
void *xrealloc(void *block, size_t bytes) __attribute__((returns_nonnull));
void *xreallocarray(void *block, size_t count, size_t bytes) __attribute__((returns_nonnull));
char *xstrdup(const char *text) __attribute__((malloc, returns_nonnull));
char *xstrndup(const char *text, size_t bytes) __attribute__((malloc, returns_nonnull));
char *xasprintf(const char *fmt, ...) PRINTF_LIKE(1, 2) __attribute__((malloc, returns_nonnull));
char *xvasprintf(const char *fmt, va_list ap) PRINTF_LIKE(1, 0)
	__attribute__((malloc, returns_nonnull));

/*
 * An arena hands out memory that is released all at once: one per attempt, one per request. Only
 * strings and plain records live in it, nothing that has a destructor.
 */
struct arena {
	struct arena_block *blocks;
};

void *arena_alloc(struct arena *arena, size_t bytes) __attribute__((returns_nonnull));
char *arena_strdup(struct arena *arena, const char *text) __attribute__((returns_nonnull));
char *arena_printf(struct arena *arena, const char *fmt, ...) PRINTF_LIKE(2, 3)
	__attribute__((returns_nonnull));
void arena_clear(struct arena *arena);

/* For CLEANUP(): each takes the address of the local. */
static inline void free_ptr(void *pointer)
{
	free(*(void **)pointer);
}

static inline void close_fd(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void close_file(FILE **file)
{
	if (*file)
		fclose(*file);
}

#endif
