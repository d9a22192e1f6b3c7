/* SPDX-License-Identifier: PostgreSQL */
/*
 * What a fuzzer defines, and libFuzzer calls: the one for each input, the other once before.
 *
 * To add one: 1 write tests/fuzz/NAME.c, 2 tests/fuzz/corpus/NAME/ with a few good inputs and a few
 * bad ones, 3 tests/fuzz/NAME.dict with the words that it would never guess, if there are any.
 * Each is a program of its own, with the address and undefined behaviour sanitizers; what must
 * hold of the result is asserted. An input that broke something belongs to the corpus, and what it
 * broke into a unit test.
 */
#ifndef ATHENA_FUZZ_H
#define ATHENA_FUZZ_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#endif
