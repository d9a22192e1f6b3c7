/* SPDX-License-Identifier: PostgreSQL */
/*
 * A file of newline-delimited JSON, read object by object: one line in memory at a time.
 *
 * Each line is a JSON object in UTF-8. The last one may lack its newline, and empty lines may
 * follow it; anywhere else they are errors, so that the number of a line is that of its object.
 * All errors are ERR_CONFIG and begin with "FILE:LINE: ".
 */
#ifndef ATHENA_CLI_NDJSON_H
#define ATHENA_CLI_NDJSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

/* A payload of 1 MiB has room, even when every byte of it is written as \u0041. */
enum { NDJSON_LINE_MIB = 8, NDJSON_LINE_MAX = NDJSON_LINE_MIB * 1024 * 1024 };

struct ndjson {
	const char *name; /* of the file, or "standard input" */
	int fd;
	int64_t size; /* in bytes; -1: not known, it is no regular file */
	int64_t read; /* bytes so far */
	int64_t line; /* the number of the last line, from 1 */

	/* Of ndjson.c. */
	struct buf bytes;   /* what was read and may not have been handed out */
	size_t at, looked;  /* where the next line begins; up to where there is no newline */
	bool is_end;	    /* nothing more comes */
	int64_t empty_line; /* the first of those that were skipped; 0: none */
};

/* "-" is standard input. Release with ndjson_close(). */
MUSTCHECK bool ndjson_open(struct ndjson *ret_file, const char *path, struct err *e);

struct ndjson_object {
	json_t *json;	  /* owned by the caller; NULL: the file has ended */
	const char *text; /* as it was written; valid until the next call */
	size_t length;
};

MUSTCHECK bool ndjson_next(struct ndjson *file, struct ndjson_object *ret_object, struct err *e);

void ndjson_close(struct ndjson *file);

#endif
