/* SPDX-License-Identifier: PostgreSQL */
#include "base/redact.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/redact_json.h"
#include "suite.h"

struct pair {
	const char *text;
	const char *expected; /* NULL: unchanged */
};

static void check_pairs(const struct pair *pairs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char *once CLEANUP(free_ptr) = redact_dup(pairs[i].text);
		char *twice CLEANUP(free_ptr) = redact_dup(once);

		ck_assert_str_eq(once, pairs[i].expected ? pairs[i].expected : pairs[i].text);
		ck_assert_str_eq(twice, once);
	}
}

START_TEST(plain_text_is_unchanged)
{
	static const struct pair pairs[] = {
		{"", NULL},
		{"job 42 failed: relation \"users\" does not exist", NULL},
		{"password authentication failed for user \"shop\"", NULL},
		{"fe_sendauth: no password supplied", NULL},
		{"wrong password: authentication failed", NULL},
		{"config.yaml:3: \"password\": expected a string", NULL},
		{"ALTER ROLE shop PASSWORD NULL", NULL},
		{"SET password_encryption = 'scram-sha-256'", NULL},
		{"max_tokens=5 tokens=7 keys=a,b monkey=1", NULL},
		{"secretary='Ann' passwords=0", NULL},
		{"{\"token\": null, \"max_tokens\": 100, \"tokens\": [1, 2]}", NULL},
		{"user@example.com wrote to ops@example.com: done", NULL},
		{"see https://example.com/a/b?x=1&y=2#c, or mail me@example.com", NULL},
		{"http://localhost:4052: connection refused", NULL},
		{"http://localhost:4052/path/@scope/x", NULL},
		{"{\"url\":\"http://h:80\",\"mail\":\"a@b\"}", NULL},
		{"{\"url\":\"http://host\",\"level\":\"info\"}", NULL},
		{"postgresql:///shop", NULL},
		{"postgresql://shop@db:5432/shop?sslmode=require", NULL},
		{"postgresql://h1:5432,h2:5432/shop", NULL},
		{"http://[::1]:4052/ping", NULL},
		{"file://C:/Users/x", NULL},
		{"s3://bucket/a@b:c", NULL},
		{"2026-01-31T12:00:00.123Z // a comment: nothing", NULL},
		{"a \\ b 'c' \"d\" = $$ // :// @ ://", NULL},
		{"caf\xc3\xa9 \xff\xfe", NULL},
	};

	check_pairs(pairs, ARRAY_LENGTH(pairs));
}
END_TEST

START_TEST(passwords_in_uris)
{
	static const struct pair pairs[] = {
		{"postgresql://u:pw@h/db", "postgresql://u:***@h/db"},
		{"at the end postgres://u:pw@h", "at the end postgres://u:***@h"},
		{"postgresql://:pw@h/db", "postgresql://:***@h/db"},
		{"postgresql://u:@h/db", NULL},
		{"http://u:1234@h:80/", "http://u:***@h:80/"},
		{"postgresql://u:p@s@s@h/db", "postgresql://u:***@h/db"},
		{"postgresql://u:p/s@h/db", "postgresql://u:***@h/db"},
		{"postgresql://u:p?s#x@h/db", "postgresql://u:***@h/db"},
		{"postgresql://u:p:s,\"'x@h/db", "postgresql://u:***@h/db"},
		{"postgresql://u:p s@h/db", "postgresql://u:***@h/db"},
		{"postgresql://u:p%40s@h1:1,h2:2/db", "postgresql://u:***@h1:1,h2:2/db"},
		{"postgresql://u:cut_off", "postgresql://u:***"},
		{"(postgresql://u:cut_off)", "(postgresql://u:***)"},
		{"<http://a:b@c> and <http://d:e@f>", "<http://a:***@c> and <http://d:***@f>"},
		{"{\"a\": \"http:\\/\\/u:pw@h\"}", "{\"a\": \"http:\\/\\/u:***@h\"}"},
		{"//u:pw@share", "//u:***@share"},
		{"cannot connect to postgresql://u:pw@h/db: timeout",
			"cannot connect to postgresql://u:***@h/db: timeout"},
	};

	check_pairs(pairs, ARRAY_LENGTH(pairs));
}
END_TEST

START_TEST(assignments)
{
	static const struct pair pairs[] = {
		{"host=h password=pw user=u", "host=h password=*** user=u"},
		{"password = pw user=u", "password = *** user=u"},
		{"password='p w\\'x' user=u", "password='***' user=u"},
		{"password='' user=u", NULL},
		{"password= user=u", "password= ***"},
		{"password='open", "password='***"},
		{"password=a\\ b c", "password=*** c"},
		{"password=\"a\"b c", "password=*** c"},
		{"PGPASSWORD=pw psql", "PGPASSWORD=*** psql"},
		{"sslpassword=pw,", "sslpassword=***,"},
		{"(password=pw)", "(password=***)"},
		{"\"host=h password=pw\"", "\"host=h password=***\""},
		{"'host=h password=''p w'' port=1'", "'host=h password=''***'' port=1'"},
		{"\"password=\\\"p w\\\" x\"", "\"password=\\\"***\\\" x\""},
		{"postgresql://h/db?password=pw&sslmode=require",
			"postgresql://h/db?password=***&sslmode=require"},
		{"http://h/?a=1&api_key=k#x y", "http://h/?a=1&api_key=*** y"},
		{"http://bucket/k?X-Amz-Signature=ab&X-Amz-Date=1",
			"http://bucket/k?X-Amz-Signature=***&X-Amz-Date=1"},
		{"aws_secret_access_key = k\nregion = r",
			"aws_secret_access_key = ***\nregion = r"},
		{"token=\nnext line", NULL},
		{"password=", NULL},
	};

	check_pairs(pairs, ARRAY_LENGTH(pairs));
}
END_TEST

START_TEST(sql)
{
	static const struct pair pairs[] = {
		{"CREATE ROLE a PASSWORD 'x y' LOGIN", "CREATE ROLE a PASSWORD '***' LOGIN"},
		{"alter role a encrypted password\n'it''s' valid until 'y'",
			"alter role a encrypted password\n'***' valid until 'y'"},
		{"PASSWORD E'x\\'y' z", "PASSWORD E'***' z"},
		{"PASSWORD U&'x' z", "PASSWORD U&'***' z"},
		{"PASSWORD $$x$$ z", "PASSWORD $$***$$ z"},
		{"PASSWORD $t$x$$y$t$ z", "PASSWORD $t$***$t$ z"},
		{"EXECUTE 'ALTER ROLE a PASSWORD ''x'' LOGIN'",
			"EXECUTE 'ALTER ROLE a PASSWORD ''***'' LOGIN'"},
		{"EXECUTE 'ALTER ROLE a PASSWORD ''x'''",
			"EXECUTE 'ALTER ROLE a PASSWORD ''***'''"},
		{"PASSWORD 'cut", "PASSWORD '***"},
		{"PASSWORD $$cut", "PASSWORD $$***"},
	};

	check_pairs(pairs, ARRAY_LENGTH(pairs));
}
END_TEST

START_TEST(headers_and_json)
{
	static const struct pair pairs[] = {
		{"> Authorization: Bearer a.b.c\r\n> Host: h", "> Authorization: ***\r\n> Host: h"},
		{"proxy-authorization: Basic eA==", "proxy-authorization: ***"},
		{"X-TYPESENSE-API-KEY: k", "X-TYPESENSE-API-KEY: ***"},
		{"{\"password\": \"x\", \"a\": 1}", "{\"password\": \"***\", \"a\": 1}"},
		{"{\"password\":\"x\\\"y\\\\\",\"a\":1}", "{\"password\":\"***\",\"a\":1}"},
		{"{\"Token\" : \"x\"}", "{\"Token\" : \"***\"}"},
		{"{\"api_key\": 12345, \"a\": 1}", "{\"api_key\": ***, \"a\": 1}"},
		{"{\"client-secret\": \"\"}", NULL},
		{"{\"secret\": {\"access_key\": \"x\"}}",
			"{\"secret\": {\"access_key\": \"***\"}}"},
		{"{\\\"password\\\": \\\"x\\\\\\\"y\\\", \\\"a\\\": 1}",
			"{\\\"password\\\": \\\"***\\\", \\\"a\\\": 1}"},
		{"{'password': 'x', 'a': 1}", "{'password': '***', 'a': 1}"},
		{"{\"authorization\": \"Bearer x\"}", "{\"authorization\": \"***\"}"},
		{"{\"password\": \"cut", "{\"password\": \"***"},
		{"{\"dsn\": \"postgresql://u:pw@h/db\"}", "{\"dsn\": \"postgresql://u:***@h/db\"}"},
	};

	check_pairs(pairs, ARRAY_LENGTH(pairs));
}
END_TEST

START_TEST(learned_secrets)
{
	static const struct pair pairs[] = {
		{"s3cret", "***"},
		{"xs3crety", "x***y"},
		{"s3crets3cret", "***"},
		{"S3CRET", NULL},
		{"abc", NULL},
		{"AB CD and AB", "*** and AB"},
		/* Only a part of it looks like a secret. */
		{"password=AB CD x", "password=*** x"},
		{"q%22%5C%27z", "***"},
		{"{\"a\": \"q\\\"\\\\'z\"}", "{\"a\": \"***\"}"},
		{"x='q\"\\\\\\'z'", "x='***'"},
		{"SELECT 'q\"\\''z'", "SELECT '***'"},
	};

	redact_learn("s3cret");
	redact_learn("s3cret");
	redact_learn("abc");
	redact_learn("");
	redact_learn("AB CD");
	redact_learn("q\"\\'z");
	check_pairs(pairs, ARRAY_LENGTH(pairs));
}
END_TEST

START_TEST(json_stays_json)
{
	static const char *const pairs[][2] = {
		{"{\"a\":[1,null,true,\"x\"]}", NULL},
		{"[\"password=x, y\",\"//u:x@h\"]", "[\"password=***, y\",\"//u:***@h\"]"},
		{"{\"password\":\"x\",\"token\":12,\"b\":\"x\"}",
			"{\"password\":\"***\",\"token\":\"***\",\"b\":\"x\"}"},
		{"{\"api-key\":null,\"secret\":{\"a\":\"token=x\",\"Token\":\"y\"}}",
			"{\"api-key\":null,\"secret\":{\"a\":\"token=***\",\"Token\":\"***\"}}"},
		{"\"a\\u0000password=x\"", "\"***\""},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(pairs); i++) {
		json_auto_t *value =
			json_loads(pairs[i][0], JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		json_auto_t *clean = redact_json(value);
		char *before CLEANUP(free_ptr) = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
		char *after CLEANUP(free_ptr) = json_dumps(clean, JSON_ENCODE_ANY | JSON_COMPACT);

		ck_assert_str_eq(before, pairs[i][0]);
		ck_assert_str_eq(after, pairs[i][1] ? pairs[i][1] : pairs[i][0]);
	}
	ck_assert_ptr_null(redact_json(NULL));
}
END_TEST

START_TEST(names_of_secrets)
{
	ck_assert(redact_is_secret_name("PGPASSWORD"));
	ck_assert(redact_is_secret_name("client-secret"));
	ck_assert(!redact_is_secret_name("tokens"));
	ck_assert(!redact_is_secret_name(""));
}
END_TEST

START_TEST(adds_to_what_is_there)
{
	struct buf out CLEANUP(buf_clear) = {0};

	buf_text(&out, "error: ");
	redact_text(&out, "token=x");
	redact_text(&out, "");
	ck_assert_str_eq(out.bytes, "error: token=***");
}
END_TEST

/*
 * A secret of random characters, planted where one may stand, never survives. The alphabets hold
 * what each place allows, and then some; `word` stands around it, so that the test also sees when
 * too much is masked.
 */
static const struct {
	const char *before, *after;
	const char *odd;	  /* of which a third of the secret is made */
	const char *left, *right; /* what must still stand there */
} places[] = {
	{"word postgresql://u:", "@h:5432/db word", ":@?#,;'\"()[]{}<>\\&=%$!~|^`*+",
		"word postgresql://u:", "@h:5432/db word"},
	{"word https://u:", "@h/ word", "/ :?#,;'\"()", "word https://u:", "@h/ word"},
	{"word host=h password='", "' user=u word", " @/:?#,;\"()[]{}<>&=%$",
		"word host=h password='", "' user=u word"},
	{"word host=h password=", " user=u word", "@/:?#,;'\"()[]{}<>&=%$",
		"word host=h password=", " user=u word"},
	{"word http://h/?token=", "&x=1 word", "@/:?#,;()[]{}<>=%$",
		"word http://h/?token=", "&x=1 word"},
	{"word PASSWORD '", "' LOGIN", " @/:?#,;\"()[]{}<>&=%$", "word PASSWORD '", "' LOGIN"},
	{"{\"a\": 1, \"api_key\": \"", "\", \"b\": 2}", " @/:?#,;'()[]{}<>&=%$",
		"{\"a\": 1, \"api_key\": \"", "\", \"b\": 2}"},
	{"word\nAuthorization: Bearer ", "\nword", " @/:?#,;'\"()[]{}<>&=%$\\",
		"word\nAuthorization: ", "\nword"},
};

static void random_secret(char *secret, size_t length, const char *odd)
{
	static const char letters[] = "abcdefghijkmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ23456789";

	/* Letters at both ends: closing punctuation is left to what stands around a value. */
	for (size_t i = 0; i < length; i++) {
		bool is_odd = i > 0 && i + 1 < length && lrand48() % 3 == 0;
		const char *from = is_odd ? odd : letters;

		secret[i] = from[(size_t)lrand48() % strlen(from)];
	}
	secret[0] = 'Q'; /* no number, which could be a port */
	secret[length] = '\0';
}

START_TEST(planted_secrets_never_survive)
{
	srand48(20260131);
	for (int round = 0; round < 20000; round++) {
		size_t place = (size_t)lrand48() % ARRAY_LENGTH(places);
		char secret[33];
		char *text CLEANUP(free_ptr) = NULL;
		char *shown CLEANUP(free_ptr) = NULL;
		const char *middle;

		random_secret(secret, 8 + (size_t)lrand48() % 24, places[place].odd);
		text = xasprintf("%s%s%s", places[place].before, secret, places[place].after);
		shown = redact_dup(text);
		middle = shown + strlen(places[place].left);
		ck_assert_msg(strncmp(shown, places[place].left, (size_t)(middle - shown)) == 0 &&
				strncmp(middle, "***", 3) == 0 &&
				strcmp(middle + 3, places[place].right) == 0,
			"%s\nbecame\n%s", text, shown);
	}
}
END_TEST

/* Whatever stands around it, a learned secret is gone, and no text makes redaction stumble. */
START_TEST(learned_secrets_never_survive_noise)
{
	static const char noise[] = "password='\"\\ \n$:/@?&#{}[],.token=PASSWORD $$x9";

	srand48(4711);
	redact_learn("K'7 \"z\\@/:w");
	for (int round = 0; round < 20000; round++) {
		char text[128];
		char *shown CLEANUP(free_ptr) = NULL;
		long before = lrand48() % 50, after = lrand48() % 50, at = 0;

		while (at < before)
			text[at++] = noise[(size_t)lrand48() % (sizeof(noise) - 1)];
		at += sprintf(text + at, "%s", "K'7 \"z\\@/:w");
		for (long i = 0; i < after; i++)
			text[at++] = noise[(size_t)lrand48() % (sizeof(noise) - 1)];
		text[at] = '\0';
		shown = redact_dup(text);
		ck_assert_msg(!strstr(shown, "K'7") && !strstr(shown, "z\\@"), "%s\nbecame\n%s",
			text, shown);
	}
}
END_TEST

Suite *suite_redact(void)
{
	const TTest *const tests[] = {
		plain_text_is_unchanged,
		passwords_in_uris,
		assignments,
		sql,
		headers_and_json,
		learned_secrets,
		json_stays_json,
		names_of_secrets,
		adds_to_what_is_there,
		planted_secrets_never_survive,
		learned_secrets_never_survive_noise,
		NULL,
	};

	return suite_of("redact", tests);
}
