/* SPDX-License-Identifier: PostgreSQL */
/* Log lines, in logfmt or JSON. */
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/redact.h"
#include "base/utf8.h"

/* Process-wide, set once at start. */
static struct {
	enum log_level least;
	enum log_format format;
} setup = {LOG_INFO, LOG_LOGFMT};

static const char *const level_names[] = {
	[LOG_DEBUG] = "debug",
	[LOG_INFO] = "info",
	[LOG_WARN] = "warn",
	[LOG_ERROR] = "error",
};

void log_setup(enum log_level least, enum log_format format)
{
	setup.least = least;
	setup.format = format;
}

bool log_wants(enum log_level level)
{
	return level >= setup.least;
}

bool log_level_find(const char *name, enum log_level *ret_level)
{
	for (size_t i = 0; i < ARRAY_LENGTH(level_names); i++)
		if (strcmp(name, level_names[i]) == 0) {
			*ret_level = (enum log_level)i;
			return true;
		}
	return false;
}

static void add_time(struct buf *line)
{
	int64_t now_ms = clock_wall_ms();
	time_t seconds = now_ms / 1000;
	struct tm utc;
	char text[32];

	gmtime_r(&seconds, &utc);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
	buf_printf(line, "%s.%03dZ", text, (int)(now_ms % 1000));
}

static void add_escaped(struct buf *line, const char *character, size_t length)
{
	static const char escaped[] = "\"\\\n\r\t";
	static const char letters[] = "\"\\nrt";
	const char *found = length == 1 ? strchr(escaped, *character) : NULL;

	if (length == 0)
		buf_char(line, '?');
	else if (found)
		buf_printf(line, "\\%c", letters[found - escaped]);
	else if (length == 1 && (*character < ' ' || *character == 0x7f))
		buf_printf(line, "\\u%04x", (unsigned)*character);
	else
		buf_add(line, character, length);
}

/* As a JSON string, which is how logfmt quotes, too. What is no UTF-8 becomes '?'. */
static void add_quoted(struct buf *line, const char *text)
{
	size_t left = strlen(text);

	buf_char(line, '"');
	while (left > 0) {
		size_t length = utf8_length(text, left);

		add_escaped(line, text, length);
		text += length > 0 ? length : 1;
		left -= length > 0 ? length : 1;
	}
	buf_char(line, '"');
}

/* True for a value that logfmt takes without quotes. */
static bool is_bare(const char *text)
{
	size_t left = strlen(text);

	if (left == 0)
		return false;
	while (left > 0) {
		size_t length = utf8_length(text, left);

		if (length == 0 || *text == '"' || *text == '=' || *text == 0x7f ||
			(length == 1 && *text <= ' '))
			return false;
		text += length;
		left -= length;
	}
	return true;
}

static void add_text(struct buf *line, const char *text)
{
	char *safe CLEANUP(free_ptr) = redact_dup(text);

	if (setup.format == LOG_LOGFMT && is_bare(safe))
		buf_text(line, safe);
	else
		add_quoted(line, safe);
}

static void add_fields(struct buf *line, const struct log_field *fields)
{
	for (const struct log_field *field = fields; field->key; field++) {
		buf_printf(line, setup.format == LOG_JSON ? ",\"%s\":" : " %s=", field->key);
		if (field->text)
			add_text(line, field->text);
		else
			buf_printf(line, "%" PRId64, field->number);
	}
}

/* A full pipe makes us wait, as a blocking descriptor would; any other failure loses the line. */
static void write_line(const struct buf *line)
{
	size_t written = 0;

	while (written < line->length) {
		ssize_t n = write(STDERR_FILENO, line->bytes + written, line->length - written);

		if (n >= 0)
			written += (size_t)n;
		else if (errno == EAGAIN)
			poll(&(struct pollfd){.fd = STDERR_FILENO, .events = POLLOUT}, 1, -1);
		else if (errno != EINTR)
			return;
	}
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
	struct buf line CLEANUP(buf_clear) = {0};
	bool is_json = setup.format == LOG_JSON;
	int saved = errno;

	buf_text(&line, is_json ? "{\"ts\":\"" : "");
	add_time(&line);
	buf_printf(&line, is_json ? "\",\"level\":\"%s\",\"event\":\"%s\"" : " %s %s",
		level_names[level], event);
	add_fields(&line, fields);
	buf_text(&line, is_json ? "}\n" : "\n");
	write_line(&line);
	errno = saved;
}
