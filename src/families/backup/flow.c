/* SPDX-License-Identifier: PostgreSQL */
/* Into the store and back. */
#include "families/backup/flow.h"

#include <inttypes.h>

#include "base/mem.h"

void digest_begin(struct digest *digest)
{
	*digest = (struct digest){.context = EVP_MD_CTX_new()};
	if (!digest->context || !EVP_DigestInit_ex(digest->context, EVP_sha256(), NULL))
		abort();
}

void digest_add(struct digest *digest, const void *bytes, size_t length)
{
	if (!EVP_DigestUpdate(digest->context, bytes, length))
		abort();
	digest->bytes += (int64_t)length;
}

void digest_end(struct digest *digest)
{
	unsigned char bytes[EVP_MAX_MD_SIZE];
	unsigned length = 0;

	if (!EVP_DigestFinal_ex(digest->context, bytes, &length))
		abort();
	for (unsigned i = 0; i < length; i++)
		snprintf(digest->sha256 + i * 2, 3, "%02x", bytes[i]);
}

void digest_clear(struct digest *digest)
{
	EVP_MD_CTX_free(digest->context);
	*digest = (struct digest){0};
}

static bool put(void *context, const void *bytes, size_t length, struct err *e)
{
	struct flow *flow = context;

	digest_add(&flow->stored, bytes, length);
	return store_write(flow->upload, bytes, length, e);
}

bool flow_begin(struct flow *flow, struct store *store, const char *key_of_object,
	const struct seal_key *key, struct err *e)
{
	*flow = (struct flow){.is_sealed = key};
	digest_begin(&flow->plain);
	digest_begin(&flow->stored);
	return store_begin(store, key_of_object, &flow->upload, e) &&
		(!key || sealer_begin(&flow->sealer, key, put, flow, e));
}

bool flow_write(struct flow *flow, const void *bytes, size_t length, struct err *e)
{
	digest_add(&flow->plain, bytes, length);
	return flow->is_sealed ? sealer_add(&flow->sealer, bytes, length, e)
			       : put(flow, bytes, length, e);
}

static bool check_size(struct flow *flow, struct err *e)
{
	struct store_upload *upload = flow->upload;
	struct store_object object;

	if (!store_stat(upload->store, upload->key, &object, e))
		return false;
	return object.bytes == flow->stored.bytes ||
		err_code(e, ERR_TRANSIENT, "wrong_size",
			"%s has %" PRId64 " bytes in the store, and %" PRId64 " were written",
			upload->key, object.bytes, flow->stored.bytes);
}

bool flow_end(struct flow *flow, struct err *e)
{
	struct err unseen;

	if (flow->is_sealed && !sealer_end(&flow->sealer, e))
		return false;
	digest_end(&flow->plain);
	digest_end(&flow->stored);
	if (store_complete(flow->upload, e))
		return check_size(flow, e);
	if (!err_is_retryable(e) || !check_size(flow, &unseen))
		return false;
	flow->upload->is_over = true; /* it was completed, and only the answer was lost */
	return true;
}

void flow_clear(struct flow *flow)
{
	store_upload_free(&flow->upload);
	sealer_clear(&flow->sealer);
	digest_clear(&flow->plain);
	digest_clear(&flow->stored);
}

/* The way back: store -> stored digest -> opener -> plain digest -> take. */
struct reading {
	struct flow *flow;
	struct opener opener;
	store_take *take;
	void *context;
};

static bool take_plain(void *context, const void *bytes, size_t length, struct err *e)
{
	struct reading *reading = context;

	digest_add(&reading->flow->plain, bytes, length);
	return reading->take(reading->context, bytes, length, e);
}

static bool take_stored(void *context, const void *bytes, size_t length, struct err *e)
{
	struct reading *reading = context;

	digest_add(&reading->flow->stored, bytes, length);
	return reading->flow->is_sealed ? opener_add(&reading->opener, bytes, length, e)
					: take_plain(context, bytes, length, e);
}

static void reading_clear(struct reading *reading)
{
	opener_clear(&reading->opener);
}

bool flow_read(struct flow *flow, struct store *store, const char *key_of_object, bool is_sealed,
	const struct seal_keys *keys, store_take *take, void *context, struct err *e)
{
	struct reading reading CLEANUP(reading_clear) = {
		.flow = flow, .take = take, .context = context};

	*flow = (struct flow){.is_sealed = is_sealed};
	digest_begin(&flow->plain);
	digest_begin(&flow->stored);
	opener_begin(&reading.opener, keys, take_plain, &reading);
	if (!store_read(store, key_of_object, take_stored, &reading, e) ||
		(is_sealed && !opener_end(&reading.opener, e)))
		return false;
	digest_end(&flow->plain);
	digest_end(&flow->stored);
	return true;
}
