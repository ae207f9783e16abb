/*
 * AEAD by libsodium: ChaCha20-Poly1305 (RFC 8439, section 2.8) out of its two halves.
 *
 * How it works. libsodium's AEAD asks its ChaCha20 for one block, the key of Poly1305, and then for
 * the text. Its vector code takes 256 bytes and more at a time; what is left over goes block by
 * block, and that costs as much as everything else: 988 ns for 1420 bytes, 594 ns for 1536. So the
 * keystream is made here in one call, block 0 and text together, rounded up to whole strides, and
 * the text is combined with it afterwards. 1463 ns a message of 1420 bytes became about 950.
 *
 *	keystream  | block 0: Poly1305's key, 32 bytes of 64 | text's, len bytes | not used |
 *
 * Opening makes the keystream first as well, but looks at the tag before the text is touched.
 * The keystream lives in the locked memory of the thread and is wiped after each burst.
 */
#include <errno.h>
#include <string.h>

#include <sodium.h>

#include <convoy/base/wire.h>
#include <convoy/crypto/aead.h>

#include "internal.h"

_Static_assert((int)crypto_stream_chacha20_ietf_KEYBYTES == CV_AEAD_KEY_SIZE, "RFC 8439");
_Static_assert((int)crypto_onetimeauth_BYTES == CV_AEAD_TAG_SIZE, "RFC 8439");
_Static_assert(sizeof(struct cv_aead_nonce) == crypto_stream_chacha20_ietf_NONCEBYTES, "RFC 8439");

enum {
	BLOCK = 64,
	STRIDE = 256, /* what the vector code takes at a time: 4 blocks */
	TEXT_MAX = 65535,
	KEYSTREAM_MAX = (BLOCK + TEXT_MAX + STRIDE - 1) / STRIDE * STRIDE,
};

static int sodium_new(void **ret_self)
{
	*ret_self = sodium_malloc(KEYSTREAM_MAX);
	return *ret_self ? 0 : -ENOMEM;
}

static void sodium_done(void *self)
{
	sodium_free(self);
}

/* Return: bytes of keystream that were made. */
static size_t make_keystream(uint8_t *keystream, const struct cv_aead_job *job)
{
	struct cv_aead_nonce nonce = { .counter = cv_le64_of(job->counter) };
	size_t size = (BLOCK + (size_t)job->len + STRIDE - 1) / STRIDE * STRIDE;

	crypto_stream_chacha20_ietf(keystream, size, (const uint8_t *)&nonce, job->key->key);
	return size;
}

/* The tag of the ciphertext: no additional data, padding to 16, both lengths. */
static void make_tag(const struct cv_aead_job *job, const uint8_t *key,
		     uint8_t ret_tag[CV_AEAD_TAG_SIZE])
{
	static const uint8_t zeros[16];
	struct {
		cv_le64 additional, text;
	} lengths = { cv_le64_of(0), cv_le64_of(job->len) };
	crypto_onetimeauth_state state;

	crypto_onetimeauth_init(&state, key);
	crypto_onetimeauth_update(&state, job->text, job->len);
	crypto_onetimeauth_update(&state, zeros, -job->len & 15);
	crypto_onetimeauth_update(&state, (const uint8_t *)&lengths, sizeof(lengths));
	crypto_onetimeauth_final(&state, ret_tag);
}

/* Vectors of the compiler's: whatever the machine has, at any address. */
typedef uint64_t wide __attribute__((vector_size(32), aligned(1), may_alias));

static void combine(uint8_t *text, const uint8_t *keystream, size_t len)
{
	for (; len >= sizeof(wide);
	     len -= sizeof(wide), text += sizeof(wide), keystream += sizeof(wide))
		*(wide *)text ^= *(const wide *)keystream;
	for (; len > 0; len--)
		*text++ ^= *keystream++;
}

static void sodium_seal(void *self, struct cv_aead_job *jobs, size_t n)
{
	uint8_t *keystream = self;
	size_t size, used = 0;

	for (struct cv_aead_job *job = jobs; job < jobs + n; job++) {
		size = make_keystream(keystream, job);
		used = size > used ? size : used;
		combine(job->text, keystream + BLOCK, job->len);
		make_tag(job, keystream, job->text + job->len);
	}
	sodium_memzero(keystream, used);
}

static void sodium_open(void *self, struct cv_aead_job *jobs, size_t n)
{
	uint8_t *keystream = self, tag[CV_AEAD_TAG_SIZE];
	size_t size, used = 0;

	for (struct cv_aead_job *job = jobs; job < jobs + n; job++) {
		size = make_keystream(keystream, job);
		used = size > used ? size : used;
		make_tag(job, keystream, tag);
		job->ok = sodium_memcmp(tag, job->text + job->len, CV_AEAD_TAG_SIZE) == 0;
		if (job->ok)
			combine(job->text, keystream + BLOCK, job->len);
	}
	sodium_memzero(keystream, used);
}

const struct cv_aead_provider cv_aead_sodium = {
	.name = "libsodium",
	.new = sodium_new,
	.free = sodium_done,
	.seal = sodium_seal,
	.open = sodium_open,
};
