/* AEAD by libsodium: one call a message, no state. The provider that is always there. */
#include <sodium.h>

#include <convoy/base/wire.h>
#include <convoy/crypto/aead.h>

#include "internal.h"

_Static_assert((int)crypto_aead_chacha20poly1305_ietf_KEYBYTES == CV_AEAD_KEY_SIZE, "RFC 8439");
_Static_assert((int)crypto_aead_chacha20poly1305_ietf_ABYTES == CV_AEAD_TAG_SIZE, "RFC 8439");

_Static_assert(sizeof(struct cv_aead_nonce) == crypto_aead_chacha20poly1305_ietf_NPUBBYTES,
	       "RFC 8439");

static int sodium_new(void **ret_self)
{
	*ret_self = NULL;
	return 0;
}

static void sodium_done(void *self)
{
}

static void sodium_seal(void *self, struct cv_aead_job *jobs, size_t n)
{
	struct cv_aead_nonce nonce = { 0 };
	struct cv_aead_job *job;

	for (job = jobs; job < jobs + n; job++) {
		nonce.counter = cv_le64_of(job->counter);
		crypto_aead_chacha20poly1305_ietf_encrypt_detached(
			job->text, job->text + job->len, NULL, job->text, job->len, NULL, 0, NULL,
			(const unsigned char *)&nonce, job->key->key);
	}
}

static void sodium_open(void *self, struct cv_aead_job *jobs, size_t n)
{
	struct cv_aead_nonce nonce = { 0 };
	struct cv_aead_job *job;

	for (job = jobs; job < jobs + n; job++) {
		nonce.counter = cv_le64_of(job->counter);
		job->ok = crypto_aead_chacha20poly1305_ietf_decrypt_detached(
				  job->text, NULL, job->text, job->len, job->text + job->len, NULL,
				  0, (const unsigned char *)&nonce, job->key->key) == 0;
	}
}

const struct cv_aead_provider cv_aead_sodium = {
	.name = "libsodium",
	.new = sodium_new,
	.free = sodium_done,
	.seal = sodium_seal,
	.open = sodium_open,
};
