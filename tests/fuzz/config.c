/* SPDX-License-Identifier: PostgreSQL */
/* config.yaml, and after a line of dashes the .env beside it: loaded as a program does. */
#include "config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "families/family.h"
#include "fuzz.h"

static char folder[] = "/tmp/athena-fuzz.XXXXXX";
static char config_path[64], env_path[64];

static void leave(void)
{
	unlink(config_path);
	unlink(env_path);
	rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	clearenv();
	if (!mkdtemp(folder))
		abort();
	snprintf(config_path, sizeof(config_path), "%s/config.yaml", folder);
	snprintf(env_path, sizeof(env_path), "%s/.env", folder);
	atexit(leave);
	return 0;
}

static void put(const char *path, const uint8_t *bytes, size_t length)
{
	FILE *file CLEANUP(close_file) = fopen(path, "we");

	assert(file);
	fwrite(bytes, 1, length, file);
}

/* All that is reachable is there, and its entries are what families can be asked about. */
static void look_at(const struct config *config)
{
	json_t *list = config_list(config);
	char *text = json_dumps(list, 0);
	struct err e;

	assert(text);
	free(text);
	json_decref(list);
	for (size_t i = 0; i < config->family_count; i++) {
		const struct config_family *entry = &config->families[i];

		assert(config_family_find(config, entry->name) && entry->run && entry->env);
		assert(entry->concurrency > 0 && entry->lease_ms >= 0 && entry->timeout_ms >= 0);
		if (!family_check_entry(entry, &e))
			assert(e.kind == ERR_CONFIG && e.text[0]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char dashes[] = "\n-----\n";
	const uint8_t *middle = memmem(data, size, dashes, strlen(dashes));
	size_t length = middle ? (size_t)(middle - data) : size;
	struct config *config CLEANUP(config_clear) = NULL;
	struct err e = {0};

	put(config_path, data, length);
	unlink(env_path);
	if (middle)
		put(env_path, middle + strlen(dashes), size - length - strlen(dashes));
	if (config_load(config_path, &config, &e))
		look_at(config);
	else
		assert(e.kind == ERR_CONFIG && e.text[0] && !config);
	return 0;
}
