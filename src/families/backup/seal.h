/* SPDX-License-Identifier: PostgreSQL */
/*
 * Encryption of a stream, so that whoever reads the store learns nothing and can change nothing
 * without being noticed: AES-256-GCM in chunks, under a key of its own that is wrapped by ours.
 *
 *     8   "ATHSEAL1"
 *     8   which key wrapped it: the first bytes of a digest of the key
 *     12  nonce, 32 wrapped key of this stream, 16 tag (AES-256-GCM; the first 16 bytes are
 *         authenticated with it)
 *     then chunks: 4 bytes, of which the highest bit says that it is the last and the others how
 *     long it is, most significant first; so many bytes of ciphertext; 16 of tag
 *
 * A chunk's nonce is its number, and number and head are authenticated: chunks that are changed,
 * cut off, swapped or repeated are found. Memory: one chunk. Keys are overwritten when released.
 * Everything here is pure but for the random numbers.
 */
#ifndef ATHENA_FAMILIES_BACKUP_SEAL_H
#define ATHENA_FAMILIES_BACKUP_SEAL_H

#include <openssl/evp.h>
#include <stdint.h>

#include "base/buf.h"
#include "store/store.h"

enum {
	SEAL_KEY_BYTES = 32,
	SEAL_ID_TEXT = 17, /* 16 hexadecimal digits */
	SEAL_KEYS_MAX = 8,
	SEAL_CHUNK_BYTES = 256 * 1024,
};

struct seal_key {
	unsigned char bytes[SEAL_KEY_BYTES];
	char id[SEAL_ID_TEXT];
};

/* The first seals; each opens what it has sealed. */
struct seal_keys {
	struct seal_key keys[SEAL_KEYS_MAX];
	int count;
};

/*
 * Adds the keys in a text: 64 hexadecimal digits each, on lines of their own; lines that are empty
 * or begin with # do not count. ERR_CONFIG, naming `origin` and never a key.
 */
MUSTCHECK bool seal_keys_add(
	struct seal_keys *keys, const char *text, const char *origin, struct err *e);
void seal_keys_clear(struct seal_keys *keys);

/* Zero-initialise; what is sealed goes to `take`. Release with sealer_clear(). */
struct sealer {
	EVP_CIPHER_CTX *cipher;
	store_take *take;
	void *context;
	unsigned char key[SEAL_KEY_BYTES];
	struct buf chunk, out;
	uint64_t index;
};

/* Writes the head. */
MUSTCHECK bool sealer_begin(struct sealer *sealer, const struct seal_key *key, store_take *take,
	void *context, struct err *e);
MUSTCHECK bool sealer_add(struct sealer *sealer, const void *bytes, size_t length, struct err *e);

/* Writes the last chunk. */
MUSTCHECK bool sealer_end(struct sealer *sealer, struct err *e);
void sealer_clear(struct sealer *sealer);

/* The way back. Nothing is handed to `take` that has not been authenticated. */
struct opener {
	const struct seal_keys *keys;
	EVP_CIPHER_CTX *cipher;
	store_take *take;
	void *context;
	unsigned char key[SEAL_KEY_BYTES];
	struct buf in, out;
	uint64_t index;
	bool has_key, is_over;
};

void opener_begin(
	struct opener *opener, const struct seal_keys *keys, store_take *take, void *context);

/*
 * ERR_PERMANENT "damaged" for what is not as it was sealed, "no_key" if none of ours has sealed it.
 */
MUSTCHECK bool opener_add(struct opener *opener, const void *bytes, size_t length, struct err *e);

/* ERR_PERMANENT "damaged" when the end is missing. */
MUSTCHECK bool opener_end(struct opener *opener, struct err *e);
void opener_clear(struct opener *opener);

#endif
