/* What a device tells of itself: secrets only when asked for, each peer once whatever happens. */
#include <convoy/crypto/dh.h>

#include "pair.h"

static void make_peers(struct cv_device *device, uint8_t first, uint8_t end)
{
	for (uint8_t i = first; i < end; i++)
		assert_int_equal(
			change(device, (struct cv_peer_change){ .public_key = public_key(i) }), 0);
}

static void remove_peer(struct cv_device *device, uint8_t byte)
{
	assert_int_equal(change(device, (struct cv_peer_change){ .public_key = public_key(byte),
								 .remove = true }),
			 0);
}

/* Fail unless the next peer told is the one of this byte; 0: there is none. */
static void assert_next(const struct cv_device *device, struct cv_peer_cursor *cursor, uint8_t byte)
{
	struct cv_key want = public_key(byte);
	struct cv_peer_show peer;
	bool any = cv_device_next_peer(device, cursor, false, &peer);

	assert_int_equal(any, byte != 0);
	if (any)
		assert_memory_equal(&peer.public_key, &want, sizeof(want));
}

static void peers_are_told_in_order_of_addition(void **state)
{
	struct pair *pair = *state;
	struct cv_device *near = pair->near.device;
	struct cv_peer_cursor cursor = { 0 };

	make_peers(near, 10, 13);
	assert_next(near, &cursor, 2);
	for (uint8_t i = 10; i < 13; i++)
		assert_next(near, &cursor, i);
	assert_next(near, &cursor, 0);
	make_peers(near, 13, 14); /* one more came */
	assert_next(near, &cursor, 13);
	assert_next(near, &cursor, 0);
}

static void a_cursor_stands_where_it_stood_when_its_peer_is_gone(void **state)
{
	struct pair *pair = *state;
	struct cv_device *near = pair->near.device;
	struct cv_peer_cursor cursor = { 0 };

	make_peers(near, 10, 15);
	assert_next(near, &cursor, 2);
	assert_next(near, &cursor, 10);
	assert_next(near, &cursor, 11);
	remove_peer(near, 11);
	remove_peer(near, 12);
	assert_next(near, &cursor, 13);
	remove_peer(near, 13);
	make_peers(near, 13, 14); /* the same key is another peer, told when its turn comes */
	assert_next(near, &cursor, 14);
	assert_next(near, &cursor, 13);
	assert_next(near, &cursor, 0);
	remove_peer(near, 13);
	make_peers(near, 20, 21);
	assert_next(near, &cursor, 20);
	assert_next(near, &cursor, 0);
	cv_device_clear_peers(near);
	assert_next(near, &cursor, 0);
}

static void keys_are_told_only_when_asked_for(void **state)
{
	static const struct cv_key none = { { 0 } };
	struct pair *pair = *state;
	struct cv_device *near = pair->near.device;
	struct cv_peer_cursor cursor = { 0 };
	struct cv_key one = private_key(1), secret = private_key(9);
	struct cv_device_show device;
	struct cv_peer_show peer;

	assert_int_equal(change(near, (struct cv_peer_change){ .public_key = public_key(2),
							       .set_psk = true,
							       .psk = secret }),
			 0);
	cv_device_show(near, false, &device);
	assert_true(device.has_private_key);
	assert_memory_equal(&device.private_key, &none, sizeof(none));
	assert_true(cv_device_next_peer(near, &cursor, false, &peer));
	assert_true(peer.has_psk);
	assert_memory_equal(&peer.psk, &none, sizeof(none));

	cv_device_show(near, true, &device);
	cv_dh_clamp(one.b);
	assert_memory_equal(&device.private_key, &one, sizeof(one));
	cursor = (struct cv_peer_cursor){ 0 };
	assert_true(cv_device_next_peer(near, &cursor, true, &peer));
	assert_memory_equal(&peer.psk, &secret, sizeof(secret));
}

static void a_session_is_told_with_its_endpoint_and_counters(void **state)
{
	struct pair *pair = *state;
	struct cv_peer_show before = show_peer(pair->near.device, public_key(2)), after;

	assert_false(before.has_session || before.wants_session);
	assert_true(before.has_endpoint);
	assert_false(before.has_source);
	assert_int_equal(before.last_handshake_wall, 0);
	assert_int_equal(before.tx_bytes, 0);
	pair_connect(pair);
	after = show_peer(pair->near.device, public_key(2));
	assert_int_equal(after.endpoint.port, 1002);
	assert_true(after.has_source);
	assert_int_equal(after.source.addr.b[0], 127);
	assert_true(after.last_handshake_wall > 0);
	assert_true(after.session_birth > 0);
	assert_int_equal(after.tx_bytes, 148 + 32);
	assert_int_equal(after.rx_bytes, 92);
	assert_int_equal(after.keepalive_s, 25);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, pair_open, pair_close)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(peers_are_told_in_order_of_addition),
		CASE(a_cursor_stands_where_it_stood_when_its_peer_is_gone),
		CASE(keys_are_told_only_when_asked_for),
		CASE(a_session_is_told_with_its_endpoint_and_counters),
	};

	if (geteuid() != 0)
		return 77; /* skipped: needs a TUN and a namespace */
	if (cv_crypto_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
