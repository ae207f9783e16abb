/* What the files of crypto share. */
#pragma once

#include <stdint.h>

#include <convoy/base/wire.h>
#include <convoy/crypto/aead.h>

/* Fetch the algorithms of hash.c; make this thread's contexts. Return: 0, -ENOSYS or -ENOMEM. */
int cv_hash_init(void);

/* White paper, section 5.4.6: 4 zero bytes, then the counter. */
struct cv_aead_nonce {
	uint8_t zero[4];
	cv_le64 counter;
};

/* The schedule of a job's key, which is inside a cv_suite_key. */
static inline const void *cv_aead_schedule(const struct cv_aead_job *job)
{
	return ((const struct cv_suite_key *)job->key)->schedule;
}

/* The additional data of a job that is not ChaCha20-Poly1305. */
static inline const uint8_t *cv_aead_header(const struct cv_aead_job *job)
{
	return job->text - CV_AEAD_HEADER_SIZE;
}

/* ChaCha20-Poly1305. */
extern const struct cv_aead_provider cv_aead_sodium, cv_aead_openssl, cv_aead_ipsec_mb;
/* AES-256-GCM. */
extern const struct cv_aead_provider cv_aead_sodium_gcm, cv_aead_openssl_gcm, cv_aead_ipsec_mb_gcm;
/* AEGIS. */
extern const struct cv_aead_provider cv_aead_sodium_aegis_128l, cv_aead_sodium_aegis_256;
/* All suites. */
extern const struct cv_aead_provider cv_aead_copy;
