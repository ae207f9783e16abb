/* Suites: the choice, the limits, and the vectors of conf/convoy-wire.md. */
#include <errno.h>

#include <convoy/crypto/init.h>
#include <convoy/noise/frame.h>
#include <convoy/noise/message.h>
#include <convoy/noise/suite.h>

#include "hex.h"

#define CHACHA CV_SUITE_CHACHA20_POLY1305
#define GCM    CV_SUITE_AES256_GCM

static void the_lowest_sum_of_what_both_have_is_chosen(void **state)
{
	static const struct {
		uint32_t ours[CV_SUITES], theirs[CV_SUITES];
		enum cv_suite chosen;
	} rows[] = {
		{ { 10, 5 }, { 10, 5 }, GCM },
		{ { 10, 5 }, { 10, 14 }, GCM },
		{ { 10, 5 }, { 10, 15 }, CHACHA }, /* equal: the lower number */
		{ { 10, 5 }, { 10, 16 }, CHACHA },
		{ { 10, 5 }, { 10, 0 }, CHACHA },
		{ { 0, 5 }, { 10, 500 }, GCM },
		{ { 0, 5 }, { 10, 0 }, CHACHA }, /* nothing in common */
		{ { 0, 0 }, { 0, 0 }, CHACHA },
		{ { UINT32_MAX, UINT32_MAX }, { 2, 1 }, GCM },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cv_suite_offer a = { { 0 } }, b = { { 0 } };

		memcpy(a.cost_ns, rows[i].ours, sizeof(rows[i].ours));
		memcpy(b.cost_ns, rows[i].theirs, sizeof(rows[i].theirs));
		assert_int_equal(cv_suite_choose(&a, &b), rows[i].chosen);
		assert_int_equal(cv_suite_choose(&b, &a), rows[i].chosen);
	}
}

static void a_key_of_gcm_seals_no_more_than_its_blocks(void **state)
{
	static const uint32_t mtus[] = { 68, 1280, 1420, 1500, 9000, 65456 };

	(void)state;
	for (size_t i = 0; i < sizeof(mtus) / sizeof(mtus[0]); i++) {
		uint64_t max = cv_suite_messages_max(CV_SUITE_AES256_GCM, mtus[i]);
		uint64_t blocks = (mtus[i] + 15) / 16 + 2;

		assert_true(max * blocks <= UINT64_C(1) << 35);
		assert_true((max + 1) * blocks > UINT64_C(1) << 35);
	}
	assert_true(cv_suite_messages_max(CV_SUITE_AES256_GCM, 1420) / 1000000 == 377);
	assert_true(cv_suite_messages_max(CV_SUITE_CHACHA20_POLY1305, 1420) == 0);
}

static void a_bound_session_grows_old_at_half_and_ends_there(void **state)
{
	struct cv_keypair keypair = { 0 };
	uint64_t first;

	(void)state;
	cv_keypair_bound(&keypair, 1000);
	assert_false(cv_keypair_is_old(&keypair, 500, 0));
	assert_true(cv_keypair_is_old(&keypair, 501, 0));
	assert_int_equal(cv_keypair_take(&keypair, 999, 0, &first), 0);
	assert_int_equal(cv_keypair_take(&keypair, 2, 0, &first), -EKEYEXPIRED);
	keypair.send_counter = 999;
	assert_int_equal(cv_keypair_take(&keypair, 1, 0, &first), 0);
	assert_false(cv_keypair_can_send(&keypair, 0));
	/* What the peer sends is the peer's to bound. */
	assert_true(cv_keypair_can_receive(&keypair, 5000, 0));
}

/* A session as if C were 00 01 02 ... 1f. */
static struct cv_keypair session(bool initiator)
{
	struct cv_keypair keypair = { .initiator = initiator };

	unhex("33ef8c82acf3d74b8583b8621873c94bb81e473c8217decc6f0306ad6c04624f", keypair.exporter);
	return keypair;
}

static void keys_are_those_of_the_vectors(void **state)
{
	static const char initiators[] =
		"1e18654441f9bd5c0705a13a653f12662b99168e495189f26250709492991f26";
	static const char responders[] =
		"275857d08bc23c8872e2e59f4c31db6418017a755db986426bdadcd1f95e92bc";
	struct cv_aead aead;

	(void)state;
	assert_int_equal(cv_aead_init(&aead, NULL), 0);
	for (int initiator = 0; initiator < 2; initiator++) {
		const struct cv_keypair keypair = session(initiator);
		struct cv_suite_keys keys;

		assert_int_equal(cv_suite_derive(&keypair, &aead, CV_SUITE_AES256_GCM, &keys), 0);
		assert_hex_equal(keys.send.key.key, initiator ? initiators : responders);
		assert_hex_equal(keys.receive.key.key, initiator ? responders : initiators);
		assert_int_equal(keys.send.key.suite, CV_SUITE_AES256_GCM);
	}
	cv_aead_done(&aead);
}

static void the_message_is_that_of_the_vectors(void **state)
{
	const struct cv_keypair keypair = session(true);
	const struct cv_message_data header = {
		.type = cv_le32_of(cv_message_data_type(CV_SUITE_AES256_GCM)),
		.receiver_index = cv_le32_of(0x05060708),
		.counter = cv_le64_of(7),
	};
	uint8_t message[48] = { 0 };
	struct cv_suite_keys keys;
	struct cv_aead aead;
	struct cv_aead_job job = { &keys.send.key, 7, message + 16, 16, false };

	(void)state;
	assert_int_equal(cv_aead_init(&aead, NULL), 0);
	assert_int_equal(cv_suite_derive(&keypair, &aead, CV_SUITE_AES256_GCM, &keys), 0);
	memcpy(message, &header, sizeof(header));
	memcpy(message + 16, "Convoy", 6);
	cv_aead_seal(&aead, &job, 1);
	assert_hex_equal(message, "0401000008070605070000000000000071282f7c21c0ad9e1442b43b74839ce6"
				  "6b6f27f120f27c04101894ba6f40c666");
	cv_aead_done(&aead);
}

static void frames_are_those_of_the_vectors(void **state)
{
	static const struct {
		struct cv_frame frame;
		const char *text;
	} rows[] = {
		{ { .kind = CV_FRAME_HELLO, .offer = { { 1000, 300 } } },
		  "c1010c00010a00e8030000012c010000" },
		{ { .kind = CV_FRAME_ANSWER, .suite = CV_SUITE_AES256_GCM }, "c1020300020101" },
		{ { .kind = CV_FRAME_GOODBYE }, "c1030000" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t text[CV_FRAME_MAX];
		size_t len = strlen(rows[i].text) / 2;
		struct cv_frame again;

		assert_int_equal(cv_frame_write(&rows[i].frame, text), len);
		assert_hex_equal(text, rows[i].text);
		assert_int_equal(cv_frame_parse(text, len, &again), 0);
		assert_memory_equal(&again.offer, &rows[i].frame.offer, sizeof(again.offer));
		assert_int_equal(again.suite, rows[i].frame.suite);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_lowest_sum_of_what_both_have_is_chosen),
		cmocka_unit_test(a_key_of_gcm_seals_no_more_than_its_blocks),
		cmocka_unit_test(a_bound_session_grows_old_at_half_and_ends_there),
		cmocka_unit_test(keys_are_those_of_the_vectors),
		cmocka_unit_test(the_message_is_that_of_the_vectors),
		cmocka_unit_test(frames_are_those_of_the_vectors),
	};

	if (cv_crypto_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
