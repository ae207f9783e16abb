/*
 * AEAD by libcrypto: one cipher context a thread, made once.
 *
 * The key is set for every message: that is a copy of 32 bytes, and remembering keys by their
 * address would be wrong as soon as a keypair's memory is used again.
 */
#include <errno.h>

#include <openssl/evp.h>

#include <convoy/base/wire.h>
#include <convoy/crypto/aead.h>

#include "internal.h"

/* The contexts of a thread, one a direction, so that neither changes sides. */
struct contexts {
	EVP_CIPHER_CTX *seal;
	EVP_CIPHER_CTX *open;
};

static void openssl_free(void *self)
{
	struct contexts *contexts = self;

	EVP_CIPHER_CTX_free(contexts->seal);
	EVP_CIPHER_CTX_free(contexts->open);
	OPENSSL_free(contexts);
}

static int openssl_new(void **ret_self)
{
	struct contexts *contexts = OPENSSL_zalloc(sizeof(*contexts));
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
	int r = -ENOSYS;

	if (!contexts) {
		EVP_CIPHER_free(cipher);
		return -ENOMEM;
	}
	contexts->seal = EVP_CIPHER_CTX_new();
	contexts->open = EVP_CIPHER_CTX_new();
	if (cipher && contexts->seal && contexts->open &&
	    EVP_EncryptInit_ex2(contexts->seal, cipher, NULL, NULL, NULL) == 1 &&
	    EVP_DecryptInit_ex2(contexts->open, cipher, NULL, NULL, NULL) == 1)
		r = 0;
	EVP_CIPHER_free(cipher);
	if (r < 0) {
		openssl_free(contexts);
		return r;
	}
	*ret_self = contexts;
	return 0;
}

static void openssl_seal(void *self, struct cv_aead_job *jobs, size_t n)
{
	EVP_CIPHER_CTX *context = ((struct contexts *)self)->seal;
	struct cv_aead_nonce nonce = { 0 };

	for (struct cv_aead_job *job = jobs; job < jobs + n; job++) {
		int len;

		nonce.counter = cv_le64_of(job->counter);
		EVP_EncryptInit_ex2(context, NULL, job->key->key, (const uint8_t *)&nonce, NULL);
		EVP_EncryptUpdate(context, job->text, &len, job->text, (int)job->len);
		EVP_EncryptFinal_ex(context, job->text + len, &len);
		EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, CV_AEAD_TAG_SIZE,
				    job->text + job->len);
	}
}

static void openssl_open(void *self, struct cv_aead_job *jobs, size_t n)
{
	EVP_CIPHER_CTX *context = ((struct contexts *)self)->open;
	struct cv_aead_nonce nonce = { 0 };

	for (struct cv_aead_job *job = jobs; job < jobs + n; job++) {
		int len = 0;

		nonce.counter = cv_le64_of(job->counter);
		EVP_DecryptInit_ex2(context, NULL, job->key->key, (const uint8_t *)&nonce, NULL);
		EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, CV_AEAD_TAG_SIZE,
				    job->text + job->len);
		job->ok = EVP_DecryptUpdate(context, job->text, &len, job->text, (int)job->len) ==
				  1 &&
			  EVP_DecryptFinal_ex(context, job->text + len, &len) == 1;
	}
}

const struct cv_aead_provider cv_aead_openssl = {
	.name = "openssl",
	.new = openssl_new,
	.free = openssl_free,
	.seal = openssl_seal,
	.open = openssl_open,
};
