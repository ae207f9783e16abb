/* The handshake, Noise_IKpsk2 as WireGuard fixes it: from static keys to a keypair. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <convoy/base/time.h>
#include <convoy/noise/keypair.h>
#include <convoy/noise/message.h>

enum {
	CV_NOISE_KEY_SIZE = 32,
	CV_TAI64N_SIZE = 12,
	/* Initiations of one peer are consumed no faster; kernel INITIATIONS_PER_SECOND. */
	CV_INITIATIONS_PER_SECOND = 50,
};

/*
 * Who we are. Lives in locked memory; one a device. Changed by cv_identity_init() only, after which
 * every peer needs cv_handshake_rekey_identity().
 */
struct cv_identity {
	bool has_key;
	uint8_t private_key[CV_NOISE_KEY_SIZE]; /* clamped */
	uint8_t public_key[CV_NOISE_KEY_SIZE];
	uint8_t mac1_key[CV_NOISE_KEY_SIZE];   /* of messages to us */
	uint8_t cookie_key[CV_NOISE_KEY_SIZE]; /* of cookie replies from us */
};

/* The two values that every handshake message is mixed into; Noise's "symmetric state". */
struct cv_symmetric {
	uint8_t hash[CV_NOISE_KEY_SIZE];  /* of all that was said */
	uint8_t chain[CV_NOISE_KEY_SIZE]; /* of all secrets that were agreed */
};

/* How far a handshake is: what was sent or received last. */
enum cv_handshake_phase {
	CV_HANDSHAKE_NONE,
	CV_HANDSHAKE_CREATED_INITIATION,
	CV_HANDSHAKE_CONSUMED_INITIATION,
	CV_HANDSHAKE_CREATED_RESPONSE,
	CV_HANDSHAKE_CONSUMED_RESPONSE,
};

/* A handshake under way. */
struct cv_handshake_progress {
	enum cv_handshake_phase phase;
	uint32_t local_index;
	uint32_t remote_index;
	struct cv_symmetric symmetric;
	uint8_t ephemeral[CV_NOISE_KEY_SIZE];        /* the initiator's own private key */
	uint8_t remote_ephemeral[CV_NOISE_KEY_SIZE]; /* kept by the responder */
};

/* What we know of the cookies of one peer; noise/cookie.h works on it. */
struct cv_cookie_jar {
	bool has_cookie;
	bool mac1_unanswered; /* last_mac1 went out and no cookie reply has come */
	uint8_t cookie[16];
	cv_time birth;
	uint8_t last_mac1[16];
};

/*
 * A peer's keys and the handshake under way with it: one slot, what starts later wins. Lives in
 * locked memory (cv_vault); control thread only.
 */
struct cv_handshake {
	/* The peer. static_static is the precomputed DH, valid when has_static_static (the peer's
	 * key is no point of low order, and we have a key). */
	uint8_t remote_static[CV_NOISE_KEY_SIZE];
	uint8_t preshared[CV_NOISE_KEY_SIZE]; /* zero: none */
	uint8_t static_static[CV_NOISE_KEY_SIZE];
	uint8_t remote_mac1_key[CV_NOISE_KEY_SIZE];
	uint8_t remote_cookie_key[CV_NOISE_KEY_SIZE];
	bool has_static_static;

	struct cv_handshake_progress under_way;

	/* What outlives it. Timestamps are zero at first, below every real one. */
	uint8_t latest_timestamp[CV_TAI64N_SIZE]; /* of the initiations consumed */
	uint8_t sent_timestamp[CV_TAI64N_SIZE];   /* of the initiations created */
	bool has_consumed;
	cv_time last_consumed; /* when an initiation was consumed last */

	struct cv_cookie_jar jar;
};

/**
 * cv_identity_init() - become who holds this private key
 * @private_key:	clamped on the way in; all zero for nobody: no handshake succeeds then
 */
void cv_identity_init(struct cv_identity *self, const uint8_t private_key[CV_NOISE_KEY_SIZE]);

/* A peer with this public key, no preshared key, nothing under way. A public key of low order is
 * accepted, as the kernel does, but no handshake with it succeeds. */
void cv_handshake_init(struct cv_handshake *handshake, const struct cv_identity *self,
		       const uint8_t remote_static[CV_NOISE_KEY_SIZE]);
/* Used from the next handshake message on; zero for none. */
void cv_handshake_set_psk(struct cv_handshake *handshake,
			  const uint8_t preshared[CV_NOISE_KEY_SIZE]);
/* Our own key changed: precompute anew and clear what is under way. */
void cv_handshake_rekey_identity(struct cv_handshake *handshake, const struct cv_identity *self);
/* Wipe what is under way. Keys, timestamps and cookies stay: a replayed initiation stays one. */
void cv_handshake_clear(struct cv_handshake *handshake);

/**
 * cv_noise_create_initiation() - write message 1; the MACs are left to cv_cookie_stamp()
 * @ephemeral:		32 random bytes, fresh, wiped by the caller
 * @local_index:	where the peer answers to: random, unused
 * @wall_ns:		CLOCK_REALTIME, nanoseconds since the epoch
 *
 * Whatever was under way is replaced.
 *
 * Return: 0; -ENOKEY when no handshake can succeed (no key of ours, or the peer's key is of low
 * order): the handshake is as before then.
 * Source: white paper, section 5.4.2.
 */
int cv_noise_create_initiation(struct cv_handshake *handshake, const struct cv_identity *self,
			       const uint8_t ephemeral[CV_NOISE_KEY_SIZE], uint32_t local_index,
			       int64_t wall_ns, struct cv_message_initiation *ret_message);

/* A message 1 half read: who sent it, and the state to read on from. The caller wipes it. */
struct cv_noise_peek {
	uint8_t remote_static[CV_NOISE_KEY_SIZE];
	struct cv_symmetric symmetric;
};

/**
 * cv_noise_peek_initiation() - learn who sent a message 1 whose mac1 is right
 *
 * The sender is not proven yet: find its cv_handshake and go on to cv_noise_consume_initiation().
 *
 * Return: 0, or -EBADMSG (HANDSHAKE_INVALID).
 */
int cv_noise_peek_initiation(const struct cv_identity *self,
			     const struct cv_message_initiation *message,
			     struct cv_noise_peek *ret_peek);

/**
 * cv_noise_consume_initiation() - check the rest of message 1 and remember it
 * @handshake:	that of peek->remote_static
 * @now:	when it arrived
 *
 * Our own initiation under way, if any, is replaced: that is how simultaneous starts resolve.
 * On failure the handshake is untouched.
 *
 * Return: 0; -EBADMSG (HANDSHAKE_INVALID); -EALREADY when its timestamp is not later than the
 * latest consumed (HANDSHAKE_REPLAY); -EBUSY when it comes within 20 ms of the last one consumed
 * (HANDSHAKE_FLOOD).
 */
int cv_noise_consume_initiation(struct cv_handshake *handshake,
				const struct cv_message_initiation *message,
				const struct cv_noise_peek *peek, cv_time now);

/**
 * cv_noise_create_response() - write message 2; the MACs are left to cv_cookie_stamp()
 * @ephemeral, @local_index:	as for cv_noise_create_initiation()
 *
 * Return: 0; -EPROTO when no initiation was consumed; -EBADMSG when the peer's ephemeral key is of
 * low order (HANDSHAKE_INVALID). The handshake is as before then.
 * Source: white paper, section 5.4.3.
 */
int cv_noise_create_response(struct cv_handshake *handshake,
			     const uint8_t ephemeral[CV_NOISE_KEY_SIZE], uint32_t local_index,
			     struct cv_message_response *ret_message);

/**
 * cv_noise_consume_response() - check message 2, whose mac1 is right, against our initiation
 * @handshake:	the one that was given the index message->receiver_index
 *
 * On failure the handshake is untouched.
 *
 * Return: 0; -EPROTO when no initiation of this index waits for it (HANDSHAKE_INDEX); -EBADMSG
 * (HANDSHAKE_INVALID).
 */
int cv_noise_consume_response(struct cv_handshake *handshake, const struct cv_identity *self,
			      const struct cv_message_response *message);

/**
 * cv_noise_begin_session() - derive the transport keys
 * @now:	birth of the keypair
 * @ret_keypair:	all zero before, as cv_vault_take() gives it; its lock is made here
 *
 * After a created response or a consumed one. Wipes what was under way.
 *
 * Return: 0, or -EPROTO when there is nothing to derive from.
 * Source: white paper, section 5.4.5.
 */
int cv_noise_begin_session(struct cv_handshake *handshake, cv_time now,
			   struct cv_keypair *ret_keypair);

/**
 * cv_tai64n_now() - the timestamp of an initiation
 * @wall_ns:	CLOCK_REALTIME; nanoseconds are whitened to multiples of 2^24 (about 17 ms)
 * @floor:	the last one sent; the result is later even when the clock stepped back
 *
 * Source: white paper, section 5.1; kernel tai64n_now().
 */
void cv_tai64n_now(int64_t wall_ns, const uint8_t floor[CV_TAI64N_SIZE],
		   uint8_t ret_timestamp[CV_TAI64N_SIZE]);
