/* SPDX-License-Identifier: PostgreSQL */
/* A payload, as each built-in family checks it: under its own name, and under another's. */
#include <string.h>

#include "base/mem.h"
#include "base/redact_json.h"
#include "families/family.h"
#include "fuzz.h"

static void check(const struct family *family, const char *name, const json_t *payload)
{
	struct err e = {0};

	if (!family_check(family, name, payload, &e))
		assert(e.kind != ERR_NONE && e.text[0] && strlen(e.text) < sizeof(e.text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_auto_t *payload = json_loadb(
		(const char *)data, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
	json_auto_t *shown = redact_json(payload);
	char *text CLEANUP(free_ptr) = shown ? json_dumps(shown, JSON_ENCODE_ANY) : NULL;

	assert(!payload == !text);
	for (size_t i = 0; json_is_object(payload) && families[i]; i++) {
		check(families[i], families[i]->name, payload);
		check(families[i], "own", payload);
	}
	return 0;
}
