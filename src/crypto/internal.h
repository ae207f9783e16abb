/* What the files of crypto share. */
#pragma once

#include <stdint.h>

#include <convoy/base/wire.h>
#include <convoy/crypto/aead.h>

/* Fetch the algorithms of hash.c. Return: 0 or -ENOSYS. */
int cv_hash_init(void);

/* White paper, section 5.4.6: 4 zero bytes, then the counter. */
struct cv_aead_nonce {
	uint8_t zero[4];
	cv_le64 counter;
};

extern const struct cv_aead_provider cv_aead_sodium, cv_aead_openssl, cv_aead_ipsec_mb,
	cv_aead_copy;
