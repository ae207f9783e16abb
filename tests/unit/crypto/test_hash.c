/* BLAKE2s, its MAC, HMAC key derivation and SipHash at known answers. */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <openssl/crypto.h>

#include <convoy/crypto/hash.h>
#include <convoy/crypto/init.h>

#include "hex.h"

/* Blocks that libcrypto has, and whether it gets more of them than `most`. */
static atomic_int blocks, most = INT_MAX;

static void *allocate(size_t size, const char *file, int line)
{
	void *block = blocks < most ? malloc(size) : NULL;

	blocks += block != NULL;
	return block;
}

static void *reallocate(void *block, size_t size, const char *file, int line)
{
	return block ? realloc(block, size) : allocate(size, file, line);
}

static void release(void *block, const char *file, int line)
{
	blocks -= block != NULL;
	free(block);
}

static int setup(void **state)
{
	if (CRYPTO_set_mem_functions(allocate, reallocate, release) != 1)
		return -1;
	return cv_crypto_init();
}

static void setting_up_twice_is_fine(void **state)
{
	assert_int_equal(cv_crypto_init(), 0);
}

static void hash_of_abc_is_that_of_rfc_7693(void **state)
{
	const struct cv_piece abc = { "abc", 3 };
	uint8_t hash[CV_HASH_SIZE];

	cv_hash(&abc, 1, hash);
	assert_hex_equal(hash, "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982");
}

static void hash_of_nothing_is_known(void **state)
{
	uint8_t hash[CV_HASH_SIZE];

	cv_hash(NULL, 0, hash);
	assert_hex_equal(hash, "69217a3079908094e11121d042354a7c1f55b6482ca1a51e1b250dfd1ed0eef9");
}

static void hash_of_pieces_is_that_of_the_whole(void **state)
{
	const struct cv_piece pieces[] = { { "a", 1 }, { NULL, 0 }, { "bc", 2 } };
	uint8_t hash[CV_HASH_SIZE];

	cv_hash(pieces, 3, hash);
	assert_hex_equal(hash, "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982");
}

static void hash_may_overwrite_its_input(void **state)
{
	uint8_t hash[CV_HASH_SIZE], want[CV_HASH_SIZE];

	memset(hash, 7, sizeof(hash));
	cv_hash(&(struct cv_piece){ hash, sizeof(hash) }, 1, want);
	cv_hash(&(struct cv_piece){ hash, sizeof(hash) }, 1, hash);
	assert_memory_equal(hash, want, sizeof(hash));
}

static void fill(uint8_t *data, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		data[i] = (uint8_t)(n + 7 * i);
}

/* The answers are hashes of all answers, from Python's hashlib. */
static void hash_and_mac_agree_with_another_implementation_at_every_length(void **state)
{
	uint8_t hashes[300][CV_HASH_SIZE], macs[300][CV_MAC_SIZE];
	uint8_t data[300], key[32], sum[CV_HASH_SIZE];
	size_t n;

	for (n = 0; n < sizeof(key); n++)
		key[n] = (uint8_t)n;
	for (n = 0; n < 300; n++) {
		const struct cv_piece pieces[] = { { data, n / 3 }, { data + n / 3, n - n / 3 } };

		fill(data, n);
		cv_hash(pieces, 2, hashes[n]);
		cv_mac(key, n % 32 + 1, pieces, 2, macs[n]);
	}
	cv_hash(&(struct cv_piece){ hashes, sizeof(hashes) }, 1, sum);
	assert_hex_equal(sum, "c483bc6278408ac63a7af18327709fd3419b43ae36bf65f01a73a4f4a1826c58");
	cv_hash(&(struct cv_piece){ macs, sizeof(macs) }, 1, sum);
	assert_hex_equal(sum, "66c68618dea48430c2b18a1fef5d37aaf2e4625dbd08f75cbbb79c9a2717f7c0");
}

static void kdf_gives_the_keys_of_other_wireguards(void **state)
{
	static const struct {
		const char *key, *input, *out[3];
	} cases[] = {
		{ "test-key",
		  "test-input",
		  { "6f0e5ad38daba1bea8a0d213688736f19763239305e0f58aba697f9ffc41c633",
		    "df1194df20802a4fe594cde27e92991c8cae66c366e8106aaa937a55fa371e8a",
		    "fac6e2745a325f5dc5d11a5b165aad08b0ada28e7b4e666b7c077934a4d76c24" } },
		{ "wireguard",
		  "wireguard",
		  { "491d43bbfdaa8750aaf535e334ecbfe5129967cd64635101c566d4caefda96e8",
		    "1e71a379baefd8a79aa4662212fcafe19a23e2b609a3db7d6bcba8f560e3d25f",
		    "31e1ae48bddfbe5de38f295e5452b1909a1b4e38e183926af3780b0c1e1f0160" } },
		{ "",
		  "",
		  { "8387b46bf43eccfcf349552a095d8315c4055beb90208fb1be23b894bc2ed5d0",
		    "58a0e5f6faefccf4807bff1f05fa8a9217945762040bcec2f4b4a62bdfe0e86e",
		    "0ce6ea98ec548f8e281e93e32db65621c45eb18dc6f0a7ad94178610a2f7338e" } },
	};
	uint8_t out[3][CV_HASH_SIZE];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *key = cases[i].key, *input = cases[i].input;

		cv_kdf1(key, strlen(key), input, strlen(input), out[0]);
		assert_hex_equal(out[0], cases[i].out[0]);
		memset(out, 0, sizeof(out));
		cv_kdf2(key, strlen(key), input, strlen(input), out[0], out[1]);
		assert_hex_equal(out[0], cases[i].out[0]);
		assert_hex_equal(out[1], cases[i].out[1]);
		memset(out, 0, sizeof(out));
		cv_kdf3(key, strlen(key), input, strlen(input), out[0], out[1], out[2]);
		assert_hex_equal(out[0], cases[i].out[0]);
		assert_hex_equal(out[1], cases[i].out[1]);
		assert_hex_equal(out[2], cases[i].out[2]);
	}
}

static void kdf_takes_keys_of_a_block_and_longer(void **state)
{
	uint8_t key[100], input[70], out[2][CV_HASH_SIZE];
	size_t i;

	for (i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	memset(input, 'y', sizeof(input));
	cv_kdf1(key, 100, "x", 1, out[0]);
	assert_hex_equal(out[0],
			 "2087721dd241c6ce9b92daf5b6ecc6da40c8570b1cc172877d82c18cab0bb398");
	cv_kdf2(key, 64, input, 70, out[0], out[1]);
	assert_hex_equal(out[0],
			 "c9f4ece841522f33a8019fcabb665137f4c373a35bb314a6788c178328cd002e");
	assert_hex_equal(out[1],
			 "89ff590fa7a0447537041ab2d7c620f51cf487ee412247b7a8e0ee6658d798e8");
}

static void kdf_may_overwrite_key_and_input(void **state)
{
	uint8_t key[CV_HASH_SIZE] = { 1 }, input[CV_HASH_SIZE] = { 2 }, want[2][CV_HASH_SIZE];

	cv_kdf2(key, sizeof(key), input, sizeof(input), want[0], want[1]);
	cv_kdf2(key, sizeof(key), input, sizeof(input), key, input);
	assert_memory_equal(key, want[0], CV_HASH_SIZE);
	assert_memory_equal(input, want[1], CV_HASH_SIZE);
}

/* The first vectors of the reference implementation: key 00..0f, input 00, 01, ... */
static void siphash_is_that_of_its_authors(void **state)
{
	const uint8_t data[15] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14 };
	uint8_t key[CV_SIPHASH_KEY_SIZE];
	uint64_t hash;
	uint8_t i;

	for (i = 0; i < sizeof(key); i++)
		key[i] = i;
	hash = cv_siphash(key, data, 0);
	assert_hex_equal(&hash, "310e0edd47db6f72");
	hash = cv_siphash(key, data, 1);
	assert_hex_equal(&hash, "fd67dc93c539f874");
	hash = cv_siphash(key, data, sizeof(data));
	assert_hex_equal(&hash, "e545be4961ca29a1");
}

static void *hash_often(void *arg)
{
	uint8_t hash[CV_HASH_SIZE] = { 0 }, mac[CV_MAC_SIZE];
	int i;

	for (i = 0; i < 2000; i++) {
		cv_hash(&(struct cv_piece){ hash, sizeof(hash) }, 1, hash);
		cv_mac("key", 3, &(struct cv_piece){ hash, sizeof(hash) }, 1, mac);
		memcpy(hash, mac, sizeof(mac));
	}
	memcpy(arg, hash, sizeof(hash));
	return NULL;
}

static void threads_hash_side_by_side(void **state)
{
	uint8_t hashes[4][CV_HASH_SIZE];
	pthread_t threads[3];
	int i;

	for (i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hash_often, hashes[i]), 0);
	hash_often(hashes[3]);
	for (i = 0; i < 3; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_memory_equal(hashes[i], hashes[3], CV_HASH_SIZE);
	}
}

static void *begin_without_memory(void *arg)
{
	int *results = arg;
	uint8_t hash[CV_HASH_SIZE];

	most = 0;
	results[0] = cv_crypto_init();
	results[1] = cv_crypto_init();
	most = INT_MAX;
	results[2] = cv_crypto_init();
	hash_often(hash);
	return NULL;
}

static void a_thread_that_lacked_memory_begins_again(void **state)
{
	pthread_t thread;
	int results[3];

	assert_int_equal(pthread_create(&thread, NULL, begin_without_memory, results), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(results[0], -ENOMEM);
	assert_int_equal(results[1], -ENOMEM);
	assert_int_equal(results[2], 0);
}

/* What is given back just before is at hand: see crypto/hash.c. */
static void no_block_more_is_taken_once_it_is_set_up(void **state)
{
	uint8_t hash[CV_HASH_SIZE], key[CV_HASH_SIZE] = { 1 };

	most = blocks;
	assert_true(most > 0);
	hash_often(hash);
	cv_kdf3(key, sizeof(key), hash, sizeof(hash), key, hash, hash);
	most = INT_MAX;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(setting_up_twice_is_fine),
		cmocka_unit_test(hash_of_abc_is_that_of_rfc_7693),
		cmocka_unit_test(hash_of_nothing_is_known),
		cmocka_unit_test(hash_of_pieces_is_that_of_the_whole),
		cmocka_unit_test(hash_may_overwrite_its_input),
		cmocka_unit_test(hash_and_mac_agree_with_another_implementation_at_every_length),
		cmocka_unit_test(kdf_gives_the_keys_of_other_wireguards),
		cmocka_unit_test(kdf_takes_keys_of_a_block_and_longer),
		cmocka_unit_test(kdf_may_overwrite_key_and_input),
		cmocka_unit_test(siphash_is_that_of_its_authors),
		cmocka_unit_test(threads_hash_side_by_side),
		cmocka_unit_test(a_thread_that_lacked_memory_begins_again),
		cmocka_unit_test(no_block_more_is_taken_once_it_is_set_up),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
