/* SPDX-License-Identifier: PostgreSQL */
/* Bytes as people compare them: two lower-case hexadecimal digits each. */
#ifndef ATHENA_BASE_HEX_H
#define ATHENA_BASE_HEX_H

#include <stddef.h>

/* ret_hex has room for 2 * length + 1 characters; ended by NUL. */
void hex_of(const unsigned char *bytes, size_t length, char *ret_hex);

#endif
