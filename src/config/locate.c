/* SPDX-License-Identifier: PostgreSQL */
/* Finding and reading the two files of the configuration. */
#include "config/locate.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

enum { LARGEST = 1 << 20 };

/* In the order in which they are tried: a folder that a variable names, and what follows it. */
static const struct {
	const char *variable; /* NULL: the path stands for itself */
	const char *path;
} places[] = {
	{"XDG_CONFIG_HOME", "/athena/config.yaml"},
	{"HOME", "/.config/athena/config.yaml"},
	{"HOME", "/.athena/config.yaml"},
	{NULL, "config.yaml"},
};

static const char *variable(const char *name)
{
	const char *value = getenv(name);

	return value && value[strspn(value, " \t")] != '\0' ? value : NULL;
}

char *locate_config(const char *path)
{
	if (!path)
		path = variable("ATHENA_CONFIG_PATH");
	if (path)
		return xstrdup(path);
	for (size_t i = 0; i < ARRAY_LENGTH(places); i++) {
		const char *folder = places[i].variable ? variable(places[i].variable) : "";
		char *found CLEANUP(free_ptr) = NULL;

		if (!folder)
			continue;
		found = xasprintf("%s%s", folder, places[i].path);
		if (access(found, F_OK) == 0)
			return TAKE(found);
	}
	return NULL;
}

char *locate_dotenv(const char *config_path)
{
	const char *slash = config_path ? strrchr(config_path, '/') : NULL;
	int folder = slash ? (int)(slash - config_path) + 1 : 0;

	return xasprintf("%.*s.env", folder, config_path ? config_path : "");
}

bool locate_absolute(const char *path, char **ret_path, struct err *e)
{
	char folder[PATH_MAX];

	if (*path != '/' && !getcwd(folder, sizeof(folder)))
		return err_errno(e, ERR_CONFIG, "finding the current folder");
	*ret_path = *path == '/' ? xstrdup(path) : xasprintf("%s/%s", folder, path);
	return true;
}

bool locate_read(const char *path, struct buf *text, struct err *e)
{
	FILE *file CLEANUP(close_file) = fopen(path, "re");
	size_t n;

	if (!file)
		return err_errno(e, ERR_CONFIG, "reading %s", path);
	while ((n = fread(buf_reserve(text, 4096), 1, 4096, file)) > 0) {
		buf_added(text, n);
		if (text->length > LARGEST)
			return err_set(e, ERR_CONFIG, "%s: larger than 1 MiB", path);
	}
	return !ferror(file) || err_errno(e, ERR_CONFIG, "reading %s", path);
}
