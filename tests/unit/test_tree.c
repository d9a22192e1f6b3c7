/* SPDX-License-Identifier: PostgreSQL */
#include "config/tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "suite.h"

/* kind[:text]@line, lists in [], maps in {}. */
static void show(const struct tree *tree, struct buf *out)
{
	if (tree->key)
		buf_printf(out, "%s=", tree->key);
	if (tree->kind == TREE_TEXT)
		buf_printf(out, "'%s'", tree->text);
	if (tree->kind == TREE_NULL)
		buf_char(out, '~');
	if (tree->kind == TREE_LIST || tree->kind == TREE_MAP)
		buf_char(out, tree->kind == TREE_LIST ? '[' : '{');
	for (const struct tree *at = tree->first; at; at = at->next) {
		show(at, out);
		buf_text(out, at->next ? " " : "");
	}
	if (tree->kind == TREE_LIST || tree->kind == TREE_MAP)
		buf_char(out, tree->kind == TREE_LIST ? ']' : '}');
	buf_printf(out, "@%d", tree->line);
}

START_TEST(documents_become_trees)
{
	static const struct {
		const char *yaml, *tree;
	} cases[] = {
		{"", "~@1"},
		{"# nothing\n", "~@1"},
		{"---\n", "~@2"},
		{"a", "'a'@1"},
		{"a: 1\nb:\n  c: 'x'\n  d: \"~\"\n", "{a='1'@1 b={c='x'@3 d='~'@4}@2}@1"},
		{"a:\nb: ~\nc: null\nd: 'null'\ne: ''\n",
			"{a=~@1 b=~@2 c=~@3 d='null'@4 e=''@5}@1"},
		{"- x\n- [y, z]\n- {k: v}\n-\n", "['x'@1 ['y'@2 'z'@2]@2 {k='v'@3}@3 ~@4]@1"},
		{"a: |\n  two\n  lines\n", "{a='two\nlines\n'@1}@1"},
		{"url: postgresql://u:p@h/db?x=1#y\n", "{url='postgresql://u:p@h/db?x=1#y'@1}@1"},
		{"a: true\n1: 2\n", "{a='true'@1 1='2'@2}@1"},
		{"caf\xc3\xa9: \"\\u00e9\"\n", "{caf\xc3\xa9='\xc3\xa9'@1}@1"},
		{"a: {}\nb: []\n", "{a={}@1 b=[]@2}@1"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct arena arena CLEANUP(arena_clear) = {0};
		struct buf shown CLEANUP(buf_clear) = {0};
		struct tree *tree;
		struct err e;

		ck_assert_msg(
			tree_parse(&arena, "f", cases[i].yaml, strlen(cases[i].yaml), &tree, &e),
			"%s", e.text);
		show(tree, &shown);
		ck_assert_str_eq(shown.bytes, cases[i].tree);
	}
}
END_TEST

START_TEST(what_is_refused_says_where)
{
	static const struct {
		const char *yaml, *error;
	} cases[] = {
		{"a: 1\nb: 2\na: 3\n", "f:3: \"a\" is already set in line 1"},
		{"x:\n  a: 1\n  a: 3\n", "f:3: \"a\" is already set in line 2"},
		{"a: &x 1\n", "f:1: anchors, aliases and tags are not supported"},
		{"a: 1\nb: *x\n", "f:2: anchors, aliases and tags are not supported"},
		{"a: !!str 1\n", "f:1: anchors, aliases and tags are not supported"},
		{"a: &x [1]\n", "f:1: anchors, aliases and tags are not supported"},
		{"a: !t {}\n", "f:1: anchors, aliases and tags are not supported"},
		{"a:\n  <<: {}\n", "f:2: merging with \"<<\" is not supported"},
		{"[a]: 1\n", "f:1: a key must be a plain string"},
		{"&k a: 1\n", "f:1: a key must be a plain string"},
		{"a: 1\n---\nb: 2\n", "f:2: a second document"},
		{"a: \"x\\0y\"\n", "f:1: a NUL character"},
		{"a: [1\n",
			"f:2: did not find expected ',' or ']' while parsing a flow sequence "
			"(line 1)"},
		{"a: 1\n b: 2\n", "f:2: mapping values are not allowed in this context"},
		{"a: \xff\n", "f:1: invalid leading UTF-8 octet"},
		{"a: 1\nb: \x01\n", "f:1: control characters are not allowed"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct arena arena CLEANUP(arena_clear) = {0};
		struct tree *tree = NULL;
		struct err e = {0};

		ck_assert(
			!tree_parse(&arena, "f", cases[i].yaml, strlen(cases[i].yaml), &tree, &e));
		ck_assert_str_eq(e.text, cases[i].error);
		ck_assert_int_eq(e.kind, ERR_CONFIG);
		ck_assert_ptr_null(tree);
	}
}
END_TEST

START_TEST(depth_is_bounded)
{
	char deep[200];

	for (int depth = 32; depth <= 33; depth++) {
		struct arena arena CLEANUP(arena_clear) = {0};
		struct tree *tree;
		struct err e;
		bool ok;

		memset(deep, '[', (size_t)depth);
		memset(deep + depth, ']', (size_t)depth);
		ok = tree_parse(&arena, "f", deep, (size_t)depth * 2, &tree, &e);
		ck_assert_int_eq(ok, depth == 32);
		if (!ok)
			ck_assert_str_eq(e.text, "f:1: nested too deeply");
	}
}
END_TEST

START_TEST(noise_is_survived)
{
	static const char noise[] = "ab:- \n\n  []{},'\"&*!|>#%@`?~\t\\$<.0";

	srand48(7);
	for (int round = 0; round < 20000; round++) {
		struct arena arena CLEANUP(arena_clear) = {0};
		struct tree *tree = NULL;
		char text[60];
		size_t length = (size_t)lrand48() % sizeof(text);
		struct err e;

		for (size_t i = 0; i < length; i++)
			text[i] = noise[(size_t)lrand48() % (sizeof(noise) - 1)];
		if (tree_parse(&arena, "f", text, length, &tree, &e))
			ck_assert_ptr_nonnull(tree);
		else
			ck_assert_int_eq(strncmp(e.text, "f:", 2), 0);
	}
}
END_TEST

START_TEST(members_are_found)
{
	struct arena arena CLEANUP(arena_clear) = {0};
	static const char yaml[] = "a: 1\nb: 2\n";
	struct tree *tree;
	struct err e;

	ck_assert(tree_parse(&arena, "f", yaml, strlen(yaml), &tree, &e));
	ck_assert_str_eq(tree_find(tree, "b")->text, "2");
	ck_assert_ptr_null(tree_find(tree, "c"));
	ck_assert_str_eq(tree_kind_name(tree), "a mapping");
}
END_TEST

Suite *suite_tree(void)
{
	const TTest *const tests[] = {
		documents_become_trees,
		what_is_refused_says_where,
		depth_is_bounded,
		noise_is_survived,
		members_are_found,
		NULL,
	};

	return suite_of("tree", tests);
}
