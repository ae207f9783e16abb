/*
 * BLAKE2s from libcrypto, HMAC and key derivation on top of it.
 *
 * libcrypto 3 finds an algorithm by name slowly (a fetch), and makes a context with several
 * allocations. So the algorithms are fetched once a process and the contexts made once a thread:
 * by cv_hash_init(), which may fail, or else by its first call; every later call only initialises
 * a context again. For that libcrypto 3.0 gives back a block of 128 bytes and takes one of the same
 * size at once, which an allocator that keeps what a thread gave back (glibc's) has at hand: so it
 * cannot fail. A thread's contexts are freed when it ends.
 *
 * HMAC is built here from the plain hash: libcrypto's own would look up the digest by name at every
 * new key, and our keys are new at every call.
 *
 * A libcrypto call that fails here leaves garbage where a key should be; there is no way on, so it
 * aborts. The context of the MAC keeps its last key in ordinary memory: those keys are cookies,
 * their secret, and hashes of public keys, none of which outlives a few minutes or is worth a lock.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <sodium.h>

#include <convoy/crypto/hash.h>
#include <convoy/crypto/secret.h>

#include "internal.h"

enum { BLOCK_SIZE = 64 };

struct contexts {
	EVP_MD_CTX *md;
	EVP_MAC_CTX *mac;
};

static EVP_MD *blake2s;
static EVP_MAC *blake2s_mac;
static pthread_key_t contexts_key;
static __thread struct contexts *mine;

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void contexts_free(void *arg)
{
	struct contexts *contexts = arg;

	EVP_MD_CTX_free(contexts->md);
	EVP_MAC_CTX_free(contexts->mac);
	free(contexts);
}

/* NULL where there is no memory. */
static struct contexts *contexts_new(void)
{
	size_t size = CV_MAC_SIZE;
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
		OSSL_PARAM_construct_end(),
	};
	struct contexts *contexts = calloc(1, sizeof(*contexts));

	if (!contexts)
		return NULL;
	contexts->md = EVP_MD_CTX_new();
	contexts->mac = EVP_MAC_CTX_new(blake2s_mac);
	if (contexts->md && contexts->mac && EVP_DigestInit_ex(contexts->md, blake2s, NULL) == 1 &&
	    EVP_MAC_CTX_set_params(contexts->mac, params) == 1 &&
	    pthread_setspecific(contexts_key, contexts) == 0)
		return contexts;
	contexts_free(contexts);
	return NULL;
}

static bool contexts_made(void)
{
	if (__builtin_expect(!mine, 0))
		mine = contexts_new();
	return mine != NULL;
}

static struct contexts *contexts_get(void)
{
	must(contexts_made());
	return mine;
}

static int fetch(void)
{
	if (blake2s)
		return 0;
	blake2s = EVP_MD_fetch(NULL, "BLAKE2S-256", NULL);
	blake2s_mac = EVP_MAC_fetch(NULL, "BLAKE2SMAC", NULL);
	if (!blake2s || !blake2s_mac || pthread_key_create(&contexts_key, contexts_free)) {
		EVP_MD_free(blake2s);
		EVP_MAC_free(blake2s_mac);
		blake2s = NULL;
		return -ENOSYS;
	}
	return 0;
}

int cv_hash_init(void)
{
	int r = fetch();

	if (r < 0)
		return r;
	return contexts_made() ? 0 : -ENOMEM;
}

void cv_hash(const struct cv_piece *pieces, size_t n, uint8_t ret_hash[CV_HASH_SIZE])
{
	EVP_MD_CTX *md = contexts_get()->md;
	size_t i;

	must(EVP_DigestInit_ex(md, NULL, NULL) == 1);
	for (i = 0; i < n; i++)
		must(EVP_DigestUpdate(md, pieces[i].data, pieces[i].len) == 1);
	must(EVP_DigestFinal_ex(md, ret_hash, NULL) == 1);
}

void cv_mac(const void *key, size_t key_len, const struct cv_piece *pieces, size_t n,
	    uint8_t ret_mac[CV_MAC_SIZE])
{
	EVP_MAC_CTX *mac = contexts_get()->mac;
	size_t i, len;

	must(EVP_MAC_init(mac, key, key_len, NULL) == 1);
	for (i = 0; i < n; i++)
		must(EVP_MAC_update(mac, pieces[i].data, pieces[i].len) == 1);
	must(EVP_MAC_final(mac, ret_mac, &len, CV_MAC_SIZE) == 1);
}

/* The two padded forms of an HMAC key: RFC 2104, section 2. */
struct hmac_key {
	uint8_t inner[BLOCK_SIZE];
	uint8_t outer[BLOCK_SIZE];
};

static void hmac_key_init(struct hmac_key *hmac, const void *key, size_t len)
{
	uint8_t block[BLOCK_SIZE] = { 0 };
	size_t i;

	if (len > BLOCK_SIZE)
		cv_hash(&(struct cv_piece){ key, len }, 1, block);
	else if (len)
		memcpy(block, key, len);
	for (i = 0; i < BLOCK_SIZE; i++) {
		hmac->inner[i] = block[i] ^ 0x36;
		hmac->outer[i] = block[i] ^ 0x5c;
	}
	cv_wipe(block, sizeof(block));
}

/* HMAC of a ‖ b. */
static void hmac_two(const struct hmac_key *key, struct cv_piece a, struct cv_piece b,
		     uint8_t ret_mac[CV_HASH_SIZE])
{
	const struct cv_piece inner[] = { { key->inner, BLOCK_SIZE }, a, b };
	const struct cv_piece outer[] = { { key->outer, BLOCK_SIZE }, { ret_mac, CV_HASH_SIZE } };

	cv_hash(inner, 3, ret_mac);
	cv_hash(outer, 2, ret_mac);
}

/* t0 = HMAC(key, input); t[i] = HMAC(t0, t[i - 1] ‖ i). Outputs are written last, as they may lie
 * over the inputs. */
static void kdf(const void *key, size_t key_len, const void *input, size_t input_len,
		uint8_t *const *outs, size_t n)
{
	uint8_t t[4][CV_HASH_SIZE];
	struct hmac_key hmac;
	uint8_t i;

	hmac_key_init(&hmac, key, key_len);
	hmac_two(&hmac, (struct cv_piece){ input, input_len }, (struct cv_piece){ NULL, 0 }, t[0]);
	hmac_key_init(&hmac, t[0], CV_HASH_SIZE);
	for (i = 1; i <= n; i++)
		hmac_two(&hmac, (struct cv_piece){ t[i - 1], i == 1 ? 0 : CV_HASH_SIZE },
			 (struct cv_piece){ &i, 1 }, t[i]);
	for (i = 1; i <= n; i++)
		memcpy(outs[i - 1], t[i], CV_HASH_SIZE);
	cv_wipe(&hmac, sizeof(hmac));
	cv_wipe(t, sizeof(t));
}

void cv_kdf1(const void *key, size_t key_len, const void *input, size_t input_len,
	     uint8_t ret_1[CV_HASH_SIZE])
{
	kdf(key, key_len, input, input_len, (uint8_t *[]){ ret_1 }, 1);
}

void cv_kdf2(const void *key, size_t key_len, const void *input, size_t input_len,
	     uint8_t ret_1[CV_HASH_SIZE], uint8_t ret_2[CV_HASH_SIZE])
{
	kdf(key, key_len, input, input_len, (uint8_t *[]){ ret_1, ret_2 }, 2);
}

void cv_kdf3(const void *key, size_t key_len, const void *input, size_t input_len,
	     uint8_t ret_1[CV_HASH_SIZE], uint8_t ret_2[CV_HASH_SIZE], uint8_t ret_3[CV_HASH_SIZE])
{
	kdf(key, key_len, input, input_len, (uint8_t *[]){ ret_1, ret_2, ret_3 }, 3);
}

uint64_t cv_siphash(const uint8_t key[CV_SIPHASH_KEY_SIZE], const void *data, size_t len)
{
	uint64_t hash;

	_Static_assert(crypto_shorthash_BYTES == sizeof(hash), "SipHash-2-4 gives 64 bits");
	crypto_shorthash((unsigned char *)&hash, data, len, key);
	return hash;
}
