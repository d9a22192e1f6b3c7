/* SPDX-License-Identifier: PostgreSQL */
#include "config/document.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "config/locate.h"
#include "suite.h"

static const char docs[] = "docs/config.md";
/* Leaves what docs/config.md should be in the build folder. */
static char *write_expected(const char *prose, const char *reference)
{
	const char *build = getenv("ATHENA_BUILD");
	char *path = xasprintf("%s/tests/unit/config.md", build ? build : "build");
	FILE *file CLEANUP(close_file) = fopen(path, "we");

	ck_assert(file);
	fprintf(file, "%s%s", prose, reference);
	return path;
}

START_TEST(docs_say_what_the_tables_say)
{
	struct buf text CLEANUP(buf_clear) = {0};
	struct buf reference CLEANUP(buf_clear) = {0};
	struct err e;
	char *path CLEANUP(free_ptr) = NULL;
	char *at;

	document_markdown(&reference);
	ck_assert_msg(locate_read(docs, &text, &e), "%s", e.text);
	at = strstr(text.bytes, "## Settings\n");
	if (at && strcmp(at, reference.bytes) == 0)
		return;
	if (at)
		*at = '\0';
	path = write_expected(text.bytes, reference.bytes);
	ck_abort_msg("%s does not say what the option tables say; %s does", docs, path);
}
END_TEST

Suite *suite_document(void)
{
	const TTest *const tests[] = {docs_say_what_the_tables_say, NULL};

	return suite_of("document", tests);
}
