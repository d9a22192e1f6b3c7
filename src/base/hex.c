/* SPDX-License-Identifier: PostgreSQL */
/* Digests and signatures in text. */
#include "base/hex.h"

#include <stdio.h>

void hex_of(const unsigned char *bytes, size_t length, char *ret_hex)
{
	ret_hex[0] = '\0';
	for (size_t i = 0; i < length; i++)
		snprintf(ret_hex + 2 * i, 3, "%02x", bytes[i]);
}
