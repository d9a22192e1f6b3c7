/* SPDX-License-Identifier: PostgreSQL */
/*
 * Bytes on their way into a store and back: counted, hashed, encrypted where there is a key.
 *
 * Two digests are kept of each object: of what it means (what pg_dump wrote), and of what is
 * stored. Without encryption they are the same. Memory: a chunk or two.
 */
#ifndef ATHENA_FAMILIES_BACKUP_FLOW_H
#define ATHENA_FAMILIES_BACKUP_FLOW_H

#include "families/backup/seal.h"

struct digest {
	EVP_MD_CTX *context;
	int64_t bytes;
	char sha256[65]; /* in hexadecimal, once it has ended */
};

void digest_begin(struct digest *digest);
void digest_add(struct digest *digest, const void *bytes, size_t length);
void digest_end(struct digest *digest);
void digest_clear(struct digest *digest);

/* Zero-initialise; release with flow_clear(), which aborts an upload that did not end. */
struct flow {
	struct digest plain, stored;
	struct store_upload *upload;
	struct sealer sealer;
	bool is_sealed;
};

/* `key` NULL: not encrypted. */
MUSTCHECK bool flow_begin(struct flow *flow, struct store *store, const char *key_of_object,
	const struct seal_key *key, struct err *e);
MUSTCHECK bool flow_write(struct flow *flow, const void *bytes, size_t length, struct err *e);

/*
 * Completes the upload, and settles what an unanswered completion has left open: the object is
 * there with all its bytes, or it is an error.
 */
MUSTCHECK bool flow_end(struct flow *flow, struct err *e);
void flow_clear(struct flow *flow);

/*
 * Reads all of an object and hands on what it means; flow->plain and stored tell what was read.
 * is_sealed: it is encrypted, and one of `keys` must open it.
 */
MUSTCHECK bool flow_read(struct flow *flow, struct store *store, const char *key_of_object,
	bool is_sealed, const struct seal_keys *keys, store_take *take, void *context,
	struct err *e);

#endif
