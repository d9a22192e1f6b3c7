/* SPDX-License-Identifier: PostgreSQL */
/* Sealing and opening streams. */
#include "families/backup/seal.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "base/mem.h"

static const char magic[] = "ATHSEAL1";

enum {
	MAGIC_BYTES = 8,
	ID_BYTES = 8,
	NONCE_BYTES = 12,
	TAG_BYTES = 16,
	NAME_BYTES = MAGIC_BYTES + ID_BYTES, /* authenticated with the wrapped key */
	HEAD_BYTES = NAME_BYTES + NONCE_BYTES + SEAL_KEY_BYTES + TAG_BYTES,
	LENGTH_BYTES = 4,
	AUTHENTICATED_BYTES = LENGTH_BYTES + 8,
};

#define LAST_CHUNK 0x80000000u

/* --- Keys */

static void name_key(const unsigned char *key, unsigned char *ret_id)
{
	static const char purpose[] = "athena backup key";
	unsigned char digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	if (!context || !EVP_DigestInit_ex(context, EVP_sha256(), NULL) ||
		!EVP_DigestUpdate(context, purpose, sizeof(purpose)) ||
		!EVP_DigestUpdate(context, key, SEAL_KEY_BYTES) ||
		!EVP_DigestFinal_ex(context, digest, NULL))
		abort();
	EVP_MD_CTX_free(context);
	memcpy(ret_id, digest, ID_BYTES);
}

static void name_text(const unsigned char *id, char *text)
{
	for (int i = 0; i < ID_BYTES; i++)
		snprintf(text + i * 2, 3, "%02x", id[i]);
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_key(const char *line, size_t length, struct seal_key *key)
{
	unsigned char id[ID_BYTES];

	if (length != SEAL_KEY_BYTES * 2)
		return false;
	for (size_t i = 0; i < SEAL_KEY_BYTES; i++) {
		int high = digit(line[i * 2]), low = digit(line[i * 2 + 1]);

		if (high < 0 || low < 0)
			return false;
		key->bytes[i] = (unsigned char)(high * 16 + low);
	}
	name_key(key->bytes, id);
	name_text(id, key->id);
	return true;
}

bool seal_keys_add(struct seal_keys *keys, const char *text, const char *origin, struct err *e)
{
	for (int number = 1; *text; number++) {
		size_t line = strcspn(text, "\n"), length = line;

		while (length > 0 && strchr(" \t\r", text[length - 1]))
			length--;
		if (length > 0 && text[0] != '#') {
			if (keys->count == SEAL_KEYS_MAX)
				return err_set(e, ERR_CONFIG, "%s: more than %d keys", origin,
					SEAL_KEYS_MAX);
			if (!parse_key(text, length, &keys->keys[keys->count]))
				return err_set(e, ERR_CONFIG,
					"%s: line %d is no key, which is 64 hexadecimal digits",
					origin, number);
			keys->count++;
		}
		text += line + (text[line] == '\n');
	}
	return true;
}

void seal_keys_clear(struct seal_keys *keys)
{
	OPENSSL_cleanse(keys, sizeof(*keys));
}

/* --- One message of AES-256-GCM */

static bool cipher_failed(struct err *e)
{
	return err_code(e, ERR_TRANSIENT, "cipher", "libcrypto refuses to encrypt");
}

static bool encrypt(EVP_CIPHER_CTX *cipher, const unsigned char *key, const unsigned char *nonce,
	const void *known, int known_length, const void *plain, int length, unsigned char *out)
{
	int n = 0, rest = 0;

	return EVP_EncryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, key, nonce) &&
		EVP_EncryptUpdate(cipher, NULL, &n, known, known_length) &&
		(length == 0 || EVP_EncryptUpdate(cipher, out, &n, plain, length)) &&
		EVP_EncryptFinal_ex(cipher, out + length, &rest) &&
		EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, out + length);
}

/* `sealed` is so many bytes of ciphertext and the tag. */
static bool decrypt(EVP_CIPHER_CTX *cipher, const unsigned char *key, const unsigned char *nonce,
	const void *known, int known_length, const unsigned char *sealed, int length,
	unsigned char *out)
{
	unsigned char tag[TAG_BYTES];
	int n = 0, rest = 0;

	memcpy(tag, sealed + length, TAG_BYTES);
	return EVP_DecryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, key, nonce) &&
		EVP_DecryptUpdate(cipher, NULL, &n, known, known_length) &&
		(length == 0 || EVP_DecryptUpdate(cipher, out, &n, sealed, length)) &&
		EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, tag) &&
		EVP_DecryptFinal_ex(cipher, out + length, &rest) > 0;
}

static void put_number(unsigned char *bytes, int count, uint64_t number)
{
	for (int i = 0; i < count; i++)
		bytes[i] = (unsigned char)(number >> (8 * (count - 1 - i)));
}

static uint32_t get_length(const char *bytes)
{
	const unsigned char *b = (const unsigned char *)bytes;

	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* A key seals one stream, so that numbers do for nonces. */
static void describe_chunk(
	uint32_t head, uint64_t index, unsigned char *nonce, unsigned char *authenticated)
{
	memset(nonce, 0, NONCE_BYTES);
	put_number(nonce + NONCE_BYTES - 8, 8, index);
	put_number(authenticated, LENGTH_BYTES, head);
	put_number(authenticated + LENGTH_BYTES, 8, index);
}

/* --- Sealing */

bool sealer_begin(struct sealer *sealer, const struct seal_key *key, store_take *take,
	void *context, struct err *e)
{
	unsigned char head[HEAD_BYTES], *nonce = head + NAME_BYTES;

	*sealer = (struct sealer){.cipher = EVP_CIPHER_CTX_new(), .take = take, .context = context};
	memcpy(head, magic, MAGIC_BYTES);
	name_key(key->bytes, head + MAGIC_BYTES);
	if (!sealer->cipher || RAND_bytes(sealer->key, SEAL_KEY_BYTES) != 1 ||
		RAND_bytes(nonce, NONCE_BYTES) != 1 ||
		!encrypt(sealer->cipher, key->bytes, nonce, head, NAME_BYTES, sealer->key,
			SEAL_KEY_BYTES, nonce + NONCE_BYTES))
		return cipher_failed(e);
	return take(context, head, sizeof(head), e);
}

static bool seal_chunk(struct sealer *sealer, bool is_last, struct err *e)
{
	uint32_t length = (uint32_t)sealer->chunk.length;
	uint32_t head = length | (is_last ? LAST_CHUNK : 0);
	unsigned char nonce[NONCE_BYTES], authenticated[AUTHENTICATED_BYTES], *out;
	size_t size = LENGTH_BYTES + length + TAG_BYTES;

	describe_chunk(head, sealer->index++, nonce, authenticated);
	buf_reset(&sealer->out);
	out = (unsigned char *)buf_reserve(&sealer->out, size);
	memcpy(out, authenticated, LENGTH_BYTES);
	if (!encrypt(sealer->cipher, sealer->key, nonce, authenticated, sizeof(authenticated),
		    sealer->chunk.bytes, (int)length, out + LENGTH_BYTES))
		return cipher_failed(e);
	buf_reset(&sealer->chunk);
	return sealer->take(sealer->context, out, size, e);
}

bool sealer_add(struct sealer *sealer, const void *bytes, size_t length, struct err *e)
{
	const char *next = bytes;

	while (length > 0) {
		size_t room = SEAL_CHUNK_BYTES - sealer->chunk.length;
		size_t n = length < room ? length : room;

		buf_add(&sealer->chunk, next, n);
		next += n;
		length -= n;
		if (sealer->chunk.length == SEAL_CHUNK_BYTES && !seal_chunk(sealer, false, e))
			return false;
	}
	return true;
}

bool sealer_end(struct sealer *sealer, struct err *e)
{
	return seal_chunk(sealer, true, e);
}

void sealer_clear(struct sealer *sealer)
{
	EVP_CIPHER_CTX_free(sealer->cipher);
	buf_clear(&sealer->chunk);
	buf_clear(&sealer->out);
	OPENSSL_cleanse(sealer->key, sizeof(sealer->key));
	*sealer = (struct sealer){0};
}

/* --- Opening */

static bool damaged(struct err *e, const char *how)
{
	return err_code(e, ERR_PERMANENT, "damaged", "the encrypted stream %s", how);
}

void opener_begin(
	struct opener *opener, const struct seal_keys *keys, store_take *take, void *context)
{
	*opener = (struct opener){
		.keys = keys, .cipher = EVP_CIPHER_CTX_new(), .take = take, .context = context};
}

static const struct seal_key *find_key(
	const struct seal_keys *keys, const unsigned char *id, struct err *e)
{
	char text[SEAL_ID_TEXT];

	name_text(id, text);
	for (int i = 0; i < keys->count; i++)
		if (strcmp(keys->keys[i].id, text) == 0)
			return &keys->keys[i];
	err_code(e, ERR_PERMANENT, "no_key",
		"it is encrypted with key %s, which this worker does not have", text);
	return NULL;
}

static bool open_head(struct opener *opener, struct err *e)
{
	unsigned char head[HEAD_BYTES];
	const struct seal_key *key;

	memcpy(head, opener->in.bytes, sizeof(head));
	if (memcmp(head, magic, MAGIC_BYTES) != 0)
		return damaged(e, "does not begin as one");
	key = find_key(opener->keys, head + MAGIC_BYTES, e);
	if (!key)
		return false;
	if (!opener->cipher ||
		!decrypt(opener->cipher, key->bytes, head + NAME_BYTES, head, NAME_BYTES,
			head + NAME_BYTES + NONCE_BYTES, SEAL_KEY_BYTES, opener->key))
		return damaged(e, "has another head than it was given");
	buf_drop(&opener->in, sizeof(head));
	opener->has_key = true;
	return true;
}

/* *ret_waits: what is there does not make a chunk yet. */
static bool open_chunk(struct opener *opener, bool *ret_waits, struct err *e)
{
	unsigned char nonce[NONCE_BYTES], authenticated[AUTHENTICATED_BYTES], *out;
	uint32_t head, length;

	*ret_waits = opener->in.length < LENGTH_BYTES;
	if (*ret_waits)
		return true;
	head = get_length(opener->in.bytes);
	length = head & ~LAST_CHUNK;
	if (length > SEAL_CHUNK_BYTES)
		return damaged(e, "has a chunk that is too long");
	*ret_waits = opener->in.length < LENGTH_BYTES + length + TAG_BYTES;
	if (*ret_waits)
		return true;
	describe_chunk(head, opener->index++, nonce, authenticated);
	buf_reset(&opener->out);
	out = (unsigned char *)buf_reserve(&opener->out, length + 1);
	if (!decrypt(opener->cipher, opener->key, nonce, authenticated, sizeof(authenticated),
		    (const unsigned char *)opener->in.bytes + LENGTH_BYTES, (int)length, out))
		return damaged(e, "is not what was written");
	buf_drop(&opener->in, LENGTH_BYTES + length + TAG_BYTES);
	opener->is_over = head & LAST_CHUNK;
	return length == 0 || opener->take(opener->context, out, length, e);
}

bool opener_add(struct opener *opener, const void *bytes, size_t length, struct err *e)
{
	bool waits = false;

	buf_add(&opener->in, bytes, length);
	if (!opener->has_key) {
		if (opener->in.length < HEAD_BYTES)
			return true;
		if (!open_head(opener, e))
			return false;
	}
	while (!waits && !opener->is_over)
		if (!open_chunk(opener, &waits, e))
			return false;
	return opener->in.length == 0 || !opener->is_over || damaged(e, "goes on after its end");
}

bool opener_end(struct opener *opener, struct err *e)
{
	return opener->is_over || damaged(e, "has lost its end");
}

void opener_clear(struct opener *opener)
{
	EVP_CIPHER_CTX_free(opener->cipher);
	buf_clear(&opener->in);
	buf_clear(&opener->out);
	OPENSSL_cleanse(opener->key, sizeof(opener->key));
	*opener = (struct opener){0};
}
