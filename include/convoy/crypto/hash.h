/* BLAKE2s as WireGuard uses it: hash, keyed MAC and HMAC key derivation; SipHash for tables. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
	CV_HASH_SIZE = 32,
	CV_MAC_SIZE = 16,
	CV_SIPHASH_KEY_SIZE = 16,
};

/*
 * All of these may be called by any thread after cv_crypto_init(), never fail and need no more
 * memory than they have: but in a thread that did not call it itself, whose first call makes its
 * contexts (the process aborts when there is none for them). Outputs may overlap inputs.
 */

/* A stretch of input, borrowed for the call. */
struct cv_piece {
	const void *data;
	size_t len;
};

/* BLAKE2s-256 (RFC 7693) over n pieces one behind the other. */
void cv_hash(const struct cv_piece *pieces, size_t n, uint8_t ret_hash[CV_HASH_SIZE]);

/* Keyed BLAKE2s with 16 bytes of output over n pieces; key_len is 1..32 bytes.
 * Source: white paper, section 5.4 (Mac). */
void cv_mac(const void *key, size_t key_len, const struct cv_piece *pieces, size_t n,
	    uint8_t ret_mac[CV_MAC_SIZE]);

/**
 * cv_kdf1() - derive 1, 2 or 3 keys of 32 bytes with HMAC-BLAKE2s
 * @key:	the chaining key; may be any length, the outputs may overlap it
 * @input:	the key material mixed in
 *
 * Source: white paper, section 5.4 (Kdf); HMAC is RFC 2104 over BLAKE2s, not keyed BLAKE2s.
 */
void cv_kdf1(const void *key, size_t key_len, const void *input, size_t input_len,
	     uint8_t ret_1[CV_HASH_SIZE]);
void cv_kdf2(const void *key, size_t key_len, const void *input, size_t input_len,
	     uint8_t ret_1[CV_HASH_SIZE], uint8_t ret_2[CV_HASH_SIZE]);
void cv_kdf3(const void *key, size_t key_len, const void *input, size_t input_len,
	     uint8_t ret_1[CV_HASH_SIZE], uint8_t ret_2[CV_HASH_SIZE], uint8_t ret_3[CV_HASH_SIZE]);

/* SipHash-2-4: for tables whose keys a stranger may choose. */
uint64_t cv_siphash(const uint8_t key[CV_SIPHASH_KEY_SIZE], const void *data, size_t len);
