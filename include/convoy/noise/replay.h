/* The replay window of one receiving key: 8192 bits, RFC 6479's ring without shifts. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	CV_REPLAY_BITS = 8192,
	/* Counters up to this far behind the highest are still told apart (one word is spare). */
	CV_REPLAY_WINDOW = CV_REPLAY_BITS - 64,
};

struct cv_replay {
	uint64_t next;     /* one more than the highest counter accepted */
	uint64_t accepted; /* counters; the rest of `next` is lost or still on its way */
	uint64_t bits[CV_REPLAY_BITS / 64];
};

/**
 * cv_replay_accept() - accept a counter at most once
 * @replay:	window of one receiving key, all zero at first
 * @counter:	from the data header, already authenticated
 *
 * Call only after the tag was verified: an unauthenticated counter would let a stranger move the
 * window. Counters at or above CV_REJECT_AFTER_MESSAGES are refused.
 *
 * Return: true when the packet is new.
 * Source: RFC 6479; WireGuard white paper, section 5.4.6.
 */
bool cv_replay_accept(struct cv_replay *replay, uint64_t counter);
