/* The AEADs of handshake messages, one message a call: ChaCha20-Poly1305 and XChaCha20-Poly1305. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
	CV_BOX_KEY_SIZE = 32,
	CV_BOX_TAG_SIZE = 16,
	CV_XBOX_NONCE_SIZE = 24,
};

/*
 * A box is the ciphertext with the 16-byte tag behind it. `ad` is authenticated along with it.
 * Text and box may be the same memory, and must not overlap otherwise.
 */

/* ChaCha20-Poly1305 (RFC 8439) with nonce 0: for keys that seal a single message, as all of the
 * handshake's do. ret_box has room for len + 16 bytes. */
void cv_box_seal(const uint8_t key[CV_BOX_KEY_SIZE], const void *ad, size_t ad_len,
		 const void *text, size_t len, uint8_t *ret_box);
/* ret_text has room for box_len - 16 bytes. Return: 0, or -EBADMSG and ret_text holds nothing of
 * use. */
int cv_box_open(const uint8_t key[CV_BOX_KEY_SIZE], const void *ad, size_t ad_len,
		const uint8_t *box, size_t box_len, void *ret_text);

/* XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha) with a random nonce: for cookies. */
void cv_xbox_seal(const uint8_t key[CV_BOX_KEY_SIZE], const uint8_t nonce[CV_XBOX_NONCE_SIZE],
		  const void *ad, size_t ad_len, const void *text, size_t len, uint8_t *ret_box);
int cv_xbox_open(const uint8_t key[CV_BOX_KEY_SIZE], const uint8_t nonce[CV_XBOX_NONCE_SIZE],
		 const void *ad, size_t ad_len, const uint8_t *box, size_t box_len, void *ret_text);
