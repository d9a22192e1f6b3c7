/* SPDX-License-Identifier: PostgreSQL */
/*
 * A small XML document, told element by element: expat, with limits.
 *
 * What a server of strangers may send is bounded: depth, length of a text, and no document type,
 * hence no entities of its own.
 */
#ifndef ATHENA_S3_XML_H
#define ATHENA_S3_XML_H

#include <stddef.h>

#include "base/err.h"

struct xml_taker {
	/*
	 * At the end of each element: its path, "ListBucketResult/Contents/Key", and its text, if
	 * no elements are inside, with blanks at both ends cut. Valid during the call only.
	 */
	void (*take)(void *context, const char *path, const char *text);
	void *context;
};

/* False for what is no such document, after whatever elements came before the place. */
MUSTCHECK bool xml_read(
	const char *bytes, size_t length, const struct xml_taker *taker, struct err *e);

#endif
