/* SPDX-License-Identifier: PostgreSQL */
/*
 * Finds secrets in text.
 *
 * Each rule looks at one place of the text and says which bytes there are secret; what the rules
 * and the list of known secrets say is united before anything is masked, so that they cannot spoil
 * each other's finds. In doubt more is masked than is secret: where an unquoted value ends, for
 * one, nobody can know.
 */
#include "base/redact.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

#define SPACES " \t\r\n\f\v"

/* The bytes of a secret; empty when there is none. */
struct span {
	const char *start, *end;
};

/* Secrets that this process has been told. It only grows, and is never shown. */
static struct {
	char **texts;
	size_t count;
	bool starts[UINT8_MAX + 1]; /* some secret begins with this byte */
} known;

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_space(char c)
{
	return isspace((unsigned char)c);
}

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '-';
}

static const char *skip_blanks(const char *at)
{
	while (is_blank(*at))
		at++;
	return at;
}

static const char *skip_spaces(const char *at)
{
	while (is_space(*at))
		at++;
	return at;
}

/*
 * The end of what a URI may reach over, at most. The bound keeps hostile text from taking
 * quadratic time.
 */
static const char *reach(const char *start, const char *stops)
{
	enum { FARTHEST = 4096 };
	const char *at = start;

	while (*at && !strchr(stops, *at) && at - start < FARTHEST)
		at++;
	return at;
}

/* Gives back quotes and punctuation that close what is around an unquoted value. */
static const char *without_closers(const char *start, const char *end)
{
	while (end > start && strchr("\"'`)]}>,;.\\", end[-1]))
		end--;
	return end;
}

/* The last `c` in the range, or NULL. */
static const char *last_of(const char *start, const char *end, char c)
{
	return memrchr(start, c, (size_t)(end - start));
}

/*
 * Quoted values.
 *
 * A string within a string has its quotes escaped, once per level: \"x\" or ''x''. What opens a
 * value therefore says what closes it.
 */
struct quote {
	char mark;
	size_t slashes; /* backslashes before each of our quotes */
	size_t marks;	/* 1, 2, 4: how often a doubled quote is doubled */
};

static size_t run_length(const char *at, char c)
{
	size_t length = 0;

	while (at[length] == c)
		length++;
	return length;
}

/* How often the quotes that stand here double one: as often as the text still closes them. */
static size_t doubling(const char *at)
{
	static const char quotes[] = "''''''''";
	size_t run = run_length(at, '\'');
	size_t marks = 1;

	while (marks * 2 <= run && marks * 2 < sizeof(quotes) &&
		strstr(at + run, quotes + sizeof(quotes) - 1 - marks * 2))
		marks *= 2;
	return marks;
}

/* Where the content begins, or NULL when no quote stands here. */
static const char *quote_open(const char *at, struct quote *ret_quote)
{
	size_t slashes = run_length(at, '\\');
	char mark = at[slashes];
	size_t marks = mark == '\'' && slashes == 0 ? doubling(at) : 1;

	if (mark != '"' && mark != '\'')
		return NULL;
	*ret_quote = (struct quote){mark, slashes, marks};
	return at + slashes + marks;
}

/* True when this many backslashes and quotes close the value, rather than being part of it. */
static bool quote_closes(const struct quote *quote, size_t slashes, size_t marks)
{
	if (marks == 0 || slashes % (2 * quote->slashes + 2) != quote->slashes)
		return false;
	return quote->mark == '"' || slashes > 0 || marks % (2 * quote->marks) >= quote->marks;
}

/* Where the content ends: before the closing quote, or at the end of the text. */
static const char *quote_close(const char *content, const struct quote *quote)
{
	const char *at = content;

	while (*at) {
		size_t slashes = run_length(at, '\\');
		size_t marks = run_length(at + slashes, quote->mark);

		if (quote_closes(quote, slashes, marks))
			return at + slashes - quote->slashes;
		if (slashes > 0)
			at += slashes + (marks > 0); /* the others may close */
		else
			at += marks > 0 ? marks : 1;
	}
	return at;
}

static struct span quoted(const char *content, const struct quote *quote)
{
	return (struct span){content, quote_close(content, quote)};
}

/* $$...$$ or $tag$...$tag$, from its first dollar. */
static struct span dollar_quoted(const char *at)
{
	char *tag CLEANUP(free_ptr) = NULL;
	const char *content = at + 1;
	const char *end;

	while (isalnum((unsigned char)*content) || *content == '_')
		content++;
	if (*content != '$')
		return (struct span){at, at};
	content++;
	tag = xstrndup(at, (size_t)(content - at));
	end = strstr(content, tag);
	return (struct span){content, end ? end : content + strlen(content)};
}

/*
 * Connection URIs: //user:secret@host.
 */

/* "//", or "\/\/" of a careful JSON writer; returns what follows, or NULL. */
static const char *skip_slashes(const char *at)
{
	if (strncmp(at, "//", 2) == 0)
		return at + 2;
	return strncmp(at, "\\/\\/", 4) == 0 ? at + 4 : NULL;
}

/* True for "5432" where a host's port may stand. */
static bool is_port(const char *at)
{
	size_t digits = strspn(at, "0123456789");

	if (at[digits] == '\0' || is_space(at[digits]))
		return true;
	return digits > 0 && strchr("/?#:,\"'`)]}>;\\.", at[digits]);
}

/* True for the end of `"http://host:80"`: what follows a quoted port is no part of the URI. */
static bool is_quoted_port(const char *at)
{
	size_t digits = strspn(at, "0123456789");

	return digits > 0 && (at[digits] == '"' || at[digits] == '\'');
}

/*
 * Passwords are pasted into URIs unescaped, with '@', '/' or a space in them: the secret may reach
 * further than the rules of URIs say, while host:port must be left alone. An '@' before the first
 * '/' ends it, because paths hold '@', too. A URI whose end was cut off still has its secret at the
 * end.
 */
static const char *uri_secret_end(const char *start, bool has_scheme)
{
	const char *token = reach(start, SPACES);
	const char *at = last_of(start, reach(start, "/" SPACES), '@');

	if (at && !is_quoted_port(start))
		return at;
	if (!has_scheme || is_port(start))
		return start;
	at = last_of(start, token, '@');
	if (at || *start == '/')
		return at ? at : start;
	at = last_of(start, reach(start, "\r\n"), '@');
	return at ? at : without_closers(start, token);
}

static struct span uri_secret(const char *text, const char *at)
{
	const char *user = skip_slashes(at);
	const char *colon = user ? user + strcspn(user, ":/?#@[\"'`<>,\\" SPACES) : NULL;

	if (!colon || *colon != ':')
		return (struct span){at, at};
	return (struct span){colon + 1, uri_secret_end(colon + 1, at > text && at[-1] == ':')};
}

/*
 * Words that say that a secret follows.
 */

enum word_kind {
	WORD_NONE,
	WORD_SECRET,   /* token = x, "token": "x" */
	WORD_PASSWORD, /* the same, and PASSWORD 'x' in SQL */
	WORD_HEADER,   /* the same, and api-key: x to the end of the line */
};

static const struct {
	const char *ending; /* of the word, with '_' for '-' */
	enum word_kind kind;
} secret_words[] = {
	{"password", WORD_PASSWORD},
	{"passwd", WORD_SECRET},
	{"passphrase", WORD_SECRET},
	{"secret", WORD_SECRET},
	{"token", WORD_SECRET},
	{"access_key", WORD_SECRET},
	{"secret_key", WORD_SECRET},
	{"private_key", WORD_SECRET},
	{"amz_signature", WORD_SECRET},
	{"api_key", WORD_HEADER},
	{"apikey", WORD_HEADER},
	{"authorization", WORD_HEADER},
};

static bool is_ending(const char *end, const char *ending, size_t length)
{
	const char *start = end - length;

	for (size_t i = 0; i < length; i++) {
		char c = start[i];

		if ((c == '-' ? '_' : tolower((unsigned char)c)) != ending[i])
			return false;
	}
	return true;
}

static enum word_kind word_kind(const char *word, const char *end)
{
	for (size_t i = 0; i < ARRAY_LENGTH(secret_words); i++) {
		size_t length = strlen(secret_words[i].ending);

		if ((size_t)(end - word) >= length &&
			is_ending(end, secret_words[i].ending, length))
			return secret_words[i].kind;
	}
	return WORD_NONE;
}

bool redact_is_secret_name(const char *name)
{
	return word_kind(name, name + strlen(name)) != WORD_NONE;
}

/* A backslash takes the next byte into the value, as in libpq's strings. */
static struct span unquoted(const char *start, bool is_query)
{
	const char *end = start;

	while (*end && !is_space(*end) && !(is_query && *end == '&'))
		end += *end == '\\' && end[1] ? 2 : 1;
	return (struct span){start, without_closers(start, end)};
}

/* A value in '...', which libpq knows, or in "...", which it takes for a part of the value. */
static struct span assigned(const char *at, bool is_query)
{
	struct quote quote;
	const char *content = quote_open(at, &quote);
	struct span span, rest;

	if (!content)
		return unquoted(at, is_query);
	span = quoted(content, &quote);
	if (quote.mark == '\'')
		return span;
	rest = unquoted(span.end, is_query);
	if (*span.end == '\0' || rest.end > rest.start)
		return (struct span){at, rest.end};
	return span;
}

/* After `"word":`, a string or a number; objects and lists are looked into like other text. */
static struct span member(const char *at)
{
	struct quote quote;
	const char *content = quote_open(at, &quote);

	if (content)
		return quoted(content, &quote);
	if (*at != '-' && !isdigit((unsigned char)*at))
		return (struct span){at, at};
	return (struct span){at, at + strspn(at, "-+.0123456789eE")};
}

/* After `PASSWORD`: 'x', E'x', U&'x', $$x$$, or nothing of ours. */
static struct span sql_literal(const char *at)
{
	struct quote quote;
	const char *content;

	if (*at == '$')
		return dollar_quoted(at);
	if (strncasecmp(at, "e'", 2) == 0 || strncasecmp(at, "u&'", 3) == 0)
		at = strchr(at, '\'');
	content = quote_open(at, &quote);
	if (!content || quote.mark == '"')
		return (struct span){at, at};
	return quoted(content, &quote);
}

/* What follows a word that ends at `end`. */
static struct span word_secret(const char *text, const char *word, const char *end)
{
	enum word_kind kind = word_kind(word, end);
	bool is_query = word > text && strchr("?&", word[-1]);
	const char *after = skip_blanks(end);
	const char *behind_quote;
	struct quote quote;

	if (kind == WORD_NONE)
		return (struct span){end, end};
	behind_quote = quote_open(end, &quote);
	if (behind_quote)
		behind_quote = skip_spaces(behind_quote);
	if (behind_quote && (*behind_quote == ':' || *behind_quote == '='))
		return member(skip_spaces(behind_quote + 1));
	if (*after == '=')
		return assigned(skip_blanks(after + 1), is_query);
	if (*after == ':' && kind == WORD_HEADER)
		return (struct span){skip_blanks(after + 1), after + strcspn(after, "\r\n")};
	if (kind == WORD_PASSWORD)
		return sql_literal(skip_spaces(end));
	return (struct span){end, end};
}

/*
 * Marking and masking: hidden[i] says that byte i of the text must not be shown.
 */

static void hide(bool *hidden, const char *text, struct span span)
{
	if (span.end > span.start)
		memset(hidden + (span.start - text), true, (size_t)(span.end - span.start));
}

static void hide_by_rules(bool *hidden, const char *text)
{
	const char *at = text;

	while (*at) {
		const char *end = at;
		struct span span;

		while (is_word(*end))
			end++;
		span = end > at ? word_secret(text, at, end) : uri_secret(text, at);
		hide(hidden, text, span);
		if (span.end > span.start)
			at = span.end;
		else
			at = end > at ? end : at + 1;
	}
}

static void hide_known(bool *hidden, const char *text)
{
	for (const char *at = text; *at; at++) {
		if (!known.starts[(unsigned char)*at])
			continue;
		for (size_t i = 0; i < known.count; i++) {
			size_t length = strlen(known.texts[i]);

			if (strncmp(at, known.texts[i], length) == 0)
				hide(hidden, text, (struct span){at, at + length});
		}
	}
}

void redact_text(struct buf *out, const char *text)
{
	size_t length = strlen(text);
	bool *hidden CLEANUP(free_ptr) = xcalloc(length, sizeof(*hidden));

	hide_by_rules(hidden, text);
	hide_known(hidden, text);
	for (size_t i = 0; i < length; i++) {
		if (!hidden[i])
			buf_char(out, text[i]);
		else if (i == 0 || !hidden[i - 1])
			buf_text(out, REDACT_MASK);
	}
}

char *redact_dup(const char *text)
{
	struct buf out CLEANUP(buf_clear) = {0};

	redact_text(&out, text);
	return buf_take(&out);
}

/*
 * Learning.
 */

static void learn(const char *secret)
{
	for (size_t i = 0; i < known.count; i++)
		if (strcmp(known.texts[i], secret) == 0)
			return;
	known.texts = xreallocarray(known.texts, known.count + 1, sizeof(*known.texts));
	known.texts[known.count++] = xstrdup(secret);
	known.starts[(unsigned char)secret[0]] = true;
}

/* With `escape` before each byte that is one of `special`. */
static void learn_escaped(const char *secret, const char *special, char escape)
{
	struct buf text CLEANUP(buf_clear) = {0};

	buf_reserve(&text, strlen(secret));
	for (const char *at = secret; *at; at++) {
		if (strchr(special, *at))
			buf_char(&text, escape);
		buf_char(&text, *at);
	}
	learn(text.bytes);
}

/* As it stands in a URI. */
static void learn_encoded(const char *secret)
{
	struct buf text CLEANUP(buf_clear) = {0};

	buf_reserve(&text, strlen(secret));
	for (const char *at = secret; *at; at++) {
		if (isalnum((unsigned char)*at) || strchr("-._~", *at))
			buf_char(&text, *at);
		else
			buf_printf(&text, "%%%02X", (unsigned char)*at);
	}
	learn(text.bytes);
}

void redact_learn(const char *secret)
{
	if (strlen(secret) < 4)
		return;
	learn(secret);
	learn_encoded(secret);
	learn_escaped(secret, "\"\\", '\\'); /* in JSON */
	learn_escaped(secret, "'\\", '\\');  /* in libpq's key='value' */
	learn_escaped(secret, "'", '\'');    /* in SQL */
}

const char *redact_known(size_t i)
{
	return i < known.count ? known.texts[i] : NULL;
}
