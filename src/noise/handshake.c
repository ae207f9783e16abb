/*
 * The handshake: Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s, white paper section 5.4.
 *
 *   initiator                                          responder
 *     create_initiation  -- e, es, s, ss, timestamp -->  peek_initiation (who is it?)
 *                                                        consume_initiation
 *     consume_response   <-- e, ee, se, psk, nothing --  create_response
 *     begin_session                                      begin_session
 *
 * Every token of a message is mixed into the symmetric state: public things into `hash`, secrets
 * into `chain`. A box sealed on the way is keyed by the chain and authenticates the hash, so it
 * opens only for someone to whom all of the talk so far looked the same.
 *
 * Whoever can send us a datagram can send us a message. So each function works on a copy of the
 * state (struct cv_handshake_progress or cv_noise_peek) and writes it back only when everything in
 * the message has proven right: a wrong message leaves a handshake as it was. Copies are wiped.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include <convoy/crypto/box.h>
#include <convoy/crypto/dh.h>
#include <convoy/crypto/hash.h>
#include <convoy/crypto/secret.h>
#include <convoy/noise/handshake.h>

enum { KEY = CV_NOISE_KEY_SIZE };

/* H("Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s") */
static const uint8_t chain_start[KEY] = {
	0x60, 0xe2, 0x6d, 0xae, 0xf3, 0x27, 0xef, 0xc0, 0x2e, 0xc3, 0x35,
	0xe2, 0xa0, 0x25, 0xd2, 0xd0, 0x16, 0xeb, 0x42, 0x06, 0xf8, 0x72,
	0x77, 0xf5, 0x2d, 0x38, 0xd1, 0x98, 0x8b, 0x78, 0xcd, 0x36,
};

/* H(chain_start ‖ "WireGuard v1 zx2c4 Jason@zx2c4.com") */
static const uint8_t hash_start[KEY] = {
	0x22, 0x11, 0xb3, 0x61, 0x08, 0x1a, 0xc5, 0x66, 0x69, 0x12, 0x43,
	0xdb, 0x45, 0x8a, 0xd5, 0x32, 0x2d, 0x9c, 0x6c, 0x66, 0x22, 0x93,
	0xe8, 0xb7, 0x0e, 0xe1, 0x9c, 0x65, 0xba, 0x07, 0x9e, 0xf3,
};

/* conf/convoy-wire.md, "Keys". */
static const char exporter_label[] = "Convoy v1 exporter";

static void mix_hash(struct cv_symmetric *symmetric, const void *data, size_t len)
{
	const struct cv_piece pieces[] = { { symmetric->hash, KEY }, { data, len } };

	cv_hash(pieces, 2, symmetric->hash);
}

static void mix_chain(struct cv_symmetric *symmetric, const uint8_t input[KEY])
{
	cv_kdf1(symmetric->chain, KEY, input, KEY, symmetric->chain);
}

static void mix_chain_key(struct cv_symmetric *symmetric, const uint8_t input[KEY],
			  uint8_t ret_key[KEY])
{
	cv_kdf2(symmetric->chain, KEY, input, KEY, symmetric->chain, ret_key);
}

/* Token "psk": the preshared key goes into chain, hash and key. */
static void mix_preshared(struct cv_symmetric *symmetric, const uint8_t preshared[KEY],
			  uint8_t ret_key[KEY])
{
	uint8_t for_hash[KEY];

	cv_kdf3(symmetric->chain, KEY, preshared, KEY, symmetric->chain, for_hash, ret_key);
	mix_hash(symmetric, for_hash, KEY);
	cv_wipe(for_hash, KEY);
}

/* Mix in a DH. Return: false when it is all zero. */
static bool mix_dh(struct cv_symmetric *symmetric, const uint8_t private_key[KEY],
		   const uint8_t public_key[KEY])
{
	uint8_t shared[KEY];

	if (cv_dh(private_key, public_key, shared))
		return false;
	mix_chain(symmetric, shared);
	cv_wipe(shared, KEY);
	return true;
}

static bool mix_dh_key(struct cv_symmetric *symmetric, const uint8_t private_key[KEY],
		       const uint8_t public_key[KEY], uint8_t ret_key[KEY])
{
	uint8_t shared[KEY];

	if (cv_dh(private_key, public_key, shared))
		return false;
	mix_chain_key(symmetric, shared, ret_key);
	cv_wipe(shared, KEY);
	return true;
}

/* Token "e", the same for both messages. */
static void mix_ephemeral(struct cv_symmetric *symmetric, const uint8_t public_key[KEY])
{
	mix_hash(symmetric, public_key, KEY);
	mix_chain(symmetric, public_key);
}

static void seal_and_mix(struct cv_symmetric *symmetric, const uint8_t key[KEY], const void *text,
			 size_t len, uint8_t *ret_box)
{
	cv_box_seal(key, symmetric->hash, KEY, text, len, ret_box);
	mix_hash(symmetric, ret_box, len + CV_BOX_TAG_SIZE);
}

static bool open_and_mix(struct cv_symmetric *symmetric, const uint8_t key[KEY], const uint8_t *box,
			 size_t box_len, void *ret_text)
{
	if (cv_box_open(key, symmetric->hash, KEY, box, box_len, ret_text))
		return false;
	mix_hash(symmetric, box, box_len);
	return true;
}

/* What both know before the first message: the protocol's name and the responder's key. */
static void start(struct cv_symmetric *symmetric, const uint8_t responder_static[KEY])
{
	memcpy(symmetric->chain, chain_start, KEY);
	memcpy(symmetric->hash, hash_start, KEY);
	mix_hash(symmetric, responder_static, KEY);
}

int cv_noise_create_initiation(struct cv_handshake *handshake, const struct cv_identity *self,
			       const uint8_t ephemeral[CV_NOISE_KEY_SIZE], uint32_t local_index,
			       int64_t wall_ns, struct cv_message_initiation *ret_message)
{
	struct cv_handshake_progress next = {
		.phase = CV_HANDSHAKE_CREATED_INITIATION,
		.local_index = local_index,
	};
	struct cv_symmetric *symmetric = &next.symmetric;
	struct cv_message_initiation message = {
		.type = cv_le32_of(CV_MESSAGE_INITIATION),
		.sender_index = cv_le32_of(local_index),
	};
	uint8_t timestamp[CV_TAI64N_SIZE];
	uint8_t key[KEY];
	int error = -ENOKEY;

	if (!handshake->has_static_static)
		return -ENOKEY;
	start(symmetric, handshake->remote_static);
	memcpy(next.ephemeral, ephemeral, KEY);
	cv_dh_public(ephemeral, message.ephemeral);
	mix_ephemeral(symmetric, message.ephemeral);
	if (mix_dh_key(symmetric, ephemeral, handshake->remote_static, key)) {
		seal_and_mix(symmetric, key, self->public_key, KEY, message.encrypted_static);
		mix_chain_key(symmetric, handshake->static_static, key);
		cv_tai64n_now(wall_ns, handshake->sent_timestamp, timestamp);
		seal_and_mix(symmetric, key, timestamp, sizeof(timestamp),
			     message.encrypted_timestamp);
		memcpy(handshake->sent_timestamp, timestamp, sizeof(timestamp));
		handshake->under_way = next;
		*ret_message = message;
		error = 0;
	}
	cv_wipe(&next, sizeof(next));
	cv_wipe(key, sizeof(key));
	return error;
}

int cv_noise_peek_initiation(const struct cv_identity *self,
			     const struct cv_message_initiation *message,
			     struct cv_noise_peek *ret_peek)
{
	struct cv_noise_peek peek;
	uint8_t key[KEY];
	int error = -EBADMSG;

	if (!self->has_key)
		return -EBADMSG;
	start(&peek.symmetric, self->public_key);
	mix_ephemeral(&peek.symmetric, message->ephemeral);
	if (mix_dh_key(&peek.symmetric, self->private_key, message->ephemeral, key) &&
	    open_and_mix(&peek.symmetric, key, message->encrypted_static,
			 sizeof(message->encrypted_static), peek.remote_static)) {
		*ret_peek = peek;
		error = 0;
	}
	cv_wipe(&peek, sizeof(peek));
	cv_wipe(key, sizeof(key));
	return error;
}

/* Whether an authentic initiation with this timestamp may be taken. */
static int check_timestamp(const struct cv_handshake *handshake,
			   const uint8_t timestamp[CV_TAI64N_SIZE], cv_time now)
{
	if (memcmp(timestamp, handshake->latest_timestamp, CV_TAI64N_SIZE) <= 0)
		return -EALREADY;
	if (handshake->has_consumed &&
	    now - handshake->last_consumed < CV_NS_PER_S / CV_INITIATIONS_PER_SECOND)
		return -EBUSY;
	return 0;
}

int cv_noise_consume_initiation(struct cv_handshake *handshake,
				const struct cv_message_initiation *message,
				const struct cv_noise_peek *peek, cv_time now)
{
	struct cv_handshake_progress next = {
		.phase = CV_HANDSHAKE_CONSUMED_INITIATION,
		.remote_index = cv_le32_get(message->sender_index),
		.symmetric = peek->symmetric,
	};
	uint8_t timestamp[CV_TAI64N_SIZE];
	uint8_t key[KEY];
	int error = -EBADMSG;

	assert(memcmp(peek->remote_static, handshake->remote_static, KEY) == 0);
	if (handshake->has_static_static) {
		mix_chain_key(&next.symmetric, handshake->static_static, key);
		if (open_and_mix(&next.symmetric, key, message->encrypted_timestamp,
				 sizeof(message->encrypted_timestamp), timestamp))
			error = check_timestamp(handshake, timestamp, now);
	}
	if (error == 0) {
		memcpy(next.remote_ephemeral, message->ephemeral, KEY);
		memcpy(handshake->latest_timestamp, timestamp, sizeof(timestamp));
		handshake->has_consumed = true;
		handshake->last_consumed = now;
		handshake->under_way = next;
	}
	cv_wipe(&next, sizeof(next));
	cv_wipe(key, sizeof(key));
	return error;
}

int cv_noise_create_response(struct cv_handshake *handshake,
			     const uint8_t ephemeral[CV_NOISE_KEY_SIZE], uint32_t local_index,
			     struct cv_message_response *ret_message)
{
	struct cv_handshake_progress next = handshake->under_way;
	struct cv_symmetric *symmetric = &next.symmetric;
	struct cv_message_response message = {
		.type = cv_le32_of(CV_MESSAGE_RESPONSE),
		.sender_index = cv_le32_of(local_index),
		.receiver_index = cv_le32_of(next.remote_index),
	};
	uint8_t key[KEY];
	int error = -EBADMSG;

	if (next.phase != CV_HANDSHAKE_CONSUMED_INITIATION) {
		cv_wipe(&next, sizeof(next));
		return -EPROTO;
	}
	next.phase = CV_HANDSHAKE_CREATED_RESPONSE;
	next.local_index = local_index;
	cv_dh_public(ephemeral, message.ephemeral);
	mix_ephemeral(symmetric, message.ephemeral);
	if (mix_dh(symmetric, ephemeral, next.remote_ephemeral) &&
	    mix_dh(symmetric, ephemeral, handshake->remote_static)) {
		mix_preshared(symmetric, handshake->preshared, key);
		seal_and_mix(symmetric, key, NULL, 0, message.encrypted_nothing);
		handshake->under_way = next;
		*ret_message = message;
		error = 0;
	}
	cv_wipe(&next, sizeof(next));
	cv_wipe(key, sizeof(key));
	return error;
}

int cv_noise_consume_response(struct cv_handshake *handshake, const struct cv_identity *self,
			      const struct cv_message_response *message)
{
	struct cv_handshake_progress next = handshake->under_way;
	struct cv_symmetric *symmetric = &next.symmetric;
	uint8_t key[KEY];
	int error = -EBADMSG;

	if (next.phase != CV_HANDSHAKE_CREATED_INITIATION ||
	    next.local_index != cv_le32_get(message->receiver_index)) {
		cv_wipe(&next, sizeof(next));
		return -EPROTO;
	}
	next.phase = CV_HANDSHAKE_CONSUMED_RESPONSE;
	next.remote_index = cv_le32_get(message->sender_index);
	mix_ephemeral(symmetric, message->ephemeral);
	if (mix_dh(symmetric, next.ephemeral, message->ephemeral) &&
	    mix_dh(symmetric, self->private_key, message->ephemeral)) {
		mix_preshared(symmetric, handshake->preshared, key);
		if (open_and_mix(symmetric, key, message->encrypted_nothing,
				 sizeof(message->encrypted_nothing), NULL)) {
			handshake->under_way = next;
			error = 0;
		}
	}
	cv_wipe(&next, sizeof(next));
	cv_wipe(key, sizeof(key));
	return error;
}

int cv_noise_begin_session(struct cv_handshake *handshake, cv_time now,
			   struct cv_keypair *ret_keypair)
{
	const struct cv_handshake_progress *done = &handshake->under_way;
	bool initiator = done->phase == CV_HANDSHAKE_CONSUMED_RESPONSE;
	struct cv_keypair *keypair = ret_keypair;
	struct cv_aead_key *first = initiator ? &keypair->send : &keypair->receive;
	struct cv_aead_key *second = initiator ? &keypair->receive : &keypair->send;

	if (!initiator && done->phase != CV_HANDSHAKE_CREATED_RESPONSE)
		return -EPROTO;
	cv_kdf2(done->symmetric.chain, KEY, NULL, 0, first->key, second->key);
	first->suite = second->suite = CV_SUITE_CHACHA20_POLY1305;
	cv_kdf1(done->symmetric.chain, KEY, exporter_label, sizeof(exporter_label) - 1,
		keypair->exporter);
	keypair->birth = now;
	keypair->local_index = done->local_index;
	keypair->remote_index = done->remote_index;
	keypair->initiator = initiator;
	pthread_spin_init(&keypair->replay_lock, PTHREAD_PROCESS_PRIVATE);
	cv_handshake_clear(handshake);
	return 0;
}
