/* Setting up libsodium and libcrypto. */
#include <errno.h>

#include <sodium.h>

#include <convoy/crypto/init.h>

#include "internal.h"

int cv_crypto_init(void)
{
	if (sodium_init() < 0)
		return -EIO;
	return cv_hash_init();
}
