/* The two of the known answers, initiator and responder, for tests of handshakes. */
#pragma once

#include <convoy/crypto/init.h>
#include <convoy/noise/cookie.h>
#include <convoy/noise/handshake.h>

#include "hex.h"

/* Everything drawn at random elsewhere is a repeated byte here. */
enum {
	INITIATOR_INDEX = 0x11111111,
	RESPONDER_INDEX = 0x22222222,
};

#define WALL_NS (INT64_C(1700000000) * CV_NS_PER_S + 0x10000000)
#define NOW     (500 * CV_NS_PER_S)

struct side {
	struct cv_identity self;
	struct cv_handshake handshake; /* with the other side */
	uint8_t ephemeral[32];
	struct cv_keypair keypair;
};

struct pair {
	struct side initiator, responder;
	struct cv_message_initiation initiation;
	struct cv_message_response response;
};

static inline void side_init(struct side *side, uint8_t private_byte, uint8_t ephemeral_byte)
{
	uint8_t private_key[32];

	memset(side, 0, sizeof(*side));
	memset(private_key, private_byte, sizeof(private_key));
	memset(side->ephemeral, ephemeral_byte, sizeof(side->ephemeral));
	cv_identity_init(&side->self, private_key);
}

/* Static keys 01 and 02, ephemeral ones 03 and 04, preshared key psk_byte (05 in the known
 * answers, 0 for none). */
static inline void pair_init(struct pair *pair, uint8_t psk_byte)
{
	struct side *i = &pair->initiator, *r = &pair->responder;
	uint8_t psk[32];

	memset(psk, psk_byte, sizeof(psk));
	side_init(i, 1, 3);
	side_init(r, 2, 4);
	cv_handshake_init(&i->handshake, &i->self, r->self.public_key);
	cv_handshake_init(&r->handshake, &r->self, i->self.public_key);
	cv_handshake_set_psk(&i->handshake, psk);
	cv_handshake_set_psk(&r->handshake, psk);
}

/* Message 1 of `from`, with its MACs. */
static inline int initiate(struct side *from, uint32_t index, int64_t wall_ns,
			   struct cv_message_initiation *ret_message)
{
	int error = cv_noise_create_initiation(&from->handshake, &from->self, from->ephemeral,
					       index, wall_ns, ret_message);

	if (!error)
		cv_cookie_stamp(&from->handshake, ret_message, sizeof(*ret_message), NOW);
	return error;
}

/* Peek and consume message 1. */
static inline int consume(struct side *at, const struct cv_message_initiation *message, cv_time now)
{
	struct cv_noise_peek peek;
	int error = cv_noise_peek_initiation(&at->self, message, &peek);

	if (error)
		return error;
	assert_memory_equal(peek.remote_static, at->handshake.remote_static, 32);
	return cv_noise_consume_initiation(&at->handshake, message, &peek, now);
}

static inline int respond(struct side *from, uint32_t index,
			  struct cv_message_response *ret_message)
{
	int error = cv_noise_create_response(&from->handshake, from->ephemeral, index, ret_message);

	if (!error)
		cv_cookie_stamp(&from->handshake, ret_message, sizeof(*ret_message), NOW);
	return error;
}

/* Both messages, up to where both may begin their session. */
static inline void shake_hands(struct pair *pair)
{
	struct side *i = &pair->initiator, *r = &pair->responder;

	assert_int_equal(initiate(i, INITIATOR_INDEX, WALL_NS, &pair->initiation), 0);
	assert_int_equal(consume(r, &pair->initiation, NOW), 0);
	assert_int_equal(respond(r, RESPONDER_INDEX, &pair->response), 0);
	assert_int_equal(cv_noise_consume_response(&i->handshake, &i->self, &pair->response), 0);
}
