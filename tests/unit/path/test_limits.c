/* Where a session ends on the path: at which nonce and age it asks for the next, and sends no more.
 */
#include <convoy/crypto/init.h>
#include <convoy/packet/ip.h>

#include "end.h"

#define BIRTH   (1000 * CV_NS_PER_S)
#define AGED(s) (BIRTH + (s)*CV_NS_PER_S)

static const uint8_t one[32] = { 1 }, two[32] = { 2 };
static struct end a, b;

static int open_ends(void **state)
{
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	end_open(&a, 1, one, two, BIRTH);
	end_open(&b, 2, two, one, BIRTH);
	end_connect(&a);
	end_connect(&b);
	return 0;
}

static int close_ends(void **state)
{
	end_close(&a);
	end_close(&b);
	return 0;
}

/* Send one packet from a, which arrives at b. Return: whether a datagram came of it. */
static bool crosses(cv_time now)
{
	struct cv_ip4 ip = { .version_ihl = 0x45, .tot_len = cv_be16_of(20), .protocol = 253 };
	struct cv_super super = { .data = (uint8_t *)&ip, .len = sizeof(ip) };
	struct cv_inbound_step step;
	struct cv_train *trains;
	size_t n;

	cv_path_load(&a.path, &super, 1, now);
	assert_true(cv_path_outbound(&a.path, now));
	n = cv_path_trains(&a.path, &trains);
	cv_path_receive(&b.path, trains, n);
	while (cv_path_inbound(&b.path, (struct cv_merge_offloads){ 0 }, now, &step))
		;
	cv_path_sent(&a.path, n, now);
	return n > 0;
}

static bool wants_handshake(struct end *end)
{
	uint32_t bits = 0, all = 0;

	while (cv_wishes_take(&end->plane.wishes, &bits))
		all |= bits;
	return all & CV_WISH_HANDSHAKE;
}

static void an_initiator_that_sends_asks_for_the_next_from_120_s_on(void **state)
{
	for (int beside = -1; beside <= 1; beside++) {
		a.keypair.initiator = true;
		assert_true(crosses(AGED(120) + beside));
		assert_int_equal(wants_handshake(&a), beside >= 0);
		a.keypair.initiator = false;
		assert_true(crosses(AGED(120) + beside));
		assert_false(wants_handshake(&a));
	}
}

static void an_initiator_that_receives_asks_once_from_165_s_on(void **state)
{
	b.keypair.initiator = true;
	for (int beside = -1; beside <= 1; beside++) {
		assert_true(crosses(AGED(165) + beside));
		assert_int_equal(wants_handshake(&b), beside == 0);
	}
	assert_int_equal(b.path.counts.in_pkts, 3);
}

static void a_responder_that_receives_leaves_it_to_the_initiator(void **state)
{
	assert_true(crosses(AGED(170)));
	assert_int_equal(b.path.counts.in_pkts, 1);
	assert_false(wants_handshake(&b));
}

static void either_side_asks_beyond_rekey_after_messages(void **state)
{
	for (int beside = -3; beside <= 3; beside++) {
		a.keypair.send_counter = CV_REKEY_AFTER_MESSAGES + (uint64_t)(int64_t)beside;
		assert_true(crosses(BIRTH)); /* and the next number is one more */
		assert_int_equal(wants_handshake(&a), beside >= 0);
	}
	assert_int_equal(b.path.counts.in_pkts, 7);
}

static void the_last_nonce_crosses_and_what_follows_is_staged(void **state)
{
	for (int beside = -3; beside <= 3; beside++) {
		bool ends = beside >= 0;

		a.keypair.send_counter = CV_REJECT_AFTER_MESSAGES + (uint64_t)(int64_t)beside;
		assert_int_equal(crosses(BIRTH), !ends);
		assert_true(wants_handshake(&a));
	}
	assert_int_equal(b.path.counts.in_pkts, 3);
	assert_int_equal(a.peer->stage.pkts, 4);
}

static void sending_and_receiving_end_at_180_s(void **state)
{
	assert_true(crosses(AGED(180) - 1));
	assert_int_equal(b.path.counts.in_pkts, 1);
	b.keypair.birth--; /* for b it is over by then */
	assert_true(crosses(AGED(180) - 1));
	assert_int_equal(b.path.counts.in_pkts, 1);
	assert_false(crosses(AGED(180)));
	assert_int_equal(a.peer->stage.pkts, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			an_initiator_that_sends_asks_for_the_next_from_120_s_on, open_ends,
			close_ends),
		cmocka_unit_test_setup_teardown(an_initiator_that_receives_asks_once_from_165_s_on,
						open_ends, close_ends),
		cmocka_unit_test_setup_teardown(
			a_responder_that_receives_leaves_it_to_the_initiator, open_ends,
			close_ends),
		cmocka_unit_test_setup_teardown(either_side_asks_beyond_rekey_after_messages,
						open_ends, close_ends),
		cmocka_unit_test_setup_teardown(the_last_nonce_crosses_and_what_follows_is_staged,
						open_ends, close_ends),
		cmocka_unit_test_setup_teardown(sending_and_receiving_end_at_180_s, open_ends,
						close_ends),
	};

	cv_crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
