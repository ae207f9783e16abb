/* ChaCha20-Poly1305 out of its two halves, for libraries whose own AEAD is slower than they. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <convoy/crypto/aead.h>

#include "internal.h"

/* What a library gives. `self` is its own, one per thread. */
struct cv_aead_halves {
	size_t stride; /* bytes that its ChaCha20 makes best at a time: a power of two, 64 or more
			*/
	/* size bytes of keystream from block 0 on; size is a multiple of the stride. */
	void (*stream)(void *self, const uint8_t key[CV_AEAD_KEY_SIZE],
		       const struct cv_aead_nonce *nonce, uint8_t *ret_stream, size_t size);
	/* Poly1305 of text and then of the len_tail bytes (48 at most) at tail. */
	void (*mac)(void *self, const uint8_t key[32], const uint8_t *text, size_t len,
		    const uint8_t *tail, size_t len_tail, uint8_t ret_tag[CV_AEAD_TAG_SIZE]);
};

/* Memory for the keystream of a thread, locked where the system allows it. Return: NULL when there
 * is none. */
uint8_t *cv_aead_halves_new(void);
/* Wipe and free. Takes NULL. */
void cv_aead_halves_free(uint8_t *keystream);

/* As cv_aead_provider's. */
void cv_aead_halves_seal(const struct cv_aead_halves *halves, void *self, uint8_t *keystream,
			 struct cv_aead_job *jobs, size_t n);
void cv_aead_halves_open(const struct cv_aead_halves *halves, void *self, uint8_t *keystream,
			 struct cv_aead_job *jobs, size_t n);
