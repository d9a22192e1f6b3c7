/* SPDX-License-Identifier: PostgreSQL */
/* Multipart uploads. */
#include "s3/s3_upload.h"

#include <openssl/evp.h>
#include <string.h>

#include "base/hex.h"
#include "base/mem.h"
#include "s3/answers.h"
#include "s3/call.h"
#include "s3/failure.h"

enum {
	BUFFERS = S3_PARTS_UNDER_WAY + 1,
	PARTS_OF_ONE_SIZE = 1000,
};

static const int64_t part_bytes_max = INT64_C(5) << 30;
static const int64_t object_bytes_max = INT64_C(5) << 40;

/* A buffer, and the part in it. */
struct slot {
	char *bytes;
	size_t size;   /* allocated */
	size_t length; /* filled */
	EVP_MD_CTX *digest;
	int number; /* 0: nothing in it */
	bool is_under_way;
	char sha256[SIGV4_HEX_BYTES];
	char number_text[12];
	struct config_pair query[3];
	struct call call;
};

/* A part that the server has. */
struct part {
	int64_t bytes;
	char *etag;
	char sha256[SIGV4_HEX_BYTES];
};

struct s3_upload {
	struct s3 *s3;
	char *key;
	char *id;
	struct slot slots[BUFFERS];
	struct slot *filling; /* NULL: none is free */
	int numbers;	      /* parts begun */
	int64_t written, acknowledged;
	struct part *parts;
	size_t part_room;
};

int64_t s3_part_bytes(int64_t first, int number)
{
	int64_t bytes = first;

	for (int n = number; n > PARTS_OF_ONE_SIZE && bytes < part_bytes_max;
		n -= PARTS_OF_ONE_SIZE)
		bytes *= 2;
	return bytes < part_bytes_max ? bytes : part_bytes_max;
}

/*
 * Begin.
 */

static bool create(struct s3_upload *upload, const struct config_pair *headers, struct err *e)
{
	const struct config_pair query[] = {{"uploads", ""}, {0}};
	struct call call CLEANUP(call_clear) = {0};
	struct buf id CLEANUP(buf_clear) = {0};

	if (!call_make(&call, upload->s3,
		    &(struct call_request){.method = "POST",
			    .key = upload->key,
			    .query = query,
			    .headers = headers},
		    e))
		return false;
	if (call.body.length == 0 ||
		!answer_text(call.body.bytes, call.body.length,
			"InitiateMultipartUploadResult/UploadId", &id))
		return call_failed_inside(&call, e);
	upload->id = buf_take(&id);
	return true;
}

bool s3_upload_begin(struct s3 *s3, const char *key, const struct config_pair *headers,
	struct s3_upload **ret_upload, struct err *e)
{
	struct s3_upload *upload CLEANUP(s3_upload_clear) = xcalloc(1, sizeof(*upload));

	upload->s3 = s3;
	upload->key = xstrdup(key);
	if (!create(upload, headers, e))
		return false;
	*ret_upload = TAKE(upload);
	return true;
}

const char *s3_upload_id(const struct s3_upload *upload)
{
	return upload->id;
}

/*
 * Parts.
 */

static void empty(struct slot *slot)
{
	call_clear(&slot->call);
	slot->number = 0;
	slot->length = 0;
	slot->is_under_way = false;
}

/* Into the list, and the slot is free again. */
static void keep_part(struct s3_upload *upload, struct slot *slot)
{
	size_t index = (size_t)slot->number - 1;

	if ((size_t)upload->numbers > upload->part_room) {
		size_t room = (size_t)upload->numbers * 2;

		upload->parts = xreallocarray(upload->parts, room, sizeof(*upload->parts));
		memset(upload->parts + upload->part_room, 0,
			(room - upload->part_room) * sizeof(*upload->parts));
		upload->part_room = room;
	}
	upload->parts[index] =
		(struct part){.bytes = (int64_t)slot->length, .etag = xstrdup(slot->call.etag)};
	memcpy(upload->parts[index].sha256, slot->sha256, sizeof(slot->sha256));
	upload->acknowledged += (int64_t)slot->length;
	empty(slot);
}

/* Takes in what has ended. */
static bool collect(struct s3_upload *upload, struct err *e)
{
	for (size_t i = 0; i < BUFFERS; i++) {
		struct slot *slot = &upload->slots[i];

		if (!slot->is_under_way || !slot->call.has_ended)
			continue;
		if (!slot->call.ok) {
			*e = slot->call.error;
			return err_in(e, "part %d", slot->number);
		}
		if (!slot->call.etag[0])
			return err_code(e, ERR_PERMANENT, "s3_refused",
				"part %d: the server gives it no ETag", slot->number);
		keep_part(upload, slot);
	}
	return true;
}

static int under_way(const struct s3_upload *upload)
{
	int count = 0;

	for (size_t i = 0; i < BUFFERS; i++)
		count += upload->slots[i].is_under_way;
	return count;
}

/* Until at most so many are under way. */
static bool wait_for_parts(struct s3_upload *upload, int most, struct err *e)
{
	int ready;

	for (;;) {
		if (!collect(upload, e))
			return false;
		if (under_way(upload) <= most)
			return true;
		if (!call_round(upload->s3, NULL, 0, -1, &ready, e))
			return false;
	}
}

static void send_part(struct s3_upload *upload, struct slot *slot)
{
	unsigned char digest[32];

	EVP_DigestFinal_ex(slot->digest, digest, NULL);
	hex_of(digest, sizeof(digest), slot->sha256);
	snprintf(slot->number_text, sizeof(slot->number_text), "%d", slot->number);
	slot->query[0] = (struct config_pair){"partNumber", slot->number_text};
	slot->query[1] = (struct config_pair){"uploadId", upload->id};
	slot->is_under_way = true;
	call_start(&slot->call, upload->s3,
		&(struct call_request){.method = "PUT",
			.key = upload->key,
			.query = slot->query,
			.body = slot->bytes,
			.length = slot->length,
			.sha256 = slot->sha256});
}

/* Lets parts go on that are under way, and takes in what has ended. Waits for nothing. */
static bool move_parts(struct s3_upload *upload, struct err *e)
{
	int ready;

	return (under_way(upload) == 0 || call_round(upload->s3, NULL, 0, 0, &ready, e)) &&
		collect(upload, e);
}

/* The slot that is being filled goes on its way. */
static bool send_filled(struct s3_upload *upload, struct err *e)
{
	if (!wait_for_parts(upload, S3_PARTS_UNDER_WAY - 1, e))
		return false;
	send_part(upload, TAKE(upload->filling));
	return true;
}

static struct slot *free_slot(struct s3_upload *upload)
{
	size_t i = 0;

	while (upload->slots[i].number)
		i++;
	return &upload->slots[i];
}

/* Buffers are replaced, not resized: what was in them is on the server. */
static void fit(struct slot *slot, size_t size)
{
	if (slot->size >= size)
		return;
	free(slot->bytes);
	slot->bytes = xmalloc(size);
	slot->size = size;
}

static bool begin_part(struct s3_upload *upload, struct err *e)
{
	struct slot *slot = free_slot(upload);

	if (upload->numbers == S3_PARTS_MAX)
		return err_code(e, ERR_PERMANENT, "s3_too_large",
			"more than %d parts: set backup.s3.part_size higher", S3_PARTS_MAX);
	slot->number = ++upload->numbers;
	fit(slot, (size_t)s3_part_bytes(upload->s3->settings->part_bytes, slot->number));
	if (!slot->digest)
		slot->digest = EVP_MD_CTX_new();
	if (!slot->digest || !EVP_DigestInit_ex(slot->digest, EVP_sha256(), NULL))
		abort();
	upload->filling = slot;
	return true;
}

static size_t fill(struct slot *slot, const char *bytes, size_t length)
{
	size_t room = slot->size - slot->length;

	if (length > room)
		length = room;
	memcpy(slot->bytes + slot->length, bytes, length);
	EVP_DigestUpdate(slot->digest, bytes, length);
	slot->length += length;
	return length;
}

bool s3_upload_write(struct s3_upload *upload, const void *bytes, size_t length, struct err *e)
{
	const char *at = bytes;

	if (!move_parts(upload, e))
		return false;
	if (upload->written + (int64_t)length > object_bytes_max)
		return err_code(e, ERR_PERMANENT, "s3_too_large", "an object holds 5 TiB at most");
	while (length > 0) {
		size_t filled;

		if (!upload->filling && !begin_part(upload, e))
			return false;
		filled = fill(upload->filling, at, length);
		at += filled;
		length -= filled;
		upload->written += (int64_t)filled;
		if (upload->filling->length == upload->filling->size && !send_filled(upload, e))
			return false;
	}
	return true;
}

int64_t s3_upload_acknowledged(const struct s3_upload *upload)
{
	return upload->acknowledged;
}

json_t *s3_upload_parts(const struct s3_upload *upload)
{
	json_t *list = json_array();

	for (int i = 0; i < upload->numbers; i++)
		if ((size_t)i < upload->part_room && upload->parts[i].etag)
			json_array_append_new(list,
				json_pack("{s:i, s:I, s:s, s:s}", "part", i + 1, "bytes",
					(json_int_t)upload->parts[i].bytes, "etag",
					upload->parts[i].etag, "sha256", upload->parts[i].sha256));
	return list;
}

/*
 * Complete.
 */

static void add_escaped(struct buf *xml, const char *text)
{
	for (; *text; text++) {
		if (strchr("&<>\"", *text))
			buf_printf(xml, "&#%d;", *text);
		else
			buf_char(xml, *text);
	}
}

static void list_parts(const struct s3_upload *upload, struct buf *xml)
{
	buf_text(xml, "<CompleteMultipartUpload>");
	for (int i = 0; i < upload->numbers; i++) {
		buf_printf(xml, "<Part><PartNumber>%d</PartNumber><ETag>&#34;", i + 1);
		add_escaped(xml, upload->parts[i].etag);
		buf_text(xml, "&#34;</ETag></Part>");
	}
	buf_text(xml, "</CompleteMultipartUpload>");
}

/* One try. Only an ETag in the answer is a success. */
static bool ask_to_complete(struct s3_upload *upload, const struct buf *xml,
	struct s3_object *ret_object, struct err *e)
{
	const struct config_pair query[] = {{"uploadId", upload->id}, {0}};
	const struct config_pair headers[] = {{"content-type", "application/xml"}, {0}};
	struct call call CLEANUP(call_clear) = {0};
	struct buf etag CLEANUP(buf_clear) = {0};

	if (!call_make(&call, upload->s3,
		    &(struct call_request){.method = "POST",
			    .key = upload->key,
			    .query = query,
			    .headers = headers,
			    .body = xml->bytes,
			    .length = xml->length,
			    .is_slow = true,
			    .is_tried_once = true},
		    e))
		return false;
	if (call.body.length == 0 ||
		!answer_text(call.body.bytes, call.body.length,
			"CompleteMultipartUploadResult/ETag", &etag))
		return call_failed_inside(&call, e);
	*ret_object = (struct s3_object){.bytes = upload->written};
	answer_etag(etag.bytes, ret_object->etag);
	return true;
}

/*
 * After a Complete that was not answered as one: is the object there? True when it is, false with
 * *why as it was when there is nothing, and with another error when that cannot be told.
 */
static bool look(struct s3_upload *upload, struct s3_object *ret_object, struct err *why)
{
	struct s3_object object;
	struct err e;

	if (!s3_head(upload->s3, upload->key, &object, &e)) {
		if (!failure_is(&e, "s3_not_found"))
			*why = e;
		return false;
	}
	if (object.bytes != upload->written)
		return err_code(why, ERR_PERMANENT, "s3_refused",
			"%.200s: an object of another length stands there", upload->key);
	*ret_object = object;
	return true;
}

static bool complete(struct s3_upload *upload, struct s3_object *ret_object, struct err *e)
{
	struct buf xml CLEANUP(buf_clear) = {0};

	list_parts(upload, &xml);
	for (int tries = 1;; tries++) {
		struct err why;

		if (ask_to_complete(upload, &xml, ret_object, e))
			return true;
		/* It may have been done all the same, and then the upload is gone. */
		if (!failure_may_pass(e) && !failure_is(e, "s3_not_found"))
			return false;
		if (look(upload, ret_object, e))
			return true;
		if (!failure_may_pass(e) || tries >= upload->s3->settings->tries)
			return false;
		why = *e;
		if (!call_pause(upload->s3, tries, &why, e))
			return false;
	}
}

/* There is no upload without parts. */
static bool put_nothing(struct s3_upload *upload, struct s3_object *ret_object, struct err *e)
{
	return s3_put(upload->s3, upload->key, "", 0, NULL, e) &&
		s3_head(upload->s3, upload->key, ret_object, e) && s3_upload_abort(upload, e);
}

bool s3_upload_complete(struct s3_upload *upload, struct s3_object *ret_object, struct err *e)
{
	if (upload->filling && !send_filled(upload, e))
		return false;
	if (!wait_for_parts(upload, 0, e))
		return false;
	return upload->numbers == 0 ? put_nothing(upload, ret_object, e)
				    : complete(upload, ret_object, e);
}

/*
 * End.
 */

bool s3_abort(struct s3 *s3, const char *key, const char *upload_id, struct err *e)
{
	const struct config_pair query[] = {{"uploadId", upload_id}, {0}};
	struct call call CLEANUP(call_clear) = {0};

	return call_make(&call, s3,
		       &(struct call_request){.method = "DELETE", .key = key, .query = query}, e) ||
		failure_is(e, "s3_not_found");
}

bool s3_upload_abort(struct s3_upload *upload, struct err *e)
{
	for (size_t i = 0; i < BUFFERS; i++)
		empty(&upload->slots[i]);
	upload->filling = NULL;
	return s3_abort(upload->s3, upload->key, upload->id, e);
}

void s3_upload_free(struct s3_upload *upload)
{
	if (!upload)
		return;
	for (size_t i = 0; i < BUFFERS; i++) {
		call_clear(&upload->slots[i].call);
		EVP_MD_CTX_free(upload->slots[i].digest);
		free(upload->slots[i].bytes);
	}
	for (size_t i = 0; i < upload->part_room; i++)
		free(upload->parts[i].etag);
	free(upload->parts);
	free(upload->key);
	free(upload->id);
	free(upload);
}
