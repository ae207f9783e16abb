/*
 * ChaCha20-Poly1305 (RFC 8439, section 2.8) out of its two halves.
 *
 * How it works. A library's AEAD asks its ChaCha20 for one block, the key of Poly1305, and then for
 * the text. Vector code takes many blocks at a time; what is left over goes block by block or byte
 * by byte, and that may cost as much as all the rest. So the keystream is made here in one call,
 * block 0 and text together, rounded up to whole strides, and the text is combined with it
 * afterwards.
 *
 *	keystream  | block 0: Poly1305's key, 32 bytes of 64 | text's, len bytes | not used |
 *
 * Opening makes the keystream first as well, but looks at the tag before the text is touched.
 * The keystream lives in the locked memory of the thread and is wiped after each burst.
 */
#include "aead_halves.h"

#include <string.h>

#include <sodium.h>

enum {
	BLOCK = 64,
	TEXT_MAX = 65535,
	STRIDE_MAX = 1024,
	KEYSTREAM_MAX = (BLOCK + TEXT_MAX + STRIDE_MAX - 1) / STRIDE_MAX * STRIDE_MAX,
};

uint8_t *cv_aead_halves_new(void)
{
	return sodium_malloc(KEYSTREAM_MAX);
}

void cv_aead_halves_free(uint8_t *keystream)
{
	sodium_free(keystream);
}

/* Return: bytes of keystream that were made. */
static size_t make_keystream(const struct cv_aead_halves *halves, void *self,
			     const struct cv_aead_job *job, uint8_t *keystream)
{
	struct cv_aead_nonce nonce = { .counter = cv_le64_of(job->counter) };
	size_t size = (BLOCK + (size_t)job->len + halves->stride - 1) & -halves->stride;

	halves->stream(self, job->key->key, &nonce, keystream, size);
	return size;
}

/* The tag of the ciphertext: no additional data, padding to 16, both lengths. */
static void make_tag(const struct cv_aead_halves *halves, void *self, const struct cv_aead_job *job,
		     const uint8_t *key, uint8_t ret_tag[CV_AEAD_TAG_SIZE])
{
	struct {
		uint8_t padding[16];
		cv_le64 additional, text;
	} tail = { .text = cv_le64_of(job->len) };
	size_t padding = -(size_t)job->len & 15;

	halves->mac(self, key, job->text, job->len, tail.padding + 16 - padding, padding + 16,
		    ret_tag);
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

void cv_aead_halves_seal(const struct cv_aead_halves *halves, void *self, uint8_t *keystream,
			 struct cv_aead_job *jobs, size_t n)
{
	size_t size, used = 0;

	for (struct cv_aead_job *job = jobs; job < jobs + n; job++) {
		size = make_keystream(halves, self, job, keystream);
		used = size > used ? size : used;
		combine(job->text, keystream + BLOCK, job->len);
		make_tag(halves, self, job, keystream, job->text + job->len);
	}
	sodium_memzero(keystream, used);
}

void cv_aead_halves_open(const struct cv_aead_halves *halves, void *self, uint8_t *keystream,
			 struct cv_aead_job *jobs, size_t n)
{
	uint8_t tag[CV_AEAD_TAG_SIZE];
	size_t size, used = 0;

	for (struct cv_aead_job *job = jobs; job < jobs + n; job++) {
		size = make_keystream(halves, self, job, keystream);
		used = size > used ? size : used;
		make_tag(halves, self, job, keystream, tag);
		job->ok = sodium_memcmp(tag, job->text + job->len, CV_AEAD_TAG_SIZE) == 0;
		if (job->ok)
			combine(job->text, keystream + BLOCK, job->len);
	}
	sodium_memzero(keystream, used);
}
