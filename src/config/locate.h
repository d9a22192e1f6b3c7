/* SPDX-License-Identifier: PostgreSQL */
/* Where config.yaml and its .env are, and their text. */
#ifndef ATHENA_CONFIG_LOCATE_H
#define ATHENA_CONFIG_LOCATE_H

#include "base/buf.h"
#include "base/err.h"

/*
 * The first of: `path`, ATHENA_CONFIG_PATH, the search path of config.h. One that was asked for by
 * name is returned whether it exists or not. NULL when there is none. The caller frees it.
 */
char *locate_config(const char *path);

/* The .env beside that file, or of the current folder for NULL. The caller frees it. */
char *locate_dotenv(const char *config_path);

/* The path from the root, without resolving symbolic links. The caller frees it. */
MUSTCHECK bool locate_absolute(const char *path, char **ret_path, struct err *e);

/* Adds the text of a file of at most 1 MiB. ERR_CONFIG. */
MUSTCHECK bool locate_read(const char *path, struct buf *text, struct err *e);

#endif
