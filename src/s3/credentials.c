/* SPDX-License-Identifier: PostgreSQL */
/* Key ids and secrets. */
#include "s3/credentials.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/redact.h"

enum { FILE_BYTES_MAX = 1 << 20 };

static bool refuse(struct err *e, const char *what)
{
	return err_code(e, ERR_CONFIG, "s3_config", "backup.s3: %s", what);
}

/* A header must not end early, nor the file's own line. */
static bool is_one_word(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text <= ' ' || *text == 0x7f)
			return false;
	return true;
}

static bool set(struct credentials *ret_credentials, const char *access_key_id, const char *secret,
	const char *token, struct err *e)
{
	if (!access_key_id || !secret)
		return refuse(e,
			"no credentials: set access_key_id and secret_access_key, or "
			"credentials_file, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
	if (!is_one_word(access_key_id) || !is_one_word(secret) || (token && !is_one_word(token)))
		return refuse(e, "credentials must have no blanks or control characters");
	redact_learn(secret);
	if (token)
		redact_learn(token);
	*ret_credentials = (struct credentials){
		.access_key_id = xstrdup(access_key_id),
		.secret = xstrdup(secret),
		.token = token ? xstrdup(token) : NULL,
	};
	return true;
}

/*
 * Files.
 */

struct found {
	char *values[3];
};

static const char *const names[3] = {
	"aws_access_key_id", "aws_secret_access_key", "aws_session_token"};

static char *trim(char *text)
{
	static const char blanks[] = " \t\r";
	char *end = text + strlen(text);

	while (end > text && strchr(blanks, end[-1]))
		end--;
	*end = '\0';
	return text + strspn(text, blanks);
}

static bool is_header_of(const char *line, const char *profile)
{
	size_t length = strlen(profile);

	return strncmp(line + 1, profile, length) == 0 && strcmp(line + 1 + length, "]") == 0;
}

static void take_line(struct found *found, char *line)
{
	char *value = strchr(line, '=');

	if (!value)
		return;
	*value++ = '\0';
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
		if (strcasecmp(trim(line), names[i]) == 0)
			found->values[i] = trim(value);
}

bool credentials_parse(
	struct credentials *ret_credentials, const char *text, const char *profile, struct err *e)
{
	char *copy CLEANUP(free_ptr) = xstrdup(text);
	struct found found = {0};
	bool is_ours = false;
	char *rest = copy;
	bool ok;

	for (char *line; (line = strsep(&rest, "\n"));) {
		line = trim(line);
		if (*line == '[')
			is_ours = is_header_of(line, profile);
		else if (is_ours && *line != '#' && *line != ';')
			take_line(&found, line);
	}
	ok = found.values[0] && found.values[1]
		? set(ret_credentials, found.values[0], found.values[1], found.values[2], e)
		: err_code(e, ERR_CONFIG, "s3_config",
			  "backup.s3: no %s under [%s] of credentials_file",
			  found.values[0] ? names[1] : names[0], profile);
	OPENSSL_cleanse(copy, strlen(text));
	return ok;
}

static bool read_file(const char *path, struct buf *out, struct err *e)
{
	FILE *file CLEANUP(close_file) = fopen(path, "re");
	size_t length;

	if (!file)
		return err_errno(e, ERR_CONFIG, "backup.s3: credentials_file %s", path);
	length = fread(buf_reserve(out, FILE_BYTES_MAX), 1, FILE_BYTES_MAX, file);
	if (ferror(file))
		return err_errno(e, ERR_CONFIG, "backup.s3: credentials_file %s", path);
	buf_added(out, length);
	return true;
}

static bool from_file(
	struct credentials *ret_credentials, const struct config_s3 *settings, struct err *e)
{
	struct buf text CLEANUP(buf_clear) = {0};
	bool ok = read_file(settings->credentials_file, &text, e) &&
		credentials_parse(ret_credentials, text.bytes,
			settings->profile ? settings->profile : "default", e);

	if (text.bytes)
		OPENSSL_cleanse(text.bytes, text.length);
	return ok;
}

static const char *variable(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

bool credentials_find(
	struct credentials *ret_credentials, const struct config_s3 *settings, struct err *e)
{
	if (settings->access_key_id || settings->secret_access_key)
		return set(ret_credentials, settings->access_key_id, settings->secret_access_key,
			settings->session_token, e);
	if (settings->credentials_file)
		return from_file(ret_credentials, settings, e);
	return set(ret_credentials, variable("AWS_ACCESS_KEY_ID"),
		variable("AWS_SECRET_ACCESS_KEY"), variable("AWS_SESSION_TOKEN"), e);
}

static void forget(char *secret)
{
	if (secret)
		OPENSSL_cleanse(secret, strlen(secret));
	free(secret);
}

void credentials_clear(struct credentials *credentials)
{
	free(credentials->access_key_id);
	forget(credentials->secret);
	forget(credentials->token);
	*credentials = (struct credentials){0};
}
