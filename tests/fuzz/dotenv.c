/* SPDX-License-Identifier: PostgreSQL */
/* config/dotenv.h: names are names, the first of a name is found, warnings quote no value. */
#include "config/dotenv.h"

#include <string.h>

#include "fuzz.h"

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text CLEANUP(free_ptr) = xstrndup((const char *)data, size);
	struct buf warnings CLEANUP(buf_clear) = {0};
	struct dotenv dotenv = {0};
	struct arena arena = {0};

	dotenv_parse(&dotenv, &arena, ".env", text, &warnings);
	for (size_t i = 0; i < dotenv.count; i++) {
		const struct dotenv_entry *entry = &dotenv.entries[i];

		assert(strspn(entry->name, letters) == strlen(entry->name) && *entry->name);
		assert(strlen(entry->value) <= strlen(text));
		assert(dotenv_find(&dotenv, entry->name) != NULL);
	}
	assert(warnings.length == 0 || warnings.bytes[warnings.length - 1] == '\n');
	dotenv_clear(&dotenv);
	arena_clear(&arena);
	return 0;
}
