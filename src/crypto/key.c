/* Key text by libsodium's codecs, which look nothing up in tables and do not branch on the key. */
#include <errno.h>
#include <string.h>

#include <sodium.h>

#include <convoy/crypto/dh.h>
#include <convoy/crypto/key.h>
#include <convoy/crypto/random.h>
#include <convoy/crypto/secret.h>

_Static_assert(sodium_base64_ENCODED_LEN(CV_KEY_SIZE, sodium_base64_VARIANT_ORIGINAL) ==
		       CV_KEY_BASE64_LEN + 1,
	       "base64 of 32 bytes");

/* Move a decoded key out if it was decoded whole: all characters read, all bytes written. */
static int finish(bool whole, struct cv_key *key, struct cv_key *ret_key)
{
	if (whole)
		*ret_key = *key;
	cv_wipe(key, sizeof(*key));
	return whole ? 0 : -EINVAL;
}

int cv_key_from_base64(const char *text, size_t len, struct cv_key *ret_key)
{
	struct cv_key key;
	size_t size = 0;
	int failed = sodium_base642bin(key.b, sizeof(key.b), text, len, NULL, &size, NULL,
				       sodium_base64_VARIANT_ORIGINAL);

	return finish(!failed && size == sizeof(key.b), &key, ret_key);
}

int cv_key_from_hex(const char *text, size_t len, struct cv_key *ret_key)
{
	struct cv_key key;
	size_t size = 0;
	int failed = sodium_hex2bin(key.b, sizeof(key.b), text, len, NULL, &size, NULL);

	return finish(!failed && size == sizeof(key.b), &key, ret_key);
}

char *cv_key_to_base64(const struct cv_key *key, char ret_text[CV_KEY_BASE64_LEN + 1])
{
	return sodium_bin2base64(ret_text, CV_KEY_BASE64_LEN + 1, key->b, sizeof(key->b),
				 sodium_base64_VARIANT_ORIGINAL);
}

char *cv_key_to_hex(const struct cv_key *key, char ret_text[CV_KEY_HEX_LEN + 1])
{
	return sodium_bin2hex(ret_text, CV_KEY_HEX_LEN + 1, key->b, sizeof(key->b));
}

bool cv_key_is_zero(const struct cv_key *key)
{
	return cv_secret_is_zero(key->b, sizeof(key->b));
}

bool cv_key_equal(const struct cv_key *a, const struct cv_key *b)
{
	return cv_secret_equal(a->b, b->b, sizeof(a->b));
}

void cv_key_generate_private(struct cv_key *ret_key)
{
	cv_random_bytes(ret_key->b, sizeof(ret_key->b));
	cv_dh_clamp(ret_key->b);
}

void cv_key_generate_preshared(struct cv_key *ret_key)
{
	cv_random_bytes(ret_key->b, sizeof(ret_key->b));
}

void cv_key_public(const struct cv_key *private_key, struct cv_key *ret_public_key)
{
	cv_dh_public(private_key->b, ret_public_key->b);
}
