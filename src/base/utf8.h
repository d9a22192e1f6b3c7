/* SPDX-License-Identifier: PostgreSQL */
/* What is UTF-8 and what is not, by Postgres' rules. */
#ifndef ATHENA_BASE_UTF8_H
#define ATHENA_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Length of the character at `bytes`, of which `left` bytes are there; 0 if it is none. NUL,
 * overlong forms, surrogates and what lies beyond U+10FFFF are none.
 */
size_t utf8_length(const char *bytes, size_t left);

/* True when all of the string is UTF-8. */
bool utf8_is_text(const char *text);

/* Replaces each byte that belongs to no character, NUL included, by '?'. */
void utf8_repair(char *bytes, size_t length);

/* How many bytes of UTF-8 fit into `most` without cutting a character in two. */
size_t utf8_fit(const char *text, size_t most);

#endif
