/* SPDX-License-Identifier: PostgreSQL */
/* base/redact.h: a secret that is known comes out nowhere, whatever stands around it. */
#include "base/redact.h"

#include <string.h>

#include "base/mem.h"
#include "fuzz.h"

static const char secret[] = "hunter2";

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	redact_learn(secret);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text CLEANUP(free_ptr) = xstrndup((const char *)data, size);
	char *clean CLEANUP(free_ptr) = redact_dup(text);

	assert(!strstr(clean, secret));
	return 0;
}
