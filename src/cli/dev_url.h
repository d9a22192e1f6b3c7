/* SPDX-License-Identifier: PostgreSQL */
/*
 * Where the database of an `athena dev` that runs in this folder is: a file that it writes while
 * it runs, so that `athena job list` in another terminal needs no settings.
 */
#ifndef ATHENA_CLI_DEV_URL_H
#define ATHENA_CLI_DEV_URL_H

#include <stdbool.h>

#include "base/err.h"

/* The default folder of `athena dev`. */
#define DEV_DIRECTORY ".athena"

/* False when none runs here. The caller frees the URL. */
bool dev_url_find(char **ret_url);

MUSTCHECK bool dev_url_write(const char *directory, const char *url, struct err *e);
void dev_url_remove(const char *directory);

#endif
