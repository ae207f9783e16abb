/* Setting up the two libraries underneath. */
#pragma once

/**
 * cv_crypto_init() - make libsodium and libcrypto ready
 *
 * Call it before any other function of this module and before threads are started. Calling it again
 * does what failed before, or in another thread makes the contexts of its hashes; else nothing.
 *
 * Return: 0; -ENOSYS when libcrypto has no BLAKE2s; -ENOMEM; -EIO when libsodium finds no
 * randomness.
 */
int cv_crypto_init(void);
