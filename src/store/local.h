/* SPDX-License-Identifier: PostgreSQL */
/*
 * A store in a directory of this host: objects are files of mode 0600 in folders of mode 0700.
 *
 * An object is written to a hidden file beside its name (`.NAME.ID`), flushed to the disk, renamed,
 * and the folder flushed: at every instant there is nothing or all of it under the name, and what
 * store_complete() has answered outlives a power cut. A name that exists is never replaced.
 *
 * Calls wait for the disk, and ask wait() between pieces whether to go on.
 */
#ifndef ATHENA_STORE_LOCAL_H
#define ATHENA_STORE_LOCAL_H

#include "store/store.h"

/* `directory` is absolute, and made if only its last part is missing. Free with store_free(). */
MUSTCHECK bool store_local_open(const char *directory, const struct store_wait *wait,
	struct store **ret_store, struct err *e);

#endif
