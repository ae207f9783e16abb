/* X25519 (RFC 7748): the one Diffie-Hellman there is. */
#pragma once

#include <stdint.h>

enum { CV_DH_SIZE = 32 };

/* Clamp a private key in place (RFC 7748, section 5). The functions below clamp a copy anyway; this
 * is for keys that are shown to users. */
void cv_dh_clamp(uint8_t private_key[CV_DH_SIZE]);

/* The public key of a private one. */
void cv_dh_public(const uint8_t private_key[CV_DH_SIZE], uint8_t ret_public_key[CV_DH_SIZE]);

/**
 * cv_dh() - the shared secret of a private and a public key
 *
 * Return: 0, or -EINVAL when the secret is all zero: public_key is one of the points of low order,
 * and whoever sent it contributes nothing. ret_shared is untouched then.
 */
int cv_dh(const uint8_t private_key[CV_DH_SIZE], const uint8_t public_key[CV_DH_SIZE],
	  uint8_t ret_shared[CV_DH_SIZE]);
