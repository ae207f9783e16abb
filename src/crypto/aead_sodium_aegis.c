/*
 * AEGIS-128L and AEGIS-256 by libsodium, since its 1.0.19.
 *
 * It gives and takes tags of 32 bytes only; those of 16 that the draft has as well are no part of
 * them. Each message is 16 bytes longer for that.
 */
#include <errno.h>
#include <string.h>

#include <sodium.h>

#include <convoy/crypto/aead.h>

#include "internal.h"

_Static_assert(crypto_aead_aegis256_KEYBYTES == CV_AEAD_KEY_SIZE, "AEGIS-256");
_Static_assert(crypto_aead_aegis128l_KEYBYTES <= CV_AEAD_KEY_SIZE, "AEGIS-128L has its first half");
_Static_assert(crypto_aead_aegis256_ABYTES == CV_AEAD_TAG_MAX &&
		       crypto_aead_aegis128l_ABYTES == CV_AEAD_TAG_MAX,
	       "cv_suite_tag_size()");

/* What differs between the two. */
struct kind {
	int (*encrypt)(unsigned char *c, unsigned char *mac, unsigned long long *maclen_p,
		       const unsigned char *m, unsigned long long mlen, const unsigned char *ad,
		       unsigned long long adlen, const unsigned char *nsec,
		       const unsigned char *npub, const unsigned char *k);
	int (*decrypt)(unsigned char *m, unsigned char *nsec, const unsigned char *c,
		       unsigned long long clen, const unsigned char *mac, const unsigned char *ad,
		       unsigned long long adlen, const unsigned char *npub, const unsigned char *k);
	size_t nonce_size;
};

static const struct kind kind_128l = {
	.encrypt = crypto_aead_aegis128l_encrypt_detached,
	.decrypt = crypto_aead_aegis128l_decrypt_detached,
	.nonce_size = crypto_aead_aegis128l_NPUBBYTES,
};

static const struct kind kind_256 = {
	.encrypt = crypto_aead_aegis256_encrypt_detached,
	.decrypt = crypto_aead_aegis256_decrypt_detached,
	.nonce_size = crypto_aead_aegis256_NPUBBYTES,
};

/* Zeros, and the counter as its last bytes. */
struct nonce {
	uint8_t b[crypto_aead_aegis256_NPUBBYTES];
};

static struct nonce nonce_of(const struct kind *kind, const struct cv_aead_job *job)
{
	const cv_le64 counter = cv_le64_of(job->counter);
	struct nonce nonce = { 0 };

	memcpy(nonce.b + kind->nonce_size - sizeof(counter), &counter, sizeof(counter));
	return nonce;
}

static void seal(const struct kind *kind, struct cv_aead_job *jobs, size_t n)
{
	for (struct cv_aead_job *job = jobs; job < jobs + n; job++) {
		const struct nonce nonce = nonce_of(kind, job);

		kind->encrypt(job->text, job->text + job->len, NULL, job->text, job->len,
			      cv_aead_header(job), CV_AEAD_HEADER_SIZE, NULL, nonce.b,
			      job->key->key);
	}
}

static void open(const struct kind *kind, struct cv_aead_job *jobs, size_t n)
{
	for (struct cv_aead_job *job = jobs; job < jobs + n; job++) {
		const struct nonce nonce = nonce_of(kind, job);

		job->ok = kind->decrypt(job->text, NULL, job->text, job->len, job->text + job->len,
					cv_aead_header(job), CV_AEAD_HEADER_SIZE, nonce.b,
					job->key->key) == 0;
	}
}

static int aegis_new(void **ret_self)
{
	*ret_self = NULL;
	return 0;
}

static void aegis_free(void *self)
{
}

static void seal_128l(void *self, struct cv_aead_job *jobs, size_t n)
{
	seal(&kind_128l, jobs, n);
}

static void open_128l(void *self, struct cv_aead_job *jobs, size_t n)
{
	open(&kind_128l, jobs, n);
}

static void seal_256(void *self, struct cv_aead_job *jobs, size_t n)
{
	seal(&kind_256, jobs, n);
}

static void open_256(void *self, struct cv_aead_job *jobs, size_t n)
{
	open(&kind_256, jobs, n);
}

const struct cv_aead_provider cv_aead_sodium_aegis_128l = {
	.name = "libsodium",
	.new = aegis_new,
	.free = aegis_free,
	.seal = seal_128l,
	.open = open_128l,
};

const struct cv_aead_provider cv_aead_sodium_aegis_256 = {
	.name = "libsodium",
	.new = aegis_new,
	.free = aegis_free,
	.seal = seal_256,
	.open = open_256,
};
