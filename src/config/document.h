/* SPDX-License-Identifier: PostgreSQL */
/* The option tables as documentation. */
#ifndef ATHENA_CONFIG_DOCUMENT_H
#define ATHENA_CONFIG_DOCUMENT_H

#include "base/buf.h"

/* Adds the reference part of docs/config.md: all sections, families and fixed numbers. */
void document_markdown(struct buf *out);

#endif
