/* SPDX-License-Identifier: PostgreSQL */
/* Allocation that aborts, and arenas. */
#include "base/mem.h"

#include <stdalign.h>

/* Blocks grow with what is asked; the newest stands first and is the one that is filled. */
struct arena_block {
	struct arena_block *next;
	size_t size;
	size_t used;
	alignas(max_align_t) char bytes[];
};

enum { ARENA_BLOCK_BYTES = 8192 };

static void *checked(void *block)
{
	if (!block) {
		static const char message[] = "athena: out of memory\n";

		if (write(STDERR_FILENO, message, sizeof(message) - 1) < 0)
			abort();
		abort();
	}
	return block;
}

void *xmalloc(size_t bytes)
{
	return checked(malloc(bytes ? bytes : 1));
}

void *xcalloc(size_t count, size_t bytes)
{
	return checked(calloc(count ? count : 1, bytes ? bytes : 1));
}

void *xrealloc(void *block, size_t bytes)
{
	return checked(realloc(block, bytes ? bytes : 1));
}

void *xreallocarray(void *block, size_t count, size_t bytes)
{
	return checked(reallocarray(block, count ? count : 1, bytes ? bytes : 1));
}

char *xstrdup(const char *text)
{
	return checked(strdup(text));
}

char *xstrndup(const char *text, size_t bytes)
{
	return checked(strndup(text, bytes));
}

char *xvasprintf(const char *fmt, va_list ap)
{
	char *text = NULL;

	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	return checked(text);
}

char *xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	return text;
}

static struct arena_block *arena_grow(struct arena *arena, size_t bytes)
{
	size_t size = bytes > ARENA_BLOCK_BYTES ? bytes : ARENA_BLOCK_BYTES;
	struct arena_block *block = xmalloc(sizeof(*block) + size);

	block->next = arena->blocks;
	block->size = size;
	block->used = 0;
	arena->blocks = block;
	return block;
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
	size_t rounded = (bytes + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	struct arena_block *block = arena->blocks;
	void *result;

	if (!block || block->size - block->used < rounded)
		block = arena_grow(arena, rounded);
	result = block->bytes + block->used;
	block->used += rounded;
	return result;
}

char *arena_strdup(struct arena *arena, const char *text)
{
	size_t bytes = strlen(text) + 1;

	return memcpy(arena_alloc(arena, bytes), text, bytes);
}

char *arena_printf(struct arena *arena, const char *fmt, ...)
{
	va_list ap;
	char *text CLEANUP(free_ptr) = NULL;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	return arena_strdup(arena, text);
}

void arena_clear(struct arena *arena)
{
	while (arena->blocks) {
		struct arena_block *next = arena->blocks->next;

		free(arena->blocks);
		arena->blocks = next;
	}
}
