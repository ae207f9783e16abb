/* A keypair: the two transport keys of one session, its nonces and its replay window. */
#pragma once

#include <pthread.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

#include <convoy/base/time.h>
#include <convoy/crypto/aead.h>
#include <convoy/noise/replay.h>

/* White paper, section 6.1; the reject limit is the kernel's (messages.h), which leaves room for
 * a whole replay window below 2^64. */
#define CV_REKEY_AFTER_MESSAGES  (UINT64_C(1) << 60)
#define CV_REJECT_AFTER_MESSAGES (UINT64_MAX - CV_REPLAY_WINDOW - 1)
enum {
	CV_REKEY_AFTER_TIME_S = 120,
	CV_REJECT_AFTER_TIME_S = 180,
};

/* The keys of a suite beside the transport keys, between two Convoys; in locked memory too. */
struct cv_suite_keys {
	struct cv_suite_key send;
	struct cv_suite_key receive;
};

/* Messages of one direction: those that the highest counter promises, and those that came. */
struct cv_messages {
	uint64_t expected, accepted;
};

/*
 * Lives in locked memory (cv_vault). Made and retired by the control thread; while it is
 * published, workers use it under RCU. Fields without a note do not change once published.
 */
struct cv_keypair {
	struct cv_aead_key send;
	struct cv_aead_key receive;
	cv_time birth;
	uint32_t local_index;               /* the peer writes it to us */
	uint32_t remote_index;              /* we write it to the peer */
	bool initiator;                     /* we sent the initiation */
	uint8_t exporter[CV_AEAD_KEY_SIZE]; /* of keys of other suites; control thread only */

	/* Of another suite, once there are any: what comes under them is opened, and they seal once
	 * the peer is known to have them. cv_rcu_publish / cv_rcu_read; they live as long as we. */
	struct cv_suite_keys *suite, *sealing;

	alignas(8) uint64_t send_counter; /* atomic: next unused nonce */
	alignas(8) uint64_t
		messages_max;  /* atomic: to be sent; 0: as many as the protocol allows */
	bool sending_expired;  /* atomic: no more sending (private key replaced) */
	bool confirmed;        /* atomic: something authentic was received under it */
	bool asked_lastminute; /* atomic: receive side already asked for a rekey */

	struct cv_messages told; /* what the peer says that it received; control thread only */

	pthread_spinlock_t replay_lock; /* guards replay */
	struct cv_replay replay;
};

/**
 * cv_keypair_take() - take n consecutive nonces to send under this keypair
 * @ret_first:	first of the range [first, first + n)
 *
 * One atomic add; the whole range is checked against the limit. Any thread.
 *
 * Return: 0, or -EKEYEXPIRED when the keypair may not send any more.
 * Source: white paper, sections 5.4.6 and 6.1.
 */
int cv_keypair_take(struct cv_keypair *keypair, uint32_t n, cv_time now, uint64_t *ret_first);

/* No more messages than these shall be sent, and at half of them the session is old. Control
 * thread. */
void cv_keypair_bound(struct cv_keypair *keypair, uint64_t messages_max);

/* Whether a session with this nonce sent is so old that a new one is wanted. Any thread. */
bool cv_keypair_is_old(const struct cv_keypair *keypair, uint64_t counter, cv_time now);

/* Whether the keypair may still send at `now` (time, count, not expired). Any thread. */
bool cv_keypair_can_send(const struct cv_keypair *keypair, cv_time now);

/* Whether a message with this counter may be opened under the keypair: REJECT_AFTER_TIME and
 * REJECT_AFTER_MESSAGES. The counter is not yet authenticated. Any thread. */
bool cv_keypair_can_receive(const struct cv_keypair *keypair, uint64_t counter, cv_time now);

/* What came under the keypair so far. Any thread. */
struct cv_messages cv_keypair_received(struct cv_keypair *keypair);
