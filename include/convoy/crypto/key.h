/* Keys as users see them: 32 bytes with base64 and hexadecimal text forms. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	CV_KEY_SIZE = 32,
	CV_KEY_BASE64_LEN = 44, /* "=" included, the terminating zero not */
	CV_KEY_HEX_LEN = 64,
};

/* A private, public or preshared key. Who holds a secret one wipes it. */
struct cv_key {
	uint8_t b[CV_KEY_SIZE];
};

/**
 * cv_key_from_base64() - read a key from text
 * @text, @len:	the text, need not be terminated; exactly CV_KEY_BASE64_LEN characters with the
 *		padding, exactly CV_KEY_HEX_LEN of either case, no blanks
 *
 * The time taken does not depend on the key.
 *
 * Return: 0, or -EINVAL and nothing is written. Base64 must be canonical (the two bits of the last
 * character that carry nothing are zero), as wg demands.
 */
int cv_key_from_base64(const char *text, size_t len, struct cv_key *ret_key);
int cv_key_from_hex(const char *text, size_t len, struct cv_key *ret_key);

/* Key to terminated text; returns ret_text. The time taken does not depend on the key. Who writes a
 * secret key wipes the text. */
char *cv_key_to_base64(const struct cv_key *key, char ret_text[CV_KEY_BASE64_LEN + 1]);
char *cv_key_to_hex(const struct cv_key *key, char ret_text[CV_KEY_HEX_LEN + 1]);

/* All zero means "no key" in the UAPI. Constant time. */
bool cv_key_is_zero(const struct cv_key *key);
/* Constant time. */
bool cv_key_equal(const struct cv_key *a, const struct cv_key *b);

/* Draw a private key, clamped; draw a preshared key. */
void cv_key_generate_private(struct cv_key *ret_key);
void cv_key_generate_preshared(struct cv_key *ret_key);
/* The public key of a private one. */
void cv_key_public(const struct cv_key *private_key, struct cv_key *ret_public_key);
