/* SPDX-License-Identifier: PostgreSQL */
#include "config/dotenv.h"

#include <stdlib.h>
#include <string.h>

#include "suite.h"

START_TEST(entries)
{
	static const struct {
		const char *text;
		const char *name, *value; /* the only entry; NULL: none */
		const char *warnings;	  /* NULL: none */
	} cases[] = {
		{"", NULL, NULL, NULL},
		{"\n \t\r\n# A=1\n  # B=2", NULL, NULL, NULL},
		{"A=1", "A", "1", NULL},
		{"A=1\r\n", "A", "1", NULL},
		{"  export\tA_2 = x y  # no\n", "A_2", "x y", NULL},
		{"export=1", "export", "1", NULL},
		{"A=", "A", "", NULL},
		{"A= # nothing", "A", "", NULL},
		{"A=x#y", "A", "x#y", NULL},
		{"A=a=b", "A", "a=b", NULL},
		{"A=$HOME ${X} \\n", "A", "$HOME ${X} \\n", NULL},
		{"A='x \"#$\\n' # no", "A", "x \"#$\\n", NULL},
		{"A=\"x'#\\n\\t\\r\\\"\\\\\\$\\x\"", "A", "x'#\n\t\r\"\\$\\x", NULL},
		{"A='two\nlines'\n", "A", "two\nlines", NULL},
		{"A=\"\"", "A", "", NULL},
		{"A=it's", "A", "it's", NULL},
		{"A=1\nA=2\n", "A", "1", "f:2: a name that is already set, skipped\n"},
		{"junk\nA=1\n", "A", "1", "f:1: no NAME=value, skipped\n"},
		{"=1\nA=1\n", "A", "1", "f:1: no NAME=value, skipped\n"},
		{"1A=1\nA=1\n", "A", "1", "f:1: no NAME=value, skipped\n"},
		{"A-B=1\n\nA=1\n", "A", "1", "f:1: no NAME=value, skipped\n"},
		{"\nB='open\nA=1\n", "A", "1",
			"f:2: no end of the quoted value, or something behind it, skipped\n"},
		{"B='x' y\nA=1\n", "A", "1",
			"f:1: no end of the quoted value, or something behind it, skipped\n"},
		{"C", NULL, NULL, "f:1: no NAME=value, skipped\n"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct arena arena CLEANUP(arena_clear) = {0};
		struct buf warnings CLEANUP(buf_clear) = {0};
		struct dotenv dotenv CLEANUP(dotenv_clear) = {0};

		dotenv_parse(&dotenv, &arena, "f", cases[i].text, &warnings);
		ck_assert_msg(dotenv.count == (cases[i].name != NULL), "%s", cases[i].text);
		if (cases[i].name) {
			ck_assert_str_eq(dotenv.entries[0].name, cases[i].name);
			ck_assert_str_eq(dotenv_find(&dotenv, cases[i].name), cases[i].value);
		}
		ck_assert_str_eq(warnings.bytes ? warnings.bytes : "",
			cases[i].warnings ? cases[i].warnings : "");
	}
}
END_TEST

START_TEST(several_entries)
{
	struct arena arena CLEANUP(arena_clear) = {0};
	struct buf warnings CLEANUP(buf_clear) = {0};
	struct dotenv dotenv CLEANUP(dotenv_clear) = {0};

	dotenv_parse(&dotenv, &arena, "f", "A='1\n2'\nB=2\nC=3\nbad\n", &warnings);
	ck_assert_uint_eq(dotenv.count, 3);
	ck_assert_str_eq(dotenv_find(&dotenv, "C"), "3");
	ck_assert_ptr_null(dotenv_find(&dotenv, "D"));
	ck_assert_str_eq(warnings.bytes, "f:5: no NAME=value, skipped\n");
}
END_TEST

START_TEST(noise_is_survived)
{
	static const char noise[] = "AB==''\"\"\n\n #\\ $\texport";

	srand48(11);
	for (int round = 0; round < 20000; round++) {
		struct arena arena CLEANUP(arena_clear) = {0};
		struct buf warnings CLEANUP(buf_clear) = {0};
		struct dotenv dotenv CLEANUP(dotenv_clear) = {0};
		char text[60];
		size_t length = (size_t)lrand48() % sizeof(text);

		for (size_t i = 0; i < length; i++)
			text[i] = noise[(size_t)lrand48() % (sizeof(noise) - 1)];
		text[length] = '\0';
		dotenv_parse(&dotenv, &arena, "f", text, &warnings);
		ck_assert_uint_le(dotenv.count, length / 2 + 1);
	}
}
END_TEST

Suite *suite_dotenv(void)
{
	const TTest *const tests[] = {entries, several_entries, noise_is_survived, NULL};

	return suite_of("dotenv", tests);
}
