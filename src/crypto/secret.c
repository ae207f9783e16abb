/* Wiping and comparing secrets, by libsodium. */
#include <sodium.h>

#include <convoy/crypto/secret.h>

void cv_wipe(void *bytes, size_t n)
{
	sodium_memzero(bytes, n);
}

bool cv_secret_equal(const void *a, const void *b, size_t n)
{
	return sodium_memcmp(a, b, n) == 0;
}

bool cv_secret_is_zero(const void *bytes, size_t n)
{
	return sodium_is_zero(bytes, n);
}
