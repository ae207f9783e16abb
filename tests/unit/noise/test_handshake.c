/* The handshake: known answers, and everything that must not work. */
#include <errno.h>

#include <convoy/crypto/aead.h>
#include <convoy/crypto/secret.h>

#include "noise_pair.h"

static const char msg1[] =
	"01000000111111115dfedd3b6bd47f6fa28ee15d969d5bb0ea53774d488bdaf9df1c6e0124b3ef220a26599f"
	"b2188bb723276fc173af67616c817fc32fd04d686d87ec152fac10eed2bda3bb3b6f1eded6977684082284d8"
	"17fb46b3a99b6be3ad273ed6d743e2aea30f5701bea2567e6f0ce2c40555cdbd4b9564263954736db33857c5"
	"00000000000000000000000000000000";
static const char msg2[] =
	"020000002222222211111111ac01b2209e86354fb853237b5de0f4fab13c7fcbf433a61c019369617fecf10b"
	"5a01272c7d3fb60b08b6198d6d4ee3b4e6df542fcd083d4b4334194df9df726f"
	"00000000000000000000000000000000";
static const char msg2_without_psk[] =
	"020000002222222211111111ac01b2209e86354fb853237b5de0f4fab13c7fcbf433a61c019369617fecf10b"
	"ef0425760802688e57d649e7c0ee0d70f9cfe035e7408e77b4f2c6df1c898dbf"
	"00000000000000000000000000000000";

/* 0, 1, the two of order 8, p - 1, p and p + 1. */
static const char *const low_order[] = {
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
};

enum { LOW_ORDER = sizeof(low_order) / sizeof(low_order[0]) };

static struct pair pair;
static struct side *const initiator = &pair.initiator, *const responder = &pair.responder;

static int setup(void **state)
{
	return cv_crypto_init();
}

static int fresh(void **state)
{
	pair_init(&pair, 5);
	return 0;
}

static void identities_are_the_known_answers(void **state)
{
	const char ss[] = "2ed76ab549b1e73c031eb49c9448f0798aea81b698279a0c3dc3e49fbfc4b953";

	assert_hex_equal(initiator->self.public_key,
			 "a4e09292b651c278b9772c569f5fa9bb13d906b46ab68c9df9dc2b4409f8a209");
	assert_hex_equal(responder->self.public_key,
			 "ce8d3ad1ccb633ec7b70c17814a5c76ecd029685050d344745ba05870e587d59");
	assert_hex_equal(initiator->handshake.static_static, ss);
	assert_hex_equal(responder->handshake.static_static, ss);
	assert_memory_equal(initiator->handshake.remote_mac1_key, responder->self.mac1_key, 32);
	assert_memory_equal(initiator->handshake.remote_cookie_key, responder->self.cookie_key, 32);
}

static void initiation_is_the_known_answer(void **state)
{
	const struct cv_symmetric *now = &initiator->handshake.under_way.symmetric;

	assert_int_equal(initiate(initiator, INITIATOR_INDEX, WALL_NS, &pair.initiation), 0);
	assert_hex_equal(&pair.initiation, msg1);
	assert_hex_equal(now->chain,
			 "4696b0ed00cff9c62cf447eb5f9c899d508e66b889a8cef23c4ae5c60f902b5e");
	assert_hex_equal(now->hash,
			 "18f8651319b2af479515b1d7b85984db0ddcc19b6cc4911ae9cf9243b3295c07");
}

static void responder_learns_who_and_comes_to_the_same_state(void **state)
{
	struct cv_noise_peek peek;

	unhex(msg1, &pair.initiation);
	assert_int_equal(cv_noise_peek_initiation(&responder->self, &pair.initiation, &peek), 0);
	assert_memory_equal(peek.remote_static, initiator->self.public_key, 32);
	assert_int_equal(
		cv_noise_consume_initiation(&responder->handshake, &pair.initiation, &peek, NOW),
		0);
	assert_hex_equal(responder->handshake.under_way.symmetric.chain,
			 "4696b0ed00cff9c62cf447eb5f9c899d508e66b889a8cef23c4ae5c60f902b5e");
	assert_hex_equal(responder->handshake.under_way.symmetric.hash,
			 "18f8651319b2af479515b1d7b85984db0ddcc19b6cc4911ae9cf9243b3295c07");
	assert_hex_equal(responder->handshake.latest_timestamp, "400000006553f10a10000000");
}

static void response_is_the_known_answer_and_both_come_to_the_same_state(void **state)
{
	const char chain[] = "3d0fb6de8bdff0e5f3eb777d9ce6ba3252d233cf1b68aafe0a3a385c293d4b66";
	const char hash[] = "0ea919f77c4f747ba0d83f0ca1953e88381154e01237fca298a06596585afd8e";

	shake_hands(&pair);
	assert_hex_equal(&pair.response, msg2);
	assert_hex_equal(initiator->handshake.under_way.symmetric.chain, chain);
	assert_hex_equal(responder->handshake.under_way.symmetric.chain, chain);
	assert_hex_equal(initiator->handshake.under_way.symmetric.hash, hash);
	assert_hex_equal(responder->handshake.under_way.symmetric.hash, hash);
}

static void sessions_have_the_known_keys_crossed(void **state)
{
	const char send[] = "a18cc809fd05b6b5f99644cf506f89dce368c2f54a9dbeb9a384f36c274317ef";
	const char receive[] = "b1aa1b797d3a45da97552b8084ade493aa767f15af95854bc86557f6dacd851d";
	struct cv_keypair *i = &initiator->keypair, *r = &responder->keypair;

	shake_hands(&pair);
	assert_int_equal(cv_noise_begin_session(&responder->handshake, NOW + 1, r), 0);
	assert_int_equal(cv_noise_begin_session(&initiator->handshake, NOW + 2, i), 0);
	assert_hex_equal(i->send.key, send);
	assert_hex_equal(r->receive.key, send);
	assert_hex_equal(i->receive.key, receive);
	assert_hex_equal(r->send.key, receive);
	assert_true(i->initiator);
	assert_false(r->initiator);
	assert_int_equal(i->local_index, INITIATOR_INDEX);
	assert_int_equal(i->remote_index, RESPONDER_INDEX);
	assert_int_equal(r->local_index, RESPONDER_INDEX);
	assert_int_equal(r->remote_index, INITIATOR_INDEX);
	assert_true(r->birth == NOW + 1 && i->birth == NOW + 2);
	assert_int_equal(i->send_counter, 0);
	assert_int_equal(pthread_spin_trylock(&i->replay_lock), 0);
	assert_int_equal(pthread_spin_unlock(&i->replay_lock), 0);
}

/* Seal a data message; the text lies behind the header. */
static void seal_data(const struct cv_keypair *keypair, uint64_t counter, uint8_t *message,
		      uint32_t len)
{
	const struct cv_message_data header = {
		.type = cv_le32_of(CV_MESSAGE_DATA),
		.receiver_index = cv_le32_of(keypair->remote_index),
		.counter = cv_le64_of(counter),
	};
	struct cv_aead_job job = {
		.key = &keypair->send,
		.counter = counter,
		.text = message + sizeof(header),
		.len = len,
	};
	struct cv_aead aead;

	assert_int_equal(cv_aead_init(&aead, NULL), 0);
	memcpy(message, &header, sizeof(header));
	cv_aead_seal(&aead, &job, 1);
	cv_aead_done(&aead);
}

static void data_messages_are_the_known_answers(void **state)
{
	uint8_t message[48];
	uint8_t i;

	shake_hands(&pair);
	cv_noise_begin_session(&initiator->handshake, NOW, &initiator->keypair);
	cv_noise_begin_session(&responder->handshake, NOW, &responder->keypair);
	seal_data(&initiator->keypair, 0, message, 0);
	assert_hex_equal(message,
			 "040000002222222200000000000000002573d3030aabba0c616df8e5a1bab60b");
	for (i = 0; i < 16; i++)
		message[16 + i] = i;
	seal_data(&initiator->keypair, 7, message, 16);
	assert_hex_equal(message,
			 "04000000222222220700000000000000"
			 "c14efc86651be03b76a66516eb278f51cd33235c18ce3f2a9011cee4da33c1a9");
	seal_data(&responder->keypair, 0, message, 0);
	assert_hex_equal(message,
			 "04000000111111110000000000000000debc5ce8db9dfbdcc00a210e42229c06");
}

static void handshake_without_preshared_key_is_the_known_answer(void **state)
{
	pair_init(&pair, 0);
	shake_hands(&pair);
	assert_hex_equal(&pair.response, msg2_without_psk);
	cv_noise_begin_session(&initiator->handshake, NOW, &initiator->keypair);
	assert_hex_equal(initiator->keypair.send.key,
			 "b30c71d520eb54edcf0ad32b6c2e5bdff747e6e2bf8a126ae52eb1c7140b4398");
	assert_hex_equal(initiator->keypair.receive.key,
			 "bc8d9cb5d3c1654d26eef4fab1426ff05fff238c2ddac280941197772e21c21c");
}

static void nothing_of_a_handshake_is_left_when_the_session_begins(void **state)
{
	const struct cv_handshake_progress nothing = { 0 };

	shake_hands(&pair);
	cv_noise_begin_session(&initiator->handshake, NOW, &initiator->keypair);
	assert_memory_equal(&initiator->handshake.under_way, &nothing, sizeof(nothing));
	assert_int_equal(cv_noise_begin_session(&initiator->handshake, NOW, &initiator->keypair),
			 -EPROTO);
	assert_int_equal(
		cv_noise_consume_response(&initiator->handshake, &initiator->self, &pair.response),
		-EPROTO);
}

static void a_session_needs_a_finished_handshake(void **state)
{
	struct cv_keypair keypair = { 0 };

	assert_int_equal(cv_noise_begin_session(&initiator->handshake, NOW, &keypair), -EPROTO);
	initiate(initiator, INITIATOR_INDEX, WALL_NS, &pair.initiation);
	assert_int_equal(cv_noise_begin_session(&initiator->handshake, NOW, &keypair), -EPROTO);
	assert_int_equal(consume(responder, &pair.initiation, NOW), 0);
	assert_int_equal(cv_noise_begin_session(&responder->handshake, NOW, &keypair), -EPROTO);
	assert_true(cv_secret_is_zero(&keypair, sizeof(keypair)));
}

static void one_wrong_bit_in_an_initiation_is_refused_and_touches_nothing(void **state)
{
	const size_t first = 8 * offsetof(struct cv_message_initiation, ephemeral);
	const size_t end = 8 * offsetof(struct cv_message_initiation, macs);
	const struct cv_handshake before = responder->handshake;
	struct cv_message_initiation bad;
	size_t bit;

	initiate(initiator, INITIATOR_INDEX, WALL_NS, &pair.initiation);
	for (bit = first; bit < end; bit++) {
		/* X25519 masks the top bit of a point, but the hash does not. */
		bad = pair.initiation;
		((uint8_t *)&bad)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(consume(responder, &bad, NOW), -EBADMSG);
	}
	assert_memory_equal(&responder->handshake, &before, sizeof(before));
	assert_int_equal(consume(responder, &pair.initiation, NOW), 0);
}

static void one_wrong_bit_in_a_response_is_refused_and_touches_nothing(void **state)
{
	const size_t first = 8 * offsetof(struct cv_message_response, receiver_index);
	const size_t text = 8 * offsetof(struct cv_message_response, ephemeral);
	const size_t end = 8 * offsetof(struct cv_message_response, macs);
	struct cv_message_response bad;
	struct cv_handshake before;
	size_t bit;

	initiate(initiator, INITIATOR_INDEX, WALL_NS, &pair.initiation);
	consume(responder, &pair.initiation, NOW);
	respond(responder, RESPONDER_INDEX, &pair.response);
	before = initiator->handshake;
	for (bit = first; bit < end; bit++) {
		bad = pair.response;
		((uint8_t *)&bad)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(
			cv_noise_consume_response(&initiator->handshake, &initiator->self, &bad),
			bit < text ? -EPROTO : -EBADMSG);
	}
	assert_memory_equal(&initiator->handshake, &before, sizeof(before));
	assert_int_equal(
		cv_noise_consume_response(&initiator->handshake, &initiator->self, &pair.response),
		0);
}

static void different_preshared_keys_do_not_meet(void **state)
{
	const uint8_t other[32] = { 6 };
	struct cv_handshake before;

	cv_handshake_set_psk(&responder->handshake, other);
	initiate(initiator, INITIATOR_INDEX, WALL_NS, &pair.initiation);
	before = initiator->handshake;
	assert_int_equal(consume(responder, &pair.initiation, NOW), 0);
	assert_int_equal(respond(responder, RESPONDER_INDEX, &pair.response), 0);
	assert_int_equal(
		cv_noise_consume_response(&initiator->handshake, &initiator->self, &pair.response),
		-EBADMSG);
	assert_memory_equal(&initiator->handshake, &before, sizeof(before));

	cv_handshake_set_psk(&initiator->handshake, other);
	assert_int_equal(
		cv_noise_consume_response(&initiator->handshake, &initiator->self, &pair.response),
		0);
}

static void an_initiation_to_someone_else_is_refused(void **state)
{
	struct side third;
	struct cv_noise_peek peek;

	side_init(&third, 9, 8);
	initiate(initiator, INITIATOR_INDEX, WALL_NS, &pair.initiation);
	assert_int_equal(cv_noise_peek_initiation(&third.self, &pair.initiation, &peek), -EBADMSG);
}

static void a_replayed_initiation_is_refused_and_touches_nothing(void **state)
{
	const cv_time later = NOW + 100 * CV_NS_PER_S;
	struct cv_message_initiation older;
	struct cv_handshake before;

	initiate(initiator, 1, WALL_NS, &older);
	initiate(initiator, 2, WALL_NS + CV_NS_PER_S, &pair.initiation);
	assert_int_equal(consume(responder, &pair.initiation, NOW), 0);
	before = responder->handshake;
	assert_int_equal(consume(responder, &pair.initiation, later), -EALREADY);
	assert_int_equal(consume(responder, &older, later), -EALREADY);
	assert_memory_equal(&responder->handshake, &before, sizeof(before));
}

static void a_replay_stays_one_after_the_handshake_was_cleared(void **state)
{
	initiate(initiator, INITIATOR_INDEX, WALL_NS, &pair.initiation);
	assert_int_equal(consume(responder, &pair.initiation, NOW), 0);
	cv_handshake_clear(&responder->handshake);
	assert_int_equal(responder->handshake.under_way.phase, CV_HANDSHAKE_NONE);
	assert_int_equal(consume(responder, &pair.initiation, NOW + 100 * CV_NS_PER_S), -EALREADY);
	cv_handshake_rekey_identity(&responder->handshake, &responder->self);
	assert_int_equal(consume(responder, &pair.initiation, NOW + 100 * CV_NS_PER_S), -EALREADY);
}

static void initiations_within_20_ms_are_a_flood_and_touch_nothing(void **state)
{
	struct cv_message_initiation next;
	struct cv_handshake before;

	initiate(initiator, 1, WALL_NS, &pair.initiation);
	initiate(initiator, 2, WALL_NS + CV_NS_PER_S, &next);
	assert_int_equal(consume(responder, &pair.initiation, NOW), 0);
	before = responder->handshake;
	assert_int_equal(consume(responder, &next, NOW), -EBUSY);
	assert_int_equal(consume(responder, &next, NOW + 20 * CV_NS_PER_MS - 1), -EBUSY);
	assert_memory_equal(&responder->handshake, &before, sizeof(before));
	assert_int_equal(consume(responder, &next, NOW + 20 * CV_NS_PER_MS), 0);
	assert_int_equal(responder->handshake.under_way.remote_index, 2);
}

static void the_first_initiation_is_no_flood_even_at_time_zero(void **state)
{
	initiate(initiator, 1, WALL_NS, &pair.initiation);
	assert_int_equal(consume(responder, &pair.initiation, 0), 0);
}

static void a_sender_whose_clock_went_back_is_still_heard(void **state)
{
	initiate(initiator, 1, WALL_NS, &pair.initiation);
	assert_int_equal(consume(responder, &pair.initiation, NOW), 0);
	initiate(initiator, 2, WALL_NS - 86400 * CV_NS_PER_S, &pair.initiation);
	assert_int_equal(consume(responder, &pair.initiation, NOW + CV_NS_PER_S), 0);
}

static void simultaneous_starts_cancel_out_and_the_next_one_succeeds(void **state)
{
	struct side *a = initiator, *b = responder;
	struct cv_message_initiation of_a, of_b;
	struct cv_message_response to_a;

	/* Both start; a hears b first and forgets its own. */
	assert_int_equal(initiate(a, 0xa1, WALL_NS, &of_a), 0);
	assert_int_equal(initiate(b, 0xb1, WALL_NS, &of_b), 0);
	assert_int_equal(consume(a, &of_b, NOW), 0);
	assert_int_equal(respond(a, 0xa2, &pair.response), 0);
	/* b answers a's as well, and so forgets its own too. */
	assert_int_equal(consume(b, &of_a, NOW), 0);
	assert_int_equal(respond(b, 0xb2, &to_a), 0);
	/* Both responses find nothing that waits for them. */
	assert_int_equal(cv_noise_consume_response(&b->handshake, &b->self, &pair.response),
			 -EPROTO);
	assert_int_equal(cv_noise_consume_response(&a->handshake, &a->self, &to_a), -EPROTO);
	/* Whoever starts next succeeds. */
	assert_int_equal(initiate(a, 0xa3, WALL_NS, &of_a), 0);
	assert_int_equal(consume(b, &of_a, NOW + 5 * CV_NS_PER_S), 0);
	assert_int_equal(respond(b, 0xb3, &to_a), 0);
	assert_int_equal(cv_noise_consume_response(&a->handshake, &a->self, &to_a), 0);
	assert_int_equal(cv_noise_begin_session(&a->handshake, NOW, &a->keypair), 0);
	assert_int_equal(cv_noise_begin_session(&b->handshake, NOW, &b->keypair), 0);
	assert_memory_equal(&a->keypair.send, &b->keypair.receive, 32);
}

static void a_crossing_start_is_settled_by_the_first_response(void **state)
{
	struct side *a = initiator, *b = responder;
	struct cv_message_initiation of_a, of_b;

	assert_int_equal(initiate(a, 0xa1, WALL_NS, &of_a), 0);
	assert_int_equal(initiate(b, 0xb1, WALL_NS, &of_b), 0);
	assert_int_equal(consume(a, &of_b, NOW), 0);
	assert_int_equal(respond(a, 0xa2, &pair.response), 0);
	assert_int_equal(cv_noise_consume_response(&b->handshake, &b->self, &pair.response), 0);
	assert_int_equal(cv_noise_begin_session(&a->handshake, NOW, &a->keypair), 0);
	assert_int_equal(cv_noise_begin_session(&b->handshake, NOW, &b->keypair), 0);
	assert_memory_equal(&a->keypair.send, &b->keypair.receive, 32);
	assert_true(b->keypair.initiator);
}

static void a_response_to_an_initiation_that_was_replaced_finds_nothing(void **state)
{
	struct cv_message_initiation again;

	initiate(initiator, 1, WALL_NS, &pair.initiation);
	assert_int_equal(consume(responder, &pair.initiation, NOW), 0);
	assert_int_equal(respond(responder, RESPONDER_INDEX, &pair.response), 0);
	initiate(initiator, 2, WALL_NS, &again);
	assert_int_equal(
		cv_noise_consume_response(&initiator->handshake, &initiator->self, &pair.response),
		-EPROTO);
}

static void a_response_to_no_initiation_finds_nothing_even_at_index_zero(void **state)
{
	initiate(initiator, 0, WALL_NS, &pair.initiation);
	assert_int_equal(consume(responder, &pair.initiation, NOW), 0);
	assert_int_equal(respond(responder, RESPONDER_INDEX, &pair.response), 0);
	cv_handshake_clear(&initiator->handshake);
	assert_int_equal(
		cv_noise_consume_response(&initiator->handshake, &initiator->self, &pair.response),
		-EPROTO);
}

static void a_response_needs_an_initiation_and_is_made_once(void **state)
{
	assert_int_equal(respond(responder, 1, &pair.response), -EPROTO);
	initiate(initiator, 1, WALL_NS, &pair.initiation);
	assert_int_equal(respond(initiator, 1, &pair.response), -EPROTO);
	assert_int_equal(consume(responder, &pair.initiation, NOW), 0);
	assert_int_equal(respond(responder, 1, &pair.response), 0);
	assert_int_equal(respond(responder, 2, &pair.response), -EPROTO);
}

static void peers_of_low_order_are_accepted_but_never_shake_hands(void **state)
{
	struct cv_handshake before;
	uint8_t point[32];
	int i;

	for (i = 0; i < LOW_ORDER; i++) {
		unhex(low_order[i], point);
		cv_handshake_init(&initiator->handshake, &initiator->self, point);
		before = initiator->handshake;
		assert_int_equal(initiate(initiator, 1, WALL_NS, &pair.initiation), -ENOKEY);
		assert_memory_equal(&initiator->handshake, &before, sizeof(before));
	}
}

static void ephemeral_keys_of_low_order_are_refused(void **state)
{
	const struct cv_handshake before = responder->handshake;
	struct cv_message_response bad;
	struct cv_handshake waiting;
	int i;

	initiate(initiator, 1, WALL_NS, &pair.initiation);
	consume(responder, &pair.initiation, NOW);
	respond(responder, 2, &pair.response);
	waiting = initiator->handshake;
	responder->handshake = before;
	for (i = 0; i < LOW_ORDER; i++) {
		unhex(low_order[i], pair.initiation.ephemeral);
		assert_int_equal(consume(responder, &pair.initiation, NOW), -EBADMSG);
		bad = pair.response;
		unhex(low_order[i], bad.ephemeral);
		assert_int_equal(
			cv_noise_consume_response(&initiator->handshake, &initiator->self, &bad),
			-EBADMSG);
	}
	assert_memory_equal(&responder->handshake, &before, sizeof(before));
	assert_memory_equal(&initiator->handshake, &waiting, sizeof(waiting));
}

static void without_a_key_of_our_own_nothing_succeeds(void **state)
{
	const uint8_t nobody[32] = { 0 };
	struct cv_noise_peek peek;

	initiate(initiator, 1, WALL_NS, &pair.initiation);
	responder->self.has_key = false;
	assert_int_equal(cv_noise_peek_initiation(&responder->self, &pair.initiation, &peek),
			 -EBADMSG);
	cv_identity_init(&responder->self, nobody);
	cv_handshake_rekey_identity(&responder->handshake, &responder->self);
	assert_false(responder->self.has_key);
	assert_true(cv_secret_is_zero(&responder->self, sizeof(responder->self)));
	assert_int_equal(cv_noise_peek_initiation(&responder->self, &pair.initiation, &peek),
			 -EBADMSG);
	assert_int_equal(initiate(responder, 1, WALL_NS, &pair.initiation), -ENOKEY);
}

static void a_new_key_of_our_own_ends_what_is_under_way_and_works_from_then_on(void **state)
{
	uint8_t private_key[32];

	initiate(initiator, 1, WALL_NS, &pair.initiation);
	assert_int_equal(consume(responder, &pair.initiation, NOW), 0);
	respond(responder, 2, &pair.response);

	memset(private_key, 0x17, sizeof(private_key));
	cv_identity_init(&initiator->self, private_key);
	cv_handshake_rekey_identity(&initiator->handshake, &initiator->self);
	assert_int_equal(
		cv_noise_consume_response(&initiator->handshake, &initiator->self, &pair.response),
		-EPROTO);

	cv_handshake_init(&responder->handshake, &responder->self, initiator->self.public_key);
	cv_handshake_set_psk(&responder->handshake, initiator->handshake.preshared);
	shake_hands(&pair);
	assert_memory_equal(initiator->handshake.under_way.symmetric.chain,
			    responder->handshake.under_way.symmetric.chain, 32);
}

static void private_keys_are_clamped(void **state)
{
	uint8_t private_key[32];

	memset(private_key, 0xff, sizeof(private_key));
	cv_identity_init(&initiator->self, private_key);
	assert_int_equal(initiator->self.private_key[0], 0xf8);
	assert_int_equal(initiator->self.private_key[31], 0x7f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(identities_are_the_known_answers, fresh),
		cmocka_unit_test_setup(initiation_is_the_known_answer, fresh),
		cmocka_unit_test_setup(responder_learns_who_and_comes_to_the_same_state, fresh),
		cmocka_unit_test_setup(response_is_the_known_answer_and_both_come_to_the_same_state,
				       fresh),
		cmocka_unit_test_setup(sessions_have_the_known_keys_crossed, fresh),
		cmocka_unit_test_setup(data_messages_are_the_known_answers, fresh),
		cmocka_unit_test_setup(handshake_without_preshared_key_is_the_known_answer, fresh),
		cmocka_unit_test_setup(nothing_of_a_handshake_is_left_when_the_session_begins,
				       fresh),
		cmocka_unit_test_setup(a_session_needs_a_finished_handshake, fresh),
		cmocka_unit_test_setup(
			one_wrong_bit_in_an_initiation_is_refused_and_touches_nothing, fresh),
		cmocka_unit_test_setup(one_wrong_bit_in_a_response_is_refused_and_touches_nothing,
				       fresh),
		cmocka_unit_test_setup(different_preshared_keys_do_not_meet, fresh),
		cmocka_unit_test_setup(an_initiation_to_someone_else_is_refused, fresh),
		cmocka_unit_test_setup(a_replayed_initiation_is_refused_and_touches_nothing, fresh),
		cmocka_unit_test_setup(a_replay_stays_one_after_the_handshake_was_cleared, fresh),
		cmocka_unit_test_setup(initiations_within_20_ms_are_a_flood_and_touch_nothing,
				       fresh),
		cmocka_unit_test_setup(the_first_initiation_is_no_flood_even_at_time_zero, fresh),
		cmocka_unit_test_setup(a_sender_whose_clock_went_back_is_still_heard, fresh),
		cmocka_unit_test_setup(simultaneous_starts_cancel_out_and_the_next_one_succeeds,
				       fresh),
		cmocka_unit_test_setup(a_crossing_start_is_settled_by_the_first_response, fresh),
		cmocka_unit_test_setup(a_response_to_an_initiation_that_was_replaced_finds_nothing,
				       fresh),
		cmocka_unit_test_setup(a_response_to_no_initiation_finds_nothing_even_at_index_zero,
				       fresh),
		cmocka_unit_test_setup(a_response_needs_an_initiation_and_is_made_once, fresh),
		cmocka_unit_test_setup(peers_of_low_order_are_accepted_but_never_shake_hands,
				       fresh),
		cmocka_unit_test_setup(ephemeral_keys_of_low_order_are_refused, fresh),
		cmocka_unit_test_setup(without_a_key_of_our_own_nothing_succeeds, fresh),
		cmocka_unit_test_setup(
			a_new_key_of_our_own_ends_what_is_under_way_and_works_from_then_on, fresh),
		cmocka_unit_test_setup(private_keys_are_clamped, fresh),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
