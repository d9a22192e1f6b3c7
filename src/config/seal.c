/* SPDX-License-Identifier: PostgreSQL */
/* A configuration handed on to a child process. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/redact.h"
#include "config/load.h"

/* What .env said is known to nobody else. What is not UTF-8 stands in no JSON value either. */
static json_t *known_secrets(void)
{
	json_t *list = json_array();
	const char *secret;

	for (size_t i = 0; (secret = redact_known(i)); i++)
		json_array_append_new(list, json_string(secret));
	return list;
}

static bool write_all(int fd, const char *text, size_t length, struct err *e)
{
	while (length > 0) {
		ssize_t n = write(fd, text, length);

		if (n < 0 && errno != EINTR)
			return err_errno(e, ERR_TRANSIENT, "writing a configuration");
		if (n > 0) {
			text += n;
			length -= (size_t)n;
		}
	}
	return true;
}

bool config_seal(const struct config *config, int *ret_fd, struct err *e)
{
	json_auto_t *sealed = json_pack("{s:s?, s:O, s:O, s:o}", "path", config->config_path,
		"values", config->state->values, "origins", config->state->origins, "secrets",
		known_secrets());
	char *text CLEANUP(free_ptr) = json_dumps(sealed, JSON_COMPACT);
	int fd CLEANUP(close_fd) = memfd_create("athena-config", MFD_CLOEXEC);

	if (fd < 0)
		return err_errno(e, ERR_TRANSIENT, "making a configuration for executors");
	if (!text)
		abort();
	if (!write_all(fd, text, strlen(text), e))
		return false;
	*ret_fd = fd;
	fd = -1;
	return true;
}

/* From the beginning, wherever another process that shares the descriptor has read to. */
static bool read_all(int fd, struct buf *text, struct err *e)
{
	enum { STEP = 65536 };
	ssize_t n;

	while ((n = pread(fd, buf_reserve(text, STEP), STEP, (off_t)text->length)) > 0)
		buf_added(text, (size_t)n);
	return n == 0 || err_errno(e, ERR_CONFIG, "reading a configuration");
}

static void unpack(struct config *config, const json_t *sealed)
{
	const char *path = json_string_value(json_object_get(sealed, "path"));
	const json_t *secret;
	size_t i;

	if (path)
		config->config_path = arena_strdup(&config->state->arena, path);
	json_object_update(config->state->values, json_object_get(sealed, "values"));
	json_object_update(config->state->origins, json_object_get(sealed, "origins"));
	json_array_foreach (json_object_get(sealed, "secrets"), i, secret) {
		redact_learn(json_string_value(secret));
	}
}

bool config_unseal(int fd, struct config **ret_config, struct err *e)
{
	struct config *config CLEANUP(config_clear) = config_new();
	struct buf text CLEANUP(buf_clear) = {0};
	json_auto_t *sealed = NULL;

	if (!read_all(fd, &text, e))
		return false;
	sealed = json_loadb(text.bytes ? text.bytes : "", text.length, 0, NULL);
	if (!sealed)
		return err_set(e, ERR_CONFIG, "a configuration for executors cannot be read");
	unpack(config, sealed);
	if (!config_fill(config, e))
		return false;
	*ret_config = TAKE(config);
	return true;
}
