/* SPDX-License-Identifier: PostgreSQL */
/* The file `url` in the folder of `athena dev`. */
#include "cli/dev_url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

enum { URL_MAX = 1024 };

bool dev_url_find(char **ret_url)
{
	FILE *file CLEANUP(close_file) = NULL;
	char line[URL_MAX];

	/* PGHOST and the like are somebody's answer to which server it is. */
	if (getenv("PGHOST") || getenv("PGSERVICE") || getenv("PGDATABASE"))
		return false;
	file = fopen(DEV_DIRECTORY "/url", "re");
	if (!file || !fgets(line, sizeof(line), file))
		return false;
	line[strcspn(line, "\n")] = '\0';
	*ret_url = xstrdup(line);
	return line[0] != '\0';
}

/* Written aside and renamed, so that nobody reads half of it. */
bool dev_url_write(const char *directory, const char *url, struct err *e)
{
	char *path CLEANUP(free_ptr) = xasprintf("%s/url", directory);
	char *aside CLEANUP(free_ptr) = xasprintf("%s/url.new", directory);
	FILE *file = fopen(aside, "we");
	bool ok;

	if (!file)
		return err_errno(e, ERR_PERMANENT, "writing %s", aside);
	ok = fprintf(file, "%s\n", url) > 0;
	ok = fclose(file) == 0 && ok;
	if (!ok || rename(aside, path) != 0)
		return err_errno(e, ERR_PERMANENT, "writing %s", path);
	return true;
}

void dev_url_remove(const char *directory)
{
	char *path CLEANUP(free_ptr) = xasprintf("%s/url", directory);

	unlink(path);
}
