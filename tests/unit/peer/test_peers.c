/* Peers by key and in order, and the endpoint of one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* cmocka.h needs what stands above it. */
#include <cmocka.h>

#include <convoy/crypto/init.h>
#include <convoy/peer/peer.h>

enum { MANY = 1000 };

static const uint8_t hash_key[16] = { 1, 2, 3 };
static struct cv_peers *peers;
static struct cv_peer *peer;

static const uint8_t *key(uint32_t i)
{
	static uint8_t key[32];

	memcpy(key + 28, &i, sizeof(i));
	return key;
}

static int set_up(void **state)
{
	(void)state;
	peers = cv_peers_new(hash_key);
	return peers ? cv_peers_add(peers, key(0), &peer) : -1;
}

static int tear_down(void **state)
{
	(void)state;
	while ((peer = cv_peers_next(peers, NULL))) {
		cv_peers_remove(peers, peer);
		cv_peer_release(peer);
	}
	cv_peers_free(peers);
	return 0;
}

static void new_peer_is_blank(void **state)
{
	static const struct cv_handshake zero;
	struct cv_endpoint remote;
	struct cv_source local;
	bool plain;

	(void)state;
	assert_memory_equal(peer->public_key, key(0), 32);
	assert_memory_equal(peer->handshake, &zero, sizeof(zero));
	assert_null(peer->current);
	assert_int_equal(peer->wishes, 0);
	assert_int_equal(cv_timers_plan(&peer->timers), CV_TIME_NEVER);
	assert_false(cv_peer_endpoint(peer, 0, &remote, &local, &plain));
	assert_int_equal((uintptr_t)peer % alignof(struct cv_peer), 0);
}

static void key_finds_its_peer_and_no_other(void **state)
{
	(void)state;
	assert_ptr_equal(cv_peers_find(peers, key(0)), peer);
	assert_null(cv_peers_find(peers, key(1)));
}

static void key_in_use_is_refused(void **state)
{
	struct cv_peer *again = NULL;

	(void)state;
	assert_int_equal(cv_peers_add(peers, key(0), &again), -EEXIST);
	assert_null(again);
	assert_int_equal(cv_peers_count(peers), 1);
}

static void removed_peer_is_found_no_more_and_may_come_again(void **state)
{
	(void)state;
	cv_peers_remove(peers, peer);
	assert_true(peer->removed);
	assert_null(cv_peers_find(peers, key(0)));
	assert_null(cv_peers_next(peers, NULL));
	assert_int_equal(cv_peers_count(peers), 0);
	cv_peer_release(peer);
	assert_int_equal(cv_peers_add(peers, key(0), &peer), 0);
	assert_ptr_equal(cv_peers_find(peers, key(0)), peer);
}

static void many_peers_are_found_and_listed_in_order(void **state)
{
	uint32_t i = 0;

	(void)state;
	for (i = 1; i < MANY; i++)
		assert_int_equal(cv_peers_add(peers, key(i), &peer), 0);
	for (i = 0; i < MANY; i += 2) {
		peer = cv_peers_find(peers, key(i));
		cv_peers_remove(peers, peer);
		cv_peer_release(peer);
	}
	assert_int_equal(cv_peers_count(peers), MANY / 2);
	peer = NULL;
	for (i = 1; i < MANY; i += 2) {
		peer = cv_peers_next(peers, peer);
		assert_memory_equal(peer->public_key, key(i), 32);
		assert_ptr_equal(cv_peers_find(peers, key(i)), peer);
		assert_null(cv_peers_find(peers, key(i - 1)));
	}
	assert_null(cv_peers_next(peers, peer));
}

static const struct cv_endpoint here = { { 2, { 192, 0, 2, 1 } }, 51820, 0 };
static const struct cv_endpoint there = { { 2, { 192, 0, 2, 2 } }, 51820, 0 };
static const struct cv_source lan = { { 2, { 10, 0, 0, 1 } }, 3 };
static const struct cv_source wan = { { 2, { 10, 0, 0, 2 } }, 4 };
static const struct cv_source any;

static void assert_at(const struct cv_endpoint *remote, const struct cv_source *local, bool plain)
{
	struct cv_endpoint at;
	struct cv_source from;
	bool is_plain;

	assert_true(cv_peer_endpoint(peer, 1000, &at, &from, &is_plain));
	assert_true(cv_endpoint_equal(&at, remote));
	assert_true(cv_source_equal(&from, local));
	assert_int_equal(is_plain, plain);
}

static void peer_is_where_the_user_says(void **state)
{
	(void)state;
	cv_peer_set_endpoint(peer, &here);
	assert_at(&here, &any, false);
}

static void peer_is_where_it_was_heard_last(void **state)
{
	(void)state;
	cv_peer_roam(peer, &here, &lan);
	assert_at(&here, &lan, false);
	cv_peer_roam(peer, &there, &lan);
	assert_at(&there, &lan, false);
	cv_peer_roam(peer, &there, &wan);
	assert_at(&there, &wan, false);
}

static void user_setting_the_endpoint_drops_the_source(void **state)
{
	(void)state;
	cv_peer_roam(peer, &here, &lan);
	cv_peer_set_endpoint(peer, &here);
	assert_at(&here, &any, false);
}

static void clearing_the_source_keeps_the_endpoint(void **state)
{
	(void)state;
	cv_peer_roam(peer, &here, &lan);
	cv_peer_clear_source(peer);
	assert_at(&here, &any, false);
	cv_peer_roam(peer, &here, &lan);
	assert_at(&here, &lan, false);
}

static void plain_lasts_until_its_time(void **state)
{
	(void)state;
	cv_peer_set_endpoint(peer, &here);
	cv_peer_set_plain(peer, 1001);
	assert_at(&here, &any, true);
	cv_peer_set_plain(peer, 1000);
	assert_at(&here, &any, false);
}

static void plain_is_of_one_endpoint(void **state)
{
	(void)state;
	cv_peer_set_endpoint(peer, &here);
	cv_peer_set_plain(peer, 2000);
	cv_peer_roam(peer, &here, &wan);
	assert_at(&here, &wan, true);
	cv_peer_roam(peer, &there, &wan);
	assert_at(&there, &wan, false);
	cv_peer_set_plain(peer, 2000);
	cv_peer_set_endpoint(peer, &here);
	assert_at(&here, &any, false);
}

static void mtu_is_the_tuns_until_the_path_carries_less(void **state)
{
	(void)state;
	assert_int_equal(cv_peer_mtu(peer, 1420), 1420);
	cv_peer_set_mtu(peer, 1380);
	assert_int_equal(cv_peer_mtu(peer, 1420), 1380);
	assert_int_equal(cv_peer_mtu(peer, 1280), 1280);
	cv_peer_set_mtu(peer, 0);
	assert_int_equal(cv_peer_mtu(peer, 1420), 1420);
}

static void mtu_is_the_paths_where_no_tun_says(void **state)
{
	(void)state;
	assert_int_equal(cv_peer_mtu(peer, 0), 0);
	cv_peer_set_mtu(peer, 65535);
	assert_int_equal(cv_peer_mtu(peer, 0), 65535);
}

static int init_crypto(void **state)
{
	(void)state;
	return cv_crypto_init();
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(new_peer_is_blank),
		CASE(key_finds_its_peer_and_no_other),
		CASE(key_in_use_is_refused),
		CASE(removed_peer_is_found_no_more_and_may_come_again),
		CASE(many_peers_are_found_and_listed_in_order),
		CASE(peer_is_where_the_user_says),
		CASE(peer_is_where_it_was_heard_last),
		CASE(user_setting_the_endpoint_drops_the_source),
		CASE(clearing_the_source_keeps_the_endpoint),
		CASE(plain_lasts_until_its_time),
		CASE(plain_is_of_one_endpoint),
		CASE(mtu_is_the_tuns_until_the_path_carries_less),
		CASE(mtu_is_the_paths_where_no_tun_says),
	};

	return cmocka_run_group_tests_name("peers", tests, init_crypto, NULL);
}
