/* AES-256-GCM by libsodium, which has it where the CPU has AES and carry-less multiplication. */
#include <errno.h>

#include <sodium.h>

#include <convoy/crypto/aead.h>

#include "internal.h"

_Static_assert((int)crypto_aead_aes256gcm_KEYBYTES == CV_AEAD_KEY_SIZE, "AES-256");
_Static_assert((int)crypto_aead_aes256gcm_ABYTES == CV_AEAD_TAG_SIZE, "SP 800-38D");
_Static_assert(sizeof(struct cv_aead_nonce) == crypto_aead_aes256gcm_NPUBBYTES, "SP 800-38D");
_Static_assert(sizeof(crypto_aead_aes256gcm_state) <= CV_AEAD_SCHEDULE_SIZE, "it fits");

static int sodium_new(void **ret_self)
{
	*ret_self = NULL;
	return crypto_aead_aes256gcm_is_available() ? 0 : -ENOSYS;
}

static void sodium_done(void *self)
{
}

static void prepare(void *self, const uint8_t key[CV_AEAD_KEY_SIZE], void *ret_schedule)
{
	crypto_aead_aes256gcm_beforenm(ret_schedule, key);
}

static void sodium_seal(void *self, struct cv_aead_job *jobs, size_t n)
{
	for (struct cv_aead_job *job = jobs; job < jobs + n; job++) {
		struct cv_aead_nonce nonce = { .counter = cv_le64_of(job->counter) };

		crypto_aead_aes256gcm_encrypt_detached_afternm(
			job->text, job->text + job->len, NULL, job->text, job->len,
			cv_aead_header(job), CV_AEAD_HEADER_SIZE, NULL, (const uint8_t *)&nonce,
			cv_aead_schedule(job));
	}
}

static void sodium_open(void *self, struct cv_aead_job *jobs, size_t n)
{
	for (struct cv_aead_job *job = jobs; job < jobs + n; job++) {
		struct cv_aead_nonce nonce = { .counter = cv_le64_of(job->counter) };

		job->ok = crypto_aead_aes256gcm_decrypt_detached_afternm(
				  job->text, NULL, job->text, job->len, job->text + job->len,
				  cv_aead_header(job), CV_AEAD_HEADER_SIZE, (const uint8_t *)&nonce,
				  cv_aead_schedule(job)) == 0;
	}
}

const struct cv_aead_provider cv_aead_sodium_gcm = {
	.name = "libsodium",
	.new = sodium_new,
	.free = sodium_done,
	.prepare = prepare,
	.seal = sodium_seal,
	.open = sodium_open,
};
