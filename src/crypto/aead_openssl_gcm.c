/*
 * AES-256-GCM by libcrypto, one context a thread.
 *
 * Giving the context a key costs as much as sealing 64 bytes, so a key is given when it is another
 * than that of the job before; but to each burst anew, since what is remembered by its address is
 * wrong as soon as a keypair's memory is used again.
 */
#include <errno.h>

#include <openssl/evp.h>

#include <convoy/crypto/aead.h>

#include "internal.h"

static void openssl_free(void *self)
{
	EVP_CIPHER_CTX_free(self);
}

static int openssl_new(void **ret_self)
{
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	int r = 0;

	if (!context)
		r = -ENOMEM;
	else if (!cipher || EVP_CipherInit_ex2(context, cipher, NULL, NULL, 1, NULL) != 1)
		r = -ENOSYS;
	EVP_CIPHER_free(cipher);
	if (r < 0)
		EVP_CIPHER_CTX_free(context);
	else
		*ret_self = context;
	return r;
}

/* Begin the job's message: key (if it is another than that of `last`), nonce, additional data. */
static void begin(EVP_CIPHER_CTX *context, const struct cv_aead_job *job,
		  const struct cv_aead_key *last, bool seal)
{
	struct cv_aead_nonce nonce = { .counter = cv_le64_of(job->counter) };
	int len;

	EVP_CipherInit_ex2(context, NULL, job->key == last ? NULL : job->key->key,
			   (const uint8_t *)&nonce, seal, NULL);
	EVP_CipherUpdate(context, NULL, &len, cv_aead_header(job), CV_AEAD_HEADER_SIZE);
}

static void openssl_seal(void *self, struct cv_aead_job *jobs, size_t n)
{
	const struct cv_aead_key *last = NULL;
	int len;

	for (struct cv_aead_job *job = jobs; job < jobs + n; job++) {
		uint8_t *tag = job->text + job->len;

		begin(self, job, last, true);
		EVP_EncryptUpdate(self, job->text, &len, job->text, (int)job->len);
		EVP_EncryptFinal_ex(self, tag, &len);
		EVP_CIPHER_CTX_ctrl(self, EVP_CTRL_AEAD_GET_TAG, CV_AEAD_TAG_SIZE, tag);
		last = job->key;
	}
}

static void openssl_open(void *self, struct cv_aead_job *jobs, size_t n)
{
	const struct cv_aead_key *last = NULL;
	int len;

	for (struct cv_aead_job *job = jobs; job < jobs + n; job++) {
		uint8_t *tag = job->text + job->len;

		begin(self, job, last, false);
		EVP_DecryptUpdate(self, job->text, &len, job->text, (int)job->len);
		EVP_CIPHER_CTX_ctrl(self, EVP_CTRL_AEAD_SET_TAG, CV_AEAD_TAG_SIZE, tag);
		job->ok = EVP_DecryptFinal_ex(self, tag, &len) == 1;
		last = job->key;
	}
}

const struct cv_aead_provider cv_aead_openssl_gcm = {
	.name = "openssl",
	.new = openssl_new,
	.free = openssl_free,
	.seal = openssl_seal,
	.open = openssl_open,
};
