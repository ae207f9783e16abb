/* mac1, mac2 and cookies: known answers, freshness, and whom to believe. */
#include <errno.h>
#include <sys/socket.h>

#include <convoy/crypto/hash.h>

#include "noise_pair.h"

#define SECOND CV_NS_PER_S

static struct pair pair;
static struct side *const initiator = &pair.initiator, *const responder = &pair.responder;
static struct cv_cookie_checker checker;
static struct cv_endpoint source4, source6;

static int setup(void **state)
{
	assert_int_equal(cv_endpoint_parse("192.0.2.1:4660", &source4), 0);
	assert_int_equal(cv_endpoint_parse("[2001:db8::1]:51820", &source6), 0);
	return cv_crypto_init();
}

static int fresh(void **state)
{
	uint8_t secret[32];

	pair_init(&pair, 5);
	memset(secret, 8, sizeof(secret));
	memset(&checker, 0, sizeof(checker));
	cv_cookie_set_secret(&checker, secret, NOW);
	assert_int_equal(initiate(initiator, INITIATOR_INDEX, WALL_NS, &pair.initiation), 0);
	return 0;
}

/* A cookie reply to the initiation, as the responder sends it to source. */
static struct cv_message_cookie reply_to(const struct cv_endpoint *source)
{
	struct cv_message_cookie reply;
	uint8_t nonce[24];

	memset(nonce, 9, sizeof(nonce));
	cv_cookie_create_reply(&checker, &responder->self, &pair.initiation,
			       sizeof(pair.initiation), source, nonce, &reply);
	return reply;
}

/* The initiation, stamped again at `now`. */
static const struct cv_message_macs *stamp_again(cv_time now)
{
	cv_cookie_stamp(&initiator->handshake, &pair.initiation, sizeof(pair.initiation), now);
	return &pair.initiation.macs;
}

static bool mac2_is_good_for(const struct cv_endpoint *source)
{
	return cv_cookie_mac2_ok(&checker, &pair.initiation, sizeof(pair.initiation), source);
}

static bool mac2_is_zero(void)
{
	static const uint8_t zero[16];

	return memcmp(pair.initiation.macs.mac2, zero, 16) == 0;
}

static void mac1_is_the_known_answer_and_mac2_zero_without_a_cookie(void **state)
{
	assert_hex_equal(pair.initiation.macs.mac1, "0555cdbd4b9564263954736db33857c5");
	assert_true(mac2_is_zero());
}

static void mac2_is_zero_without_a_cookie_also_just_after_boot(void **state)
{
	stamp_again(0);
	assert_true(mac2_is_zero());
}

static void cookie_reply_opens_to_the_known_answer_and_stamps_it(void **state)
{
	struct cv_message_cookie reply;

	unhex("0300000011111111070707070707070707070707070707070707070707070707"
	      "a6febccc6c388c1666769fc122aefcbc0b3ea5310f5f1fbe544065d3cfd36f3e",
	      &reply);
	assert_int_equal(cv_cookie_consume_reply(&initiator->handshake, &reply, NOW), 0);
	assert_hex_equal(initiator->handshake.jar.cookie, "06060606060606060606060606060606");
	stamp_again(NOW);
	assert_hex_equal(pair.initiation.macs.mac2, "17e5951ce170675a92a74fa02d80d248");
}

static void responses_are_stamped_and_answered_too(void **state)
{
	struct cv_message_cookie reply;

	assert_int_equal(consume(responder, &pair.initiation, NOW), 0);
	assert_int_equal(respond(responder, RESPONDER_INDEX, &pair.response), 0);
	assert_true(cv_cookie_mac1_ok(&initiator->self, &pair.response, sizeof(pair.response)));
	unhex("0300000022222222070707070707070707070707070707070707070707070707"
	      "36a0dce45c41ca809c053e98ccc63ac51865fb57fe7e50e7523e069d8a6d0370",
	      &reply);
	assert_int_equal(cv_cookie_consume_reply(&responder->handshake, &reply, NOW), 0);
	cv_cookie_stamp(&responder->handshake, &pair.response, sizeof(pair.response), NOW);
	assert_hex_equal(pair.response.macs.mac2, "b1aae2f5c21755b0f926bb00e77db61d");
}

static void cookie_replies_are_the_known_answers_for_both_families(void **state)
{
	const struct cv_message_cookie to4 = reply_to(&source4), to6 = reply_to(&source6);

	assert_hex_equal(&to4, "0300000011111111090909090909090909090909090909090909090909090909"
			       "eb5af28216a57eca915743ac0a3750782649fae0cc6f44de1bf341e91a53078e");
	assert_hex_equal(&to6, "0300000011111111090909090909090909090909090909090909090909090909"
			       "1a66d0c1934cefaad269ae266d727833d0b1e10978f8ff9833914de89c36e4f1");
	assert_int_equal(cv_cookie_consume_reply(&initiator->handshake, &to4, NOW), 0);
	assert_hex_equal(initiator->handshake.jar.cookie, "fea878d167c13e83fadad3f24e484f37");
	stamp_again(NOW);
	assert_int_equal(cv_cookie_consume_reply(&initiator->handshake, &to6, NOW), 0);
	assert_hex_equal(initiator->handshake.jar.cookie, "0f945a92e228afe3b9e43e78290d677c");
	stamp_again(NOW);
	assert_hex_equal(pair.initiation.macs.mac2, "0fb0bfd141b85ed4786b76280cccd08d");
}

static void mac1_is_wrong_when_one_bit_before_it_or_in_it_is(void **state)
{
	const size_t end = 8 * offsetof(struct cv_message_initiation, macs.mac2);
	uint8_t *bytes = (uint8_t *)&pair.initiation;
	size_t bit;

	assert_true(cv_cookie_mac1_ok(&responder->self, bytes, sizeof(pair.initiation)));
	for (bit = 0; bit < end; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(cv_cookie_mac1_ok(&responder->self, bytes, sizeof(pair.initiation)));
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	pair.initiation.macs.mac2[3] ^= 1;
	assert_true(cv_cookie_mac1_ok(&responder->self, bytes, sizeof(pair.initiation)));
}

static void mac1_for_someone_else_or_nobody_is_wrong(void **state)
{
	const uint8_t nobody[32] = { 0 };
	struct cv_identity self;

	assert_false(
		cv_cookie_mac1_ok(&initiator->self, &pair.initiation, sizeof(pair.initiation)));
	cv_identity_init(&self, nobody);
	assert_false(cv_cookie_mac1_ok(&self, &pair.initiation, sizeof(pair.initiation)));
}

static void mac2_is_good_only_from_where_the_cookie_was_sent(void **state)
{
	const struct cv_message_cookie reply = reply_to(&source4);
	struct cv_endpoint elsewhere = source4;

	assert_false(mac2_is_good_for(&source4));
	assert_int_equal(cv_cookie_consume_reply(&initiator->handshake, &reply, NOW), 0);
	stamp_again(NOW);
	assert_true(mac2_is_good_for(&source4));
	elsewhere.port++;
	assert_false(mac2_is_good_for(&elsewhere));
	elsewhere = source4;
	elsewhere.addr.b[3]++;
	assert_false(mac2_is_good_for(&elsewhere));
	assert_false(mac2_is_good_for(&source6));
}

static void ports_count_in_the_cookie_of_ipv6_too(void **state)
{
	const struct cv_message_cookie reply = reply_to(&source6);
	struct cv_endpoint elsewhere = source6;

	assert_int_equal(cv_cookie_consume_reply(&initiator->handshake, &reply, NOW), 0);
	stamp_again(NOW);
	assert_true(mac2_is_good_for(&source6));
	elsewhere.port++;
	assert_false(mac2_is_good_for(&elsewhere));
	elsewhere = source6;
	elsewhere.addr.b[15]++;
	assert_false(mac2_is_good_for(&elsewhere));
}

static void mac2_covers_all_before_it(void **state)
{
	const size_t end = 8 * sizeof(pair.initiation);
	uint8_t *bytes = (uint8_t *)&pair.initiation;
	const struct cv_message_cookie reply = reply_to(&source4);
	size_t bit;

	assert_int_equal(cv_cookie_consume_reply(&initiator->handshake, &reply, NOW), 0);
	stamp_again(NOW);
	for (bit = 0; bit < end; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(mac2_is_good_for(&source4));
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_true(mac2_is_good_for(&source4));
}

static void cookies_are_used_for_115_s(void **state)
{
	const struct cv_message_cookie reply = reply_to(&source4);

	assert_int_equal(cv_cookie_consume_reply(&initiator->handshake, &reply, NOW), 0);
	stamp_again(NOW + 115 * SECOND - 1);
	assert_false(mac2_is_zero());
	stamp_again(NOW + 115 * SECOND);
	assert_true(mac2_is_zero());
}

static void the_secret_goes_stale_at_120_s_and_cookies_die_with_it(void **state)
{
	const struct cv_message_cookie reply = reply_to(&source4);
	const uint8_t secret[32] = { 1 };

	assert_int_equal(cv_cookie_consume_reply(&initiator->handshake, &reply, NOW), 0);
	stamp_again(NOW);
	assert_false(cv_cookie_secret_is_stale(&checker, NOW));
	assert_false(cv_cookie_secret_is_stale(&checker, NOW + 120 * SECOND - 1));
	assert_true(cv_cookie_secret_is_stale(&checker, NOW + 120 * SECOND));
	assert_true(mac2_is_good_for(&source4));
	cv_cookie_set_secret(&checker, secret, NOW + 120 * SECOND);
	assert_false(cv_cookie_secret_is_stale(&checker, NOW + 120 * SECOND));
	assert_false(mac2_is_good_for(&source4));
}

static void without_a_secret_no_mac2_is_good(void **state)
{
	const uint8_t secret[32] = { 0 };
	struct cv_message_cookie reply;

	memset(&checker, 0, sizeof(checker));
	assert_true(cv_cookie_secret_is_stale(&checker, 0));
	assert_true(cv_cookie_secret_is_stale(&checker, NOW));
	/* Not even one made with the zeros that stand there. */
	cv_cookie_set_secret(&checker, secret, NOW);
	reply = reply_to(&source4);
	assert_int_equal(cv_cookie_consume_reply(&initiator->handshake, &reply, NOW), 0);
	stamp_again(NOW);
	assert_true(mac2_is_good_for(&source4));
	memset(&checker, 0, sizeof(checker));
	assert_false(mac2_is_good_for(&source4));
}

static void a_reply_is_believed_once_a_mac1(void **state)
{
	const struct cv_message_cookie first = reply_to(&source4);

	assert_int_equal(cv_cookie_consume_reply(&initiator->handshake, &first, NOW), 0);
	assert_int_equal(cv_cookie_consume_reply(&initiator->handshake, &first, NOW), -EPROTO);
	stamp_again(NOW);
	assert_int_equal(cv_cookie_consume_reply(&initiator->handshake, &first, NOW), 0);
}

static void a_reply_without_anything_sent_is_refused(void **state)
{
	const struct cv_message_cookie reply = reply_to(&source4);

	cv_handshake_init(&initiator->handshake, &initiator->self, responder->self.public_key);
	assert_int_equal(cv_cookie_consume_reply(&initiator->handshake, &reply, NOW), -EPROTO);
}

static void a_reply_to_another_mac1_is_refused_and_touches_nothing(void **state)
{
	const struct cv_message_cookie old = reply_to(&source4);
	struct cv_handshake before;

	assert_int_equal(initiate(initiator, 7, WALL_NS, &pair.initiation), 0);
	before = initiator->handshake;
	assert_int_equal(cv_cookie_consume_reply(&initiator->handshake, &old, NOW), -EBADMSG);
	assert_memory_equal(&initiator->handshake, &before, sizeof(before));
}

static void one_wrong_bit_in_a_reply_is_refused_and_touches_nothing(void **state)
{
	const struct cv_message_cookie good = reply_to(&source4);
	const struct cv_handshake before = initiator->handshake;
	struct cv_message_cookie bad;
	size_t bit;

	for (bit = 8 * offsetof(struct cv_message_cookie, nonce); bit < 8 * sizeof(bad); bit++) {
		bad = good;
		((uint8_t *)&bad)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(cv_cookie_consume_reply(&initiator->handshake, &bad, NOW),
				 -EBADMSG);
	}
	assert_memory_equal(&initiator->handshake, &before, sizeof(before));
	assert_int_equal(cv_cookie_consume_reply(&initiator->handshake, &good, NOW), 0);
}

static void a_reply_does_not_touch_the_handshake_under_way(void **state)
{
	const struct cv_message_cookie reply = reply_to(&source4);
	const struct cv_handshake_progress before = initiator->handshake.under_way;

	assert_int_equal(cv_cookie_consume_reply(&initiator->handshake, &reply, NOW), 0);
	assert_memory_equal(&initiator->handshake.under_way, &before, sizeof(before));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(mac1_is_the_known_answer_and_mac2_zero_without_a_cookie,
				       fresh),
		cmocka_unit_test_setup(mac2_is_zero_without_a_cookie_also_just_after_boot, fresh),
		cmocka_unit_test_setup(cookie_reply_opens_to_the_known_answer_and_stamps_it, fresh),
		cmocka_unit_test_setup(responses_are_stamped_and_answered_too, fresh),
		cmocka_unit_test_setup(cookie_replies_are_the_known_answers_for_both_families,
				       fresh),
		cmocka_unit_test_setup(mac1_is_wrong_when_one_bit_before_it_or_in_it_is, fresh),
		cmocka_unit_test_setup(mac1_for_someone_else_or_nobody_is_wrong, fresh),
		cmocka_unit_test_setup(mac2_is_good_only_from_where_the_cookie_was_sent, fresh),
		cmocka_unit_test_setup(ports_count_in_the_cookie_of_ipv6_too, fresh),
		cmocka_unit_test_setup(mac2_covers_all_before_it, fresh),
		cmocka_unit_test_setup(cookies_are_used_for_115_s, fresh),
		cmocka_unit_test_setup(the_secret_goes_stale_at_120_s_and_cookies_die_with_it,
				       fresh),
		cmocka_unit_test_setup(without_a_secret_no_mac2_is_good, fresh),
		cmocka_unit_test_setup(a_reply_is_believed_once_a_mac1, fresh),
		cmocka_unit_test_setup(a_reply_without_anything_sent_is_refused, fresh),
		cmocka_unit_test_setup(a_reply_to_another_mac1_is_refused_and_touches_nothing,
				       fresh),
		cmocka_unit_test_setup(one_wrong_bit_in_a_reply_is_refused_and_touches_nothing,
				       fresh),
		cmocka_unit_test_setup(a_reply_does_not_touch_the_handshake_under_way, fresh),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
