/* SPDX-License-Identifier: PostgreSQL */
/* Newline-delimited JSON, line by line. */
#include "cli/ndjson.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

enum { READ_BYTES = 65536 };

bool ndjson_open(struct ndjson *ret_file, const char *path, struct err *e)
{
	bool is_stdin = strcmp(path, "-") == 0;
	struct ndjson file = {.name = is_stdin ? "standard input" : path, .size = -1};
	struct stat status;

	file.fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	if (file.fd < 0)
		return err_errno(e, ERR_CONFIG, "opening %s", path);
	if (fstat(file.fd, &status) == 0 && S_ISREG(status.st_mode))
		file.size = status.st_size;
	*ret_file = file;
	return true;
}

void ndjson_close(struct ndjson *file)
{
	buf_clear(&file->bytes);
	if (file->fd != STDIN_FILENO)
		close_fd(&file->fd);
	file->fd = -1;
}

static bool read_more(struct ndjson *file, struct err *e)
{
	ssize_t length;

	buf_drop(&file->bytes, file->at);
	file->looked -= file->at;
	file->at = 0;
	do
		length = read(file->fd, buf_reserve(&file->bytes, READ_BYTES), READ_BYTES);
	while (length < 0 && errno == EINTR);
	if (length < 0)
		return err_errno(e, ERR_CONFIG, "reading %s", file->name);
	buf_added(&file->bytes, (size_t)length);
	file->read += length;
	file->is_end = length == 0;
	return true;
}

/* The end of the line that begins at `at`: its newline, or that of the file; NULL: not read yet. */
static const char *find_end(struct ndjson *file)
{
	const char *newline = file->bytes.length > file->looked
		? memchr(file->bytes.bytes + file->looked, '\n', file->bytes.length - file->looked)
		: NULL;

	file->looked = file->bytes.length;
	if (newline)
		return newline;
	return file->is_end ? file->bytes.bytes + file->bytes.length : NULL;
}

static bool too_long(const struct ndjson *file, struct err *e)
{
	return err_set(e, ERR_CONFIG, "%s:%" PRId64 ": a line has at most %d MiB", file->name,
		file->line, NDJSON_LINE_MIB);
}

/* A whole line without its newline; *ret_line NULL: there is none. */
static bool next_line(struct ndjson *file, const char **ret_line, size_t *ret_length, struct err *e)
{
	const char *end;
	size_t length;

	file->line++;
	while (!(end = find_end(file))) {
		if (file->bytes.length - file->at > NDJSON_LINE_MAX)
			return too_long(file, e);
		if (!read_more(file, e))
			return false;
	}
	length = (size_t)(end - file->bytes.bytes) - file->at;
	if (length > NDJSON_LINE_MAX)
		return too_long(file, e);
	*ret_line = file->bytes.bytes + file->at;
	*ret_length = length;
	if (file->is_end && file->at == file->bytes.length) {
		*ret_line = NULL;
		file->line--;
	}
	file->at += length;
	if (file->at < file->bytes.length)
		file->at++; /* the newline */
	file->looked = file->at;
	return true;
}

static bool is_blank(const char *line, size_t length)
{
	while (length > 0 && strchr(" \t\r", line[length - 1]) && line[length - 1])
		length--;
	return length == 0;
}

static bool not_an_object(const struct ndjson *file, int64_t line, const char *what, struct err *e)
{
	return err_set(e, ERR_CONFIG,
		"%s:%" PRId64 ": %s; each line is a JSON object, such as {\"key\": 1}", file->name,
		line, what);
}

static bool parse(
	struct ndjson *file, const char *line, size_t length, json_t **ret_json, struct err *e)
{
	json_error_t error;
	json_t *json = json_loadb(line, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);

	if (!json)
		return err_set(e, ERR_CONFIG, "%s:%" PRId64 ": not JSON at column %d: %s",
			file->name, file->line, error.column, error.text);
	if (!json_is_object(json)) {
		json_decref(json);
		return not_an_object(file, file->line, "not an object", e);
	}
	*ret_json = json;
	return true;
}

bool ndjson_next(struct ndjson *file, struct ndjson_object *ret_object, struct err *e)
{
	struct ndjson_object object = {0};

	if (!next_line(file, &object.text, &object.length, e))
		return false;
	while (object.text && is_blank(object.text, object.length)) {
		if (!file->empty_line)
			file->empty_line = file->line;
		if (!next_line(file, &object.text, &object.length, e))
			return false;
	}
	if (object.text && file->empty_line)
		return not_an_object(file, file->empty_line, "an empty line", e);
	if (object.text && !parse(file, object.text, object.length, &object.json, e))
		return false;
	*ret_object = object;
	return true;
}
