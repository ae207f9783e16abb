/* Setting up the two libraries underneath, once a process. */
#pragma once

/**
 * cv_crypto_init() - make libsodium and libcrypto ready
 *
 * Call once, before any other function of this module and before threads are started; calling it
 * again does nothing.
 *
 * Return: 0; -ENOSYS when libcrypto has no BLAKE2s; -ENOMEM; -EIO when libsodium finds no
 * randomness.
 */
int cv_crypto_init(void);
