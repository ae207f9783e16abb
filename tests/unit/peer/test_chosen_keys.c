/* Keys that somebody chose so that they collide under one hash key do not under another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "peer/peers.c"

/* cmocka.h needs what stands above it. */
#include <cmocka.h>

#include <convoy/crypto/init.h>

enum {
	CHOSEN = 256,
	HEADS = 1024, /* for which they were chosen: more than the table will have */
};

static const uint8_t known[16] = { 1 }, unknown[16] = { 2 };

static struct cv_peers *peers;
static uint8_t chosen[CHOSEN][32];

static int set_up(void **state)
{
	(void)state;
	peers = NULL;
	return cv_crypto_init();
}

static int tear_down(void **state)
{
	struct cv_peer *peer;

	(void)state;
	while ((peer = cv_peers_next(peers, NULL))) {
		cv_peers_remove(peers, peer);
		cv_peer_release(peer);
	}
	cv_peers_free(peers);
	return 0;
}

static void choose(void)
{
	uint8_t key[32] = { 0 };

	for (size_t n = 0; n < CHOSEN;) {
		for (int i = 0; i < 4 && !++key[i]; i++)
			;
		if (cv_siphash(known, key, sizeof(key)) % HEADS == 0)
			memcpy(chosen[n++], key, sizeof(key));
	}
}

static size_t longest_chain(const uint8_t hash_key[16])
{
	size_t longest = 0;

	peers = cv_peers_new(hash_key);
	assert_non_null(peers);
	for (size_t i = 0; i < CHOSEN; i++) {
		struct cv_peer *peer;

		assert_int_equal(cv_peers_add(peers, chosen[i], &peer), 0);
	}
	for (size_t i = 0; i < peers->n_heads; i++) {
		size_t n = 0;

		for (struct cv_peer *peer = peers->heads[i]; peer; peer = peer->key_next)
			n++;
		longest = n > longest ? n : longest;
	}
	return longest;
}

static void who_knows_the_hash_key_makes_one_chain(void **state)
{
	(void)state;
	choose();
	assert_int_equal(longest_chain(known), CHOSEN);
}

static void who_does_not_makes_none(void **state)
{
	(void)state;
	choose();
	assert_in_range(longest_chain(unknown), 1, 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_knows_the_hash_key_makes_one_chain, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(who_does_not_makes_none, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
