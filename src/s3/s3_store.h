/* SPDX-License-Identifier: PostgreSQL */
/*
 * A bucket as a store for backups (store/store.h).
 *
 * All keys stand behind `prefix` of the settings, if there is one, and the place is
 * "s3://bucket/prefix". Parts that are under way go on in every call, and in store_wait(). Codes of
 * errors are those of s3.h, but for no_object, no_bucket and denied, which all stores share; what
 * is wrong with the settings is ERR_PERMANENT, as everything that no retry cures.
 */
#ifndef ATHENA_S3_S3_STORE_H
#define ATHENA_S3_S3_STORE_H

#include "config/config.h"
#include "store/store.h"

/* `settings` must outlive the store. Asks the server nothing. Free with store_free(). */
MUSTCHECK bool s3_store_open(const struct config_s3 *settings, const struct store_wait *wait,
	struct store **ret_store, struct err *e);

#endif
