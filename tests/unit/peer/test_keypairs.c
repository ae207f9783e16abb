/* The keypair slots: which keypair may send when, and that each one falls out exactly once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <convoy/crypto/init.h>
#include <convoy/peer/peer.h>

enum { KEYPAIRS = 64 };

static struct cv_peers *peers;
static struct cv_peer *peer;
static struct cv_keypair keypairs[KEYPAIRS];
static unsigned fell[KEYPAIRS];

static int make(void **state)
{
	const uint8_t hash_key[16] = { 1 }, key[32] = { 2 };

	memset(keypairs, 0, sizeof(keypairs));
	memset(fell, 0, sizeof(fell));
	peers = cv_peers_new(hash_key);
	return cv_peers_add(peers, key, &peer);
}

static int unmake(void **state)
{
	cv_peers_remove(peers, peer);
	cv_peer_release(peer);
	cv_peers_free(peers);
	return 0;
}

static void count(struct cv_keypair *const *dropped, size_t n)
{
	assert_in_range(n, 0, CV_PEER_DROPPED_MAX);
	for (size_t i = 0; i < n; i++)
		fell[dropped[i] - keypairs]++;
}

static struct cv_keypair *install(unsigned number, bool initiator)
{
	struct cv_keypair *dropped[CV_PEER_DROPPED_MAX];

	keypairs[number].initiator = initiator;
	count(dropped, cv_peer_install_keypair(peer, &keypairs[number], dropped));
	return &keypairs[number];
}

static void an_initiator_sends_at_once_and_keeps_the_one_before(void **state)
{
	install(0, true);
	assert_ptr_equal(peer->current, &keypairs[0]);
	install(1, true);
	assert_ptr_equal(peer->current, &keypairs[1]);
	assert_ptr_equal(peer->previous, &keypairs[0]);
	install(2, true);
	assert_int_equal(fell[0], 1);
	assert_int_equal(fell[1] + fell[2], 0);
}

static void a_responder_waits_until_the_new_keypair_was_used(void **state)
{
	install(0, true);
	install(1, false);
	assert_ptr_equal(peer->current, &keypairs[0]);
	assert_false(cv_peer_confirm_keypair(peer, &keypairs[0]));
	assert_true(cv_peer_confirm_keypair(peer, &keypairs[1]));
	assert_ptr_equal(peer->current, &keypairs[1]);
	assert_ptr_equal(peer->previous, &keypairs[0]);
	assert_null(peer->next);
	assert_false(cv_peer_confirm_keypair(peer, &keypairs[1]));
}

static void the_last_keypair_is_current_and_nothing_waits_behind_it(void **state)
{
	install(0, true);
	assert_true(cv_peer_keypair_is_last(peer, &keypairs[0]));
	install(1, false);
	assert_false(cv_peer_keypair_is_last(peer, &keypairs[0]));
	assert_false(cv_peer_keypair_is_last(peer, &keypairs[1]));
	cv_peer_confirm_keypair(peer, &keypairs[1]);
	assert_true(cv_peer_keypair_is_last(peer, &keypairs[1]));
	assert_false(cv_peer_keypair_is_last(peer, &keypairs[0]));
}

static void what_a_confirmation_pushes_out_waits_for_control(void **state)
{
	install(0, true);
	install(1, true);
	install(2, false); /* takes previous out */
	assert_int_equal(fell[0], 1);
	peer->previous = &keypairs[3];
	assert_true(cv_peer_confirm_keypair(peer, &keypairs[2]));
	assert_ptr_equal(cv_peer_take_dropped(peer), &keypairs[3]);
	assert_null(cv_peer_take_dropped(peer));
}

static void an_initiator_that_finds_a_next_drops_current(void **state)
{
	install(0, true);
	install(1, false);
	install(2, true);
	assert_ptr_equal(peer->current, &keypairs[2]);
	assert_ptr_equal(peer->previous, &keypairs[1]);
	assert_null(peer->next);
	assert_int_equal(fell[0], 1);
}

static void a_second_handshake_replaces_next_and_previous(void **state)
{
	install(0, true);
	install(1, true);
	install(2, false);
	install(3, false);
	assert_ptr_equal(peer->next, &keypairs[3]);
	assert_ptr_equal(peer->current, &keypairs[1]);
	assert_null(peer->previous);
	assert_int_equal(fell[0], 1);
	assert_int_equal(fell[2], 1);
}

/* Whatever happens, a keypair is in one slot, or fell out once. */
static void each_keypair_falls_out_exactly_once(void **state)
{
	struct cv_keypair *dropped[CV_PEER_DROPPED_MAX], *waiting;
	uint32_t seed = 12345;

	for (unsigned i = 0; i < KEYPAIRS; i++) {
		seed = seed * 1664525 + 1013904223;
		install(i, seed >> 31);
		if (seed >> 30 & 1)
			cv_peer_confirm_keypair(peer, &keypairs[i]);
		if ((seed >> 29 & 1) && (waiting = cv_peer_take_dropped(peer)))
			count(&waiting, 1);
	}
	count(dropped, cv_peer_clear_keypairs(peer, dropped));
	for (unsigned i = 0; i < KEYPAIRS; i++)
		assert_int_equal(fell[i], 1);
	assert_null(peer->current);
}

static void under(unsigned number, uint64_t expected, uint64_t accepted)
{
	keypairs[number].replay.next = expected;
	keypairs[number].replay.accepted = accepted;
	keypairs[number].told = (struct cv_messages){ 2 * expected, 2 * accepted };
}

static void assert_tally(uint64_t expected, uint64_t accepted)
{
	struct cv_tally sums = cv_peer_tally(peer, 7);

	assert_int_equal(sums.when, 7);
	assert_int_equal(sums.way[CV_QUALITY_IN].expected, expected);
	assert_int_equal(sums.way[CV_QUALITY_IN].accepted, accepted);
	assert_int_equal(sums.way[CV_QUALITY_OUT].expected, 2 * expected);
	assert_int_equal(sums.way[CV_QUALITY_OUT].accepted, 2 * accepted);
}

static void what_came_is_summed_over_sessions_that_live_and_ended(void **state)
{
	for (unsigned i = 0; i < 3; i++)
		pthread_spin_init(&keypairs[i].replay_lock, PTHREAD_PROCESS_PRIVATE);
	cv_peer_tally_ended(peer, &keypairs[0]); /* of a peer that is no Convoy: nothing */
	peer->probing = calloc(1, sizeof(*peer->probing));
	assert_tally(0, 0);
	install(0, true);
	under(0, 100, 90);
	assert_tally(100, 90);
	install(1, true);
	under(1, 1000, 900);
	install(2, false);
	under(2, 10000, 9000);
	assert_int_equal(fell[0], 1);
	assert_tally(11000, 9900);
	cv_peer_tally_ended(peer, &keypairs[0]);
	assert_tally(11100, 9990);
	assert_true(cv_peer_confirm_keypair(peer, &keypairs[2]));
	assert_tally(11100, 9990);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_initiator_sends_at_once_and_keeps_the_one_before,
						make, unmake),
		cmocka_unit_test_setup_teardown(a_responder_waits_until_the_new_keypair_was_used,
						make, unmake),
		cmocka_unit_test_setup_teardown(
			the_last_keypair_is_current_and_nothing_waits_behind_it, make, unmake),
		cmocka_unit_test_setup_teardown(what_a_confirmation_pushes_out_waits_for_control,
						make, unmake),
		cmocka_unit_test_setup_teardown(an_initiator_that_finds_a_next_drops_current, make,
						unmake),
		cmocka_unit_test_setup_teardown(a_second_handshake_replaces_next_and_previous, make,
						unmake),
		cmocka_unit_test_setup_teardown(each_keypair_falls_out_exactly_once, make, unmake),
		cmocka_unit_test_setup_teardown(
			what_came_is_summed_over_sessions_that_live_and_ended, make, unmake),
	};

	if (cv_crypto_init())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
