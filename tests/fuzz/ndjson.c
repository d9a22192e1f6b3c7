/* SPDX-License-Identifier: PostgreSQL */
/* cli/ndjson.h: as many objects as lines, or an error that names one. */
#include "cli/ndjson.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "fuzz.h"

static int file_of(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	assert(fd >= 0 && write(fd, data, size) == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ndjson file = {.name = "x", .fd = file_of(data, size), .size = -1};
	struct ndjson_object object = {0};
	struct err e = {0};
	int64_t count = 0;
	bool ok;

	while ((ok = ndjson_next(&file, &object, &e)) && object.text) {
		assert(json_is_object(object.json) && !memchr(object.text, '\n', object.length));
		assert(file.line == ++count);
		json_decref(object.json);
	}
	assert(ok || (e.kind == ERR_CONFIG && strncmp(e.text, "x:", 2) == 0));
	assert(!ok || file.read == (int64_t)size);
	ndjson_close(&file);
	return 0;
}
