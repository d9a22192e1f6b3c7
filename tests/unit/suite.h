/* SPDX-License-Identifier: PostgreSQL */
/*
 * Unit tests: each tests/unit/test_<module>.c defines `Suite *suite_<module>(void)`, and is found
 * by the Makefile, which writes unit_suites.h with one SUITE(<module>) per file.
 *
 * They need no database, network or sleep. check forks for each test; CK_FORK=no for gdb.
 */
#ifndef ATHENA_TESTS_UNIT_SUITE_H
#define ATHENA_TESTS_UNIT_SUITE_H

#include <check.h>

#define SUITE(module) Suite *suite_##module(void);
#include "unit_suites.h"
#undef SUITE

/* A suite of one case with these tests; the list ends with NULL. */
Suite *suite_of(const char *name, const TTest *const *tests);

#endif
