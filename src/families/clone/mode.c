/* SPDX-License-Identifier: PostgreSQL */
/* A choice of three. */
#include "families/clone/mode.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

static const char *const words[] = {"auto", "pipe", "staged", "parallel"};

enum clone_mode mode_from_word(const char *word)
{
	size_t mode = 0;

	while (strcmp(word, words[mode]) != 0) {
		mode++;
		assert(mode < ARRAY_LENGTH(words));
	}
	return (enum clone_mode)mode;
}

const char *mode_word(enum clone_mode mode)
{
	return words[mode];
}

enum clone_mode mode_choose(
	enum clone_mode asked, int jobs, int64_t table_bytes, const char **ret_why)
{
	if (asked != CLONE_AUTO) {
		*ret_why = "as the payload asks";
		return asked;
	}
	if (jobs == 1) {
		*ret_why = "one job works alone";
		return CLONE_PIPE;
	}
	if (table_bytes < CLONE_PARALLEL_BYTES) {
		*ret_why = "there is little to copy";
		return CLONE_PIPE;
	}
	*ret_why = "there is much to copy";
	return CLONE_PARALLEL;
}
