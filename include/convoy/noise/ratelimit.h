/* A rate limit per source for handshakes, in a fixed table. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <convoy/base/addr.h>
#include <convoy/base/time.h>

enum {
	/* Slots in which one source may stand. Measured with 8192 slots: random sources fill about
	 * half of them before the first finds no place. */
	CV_RATELIMIT_WAYS = 16,
};

/* One source: an IPv4 address or an IPv6 /64. Free when full_at has passed. */
struct cv_ratelimit_slot {
	uint64_t prefix;
	cv_time full_at; /* when the bucket will be full again */
	uint8_t family;
};

struct cv_ratelimit {
	struct cv_ratelimit_slot *slots;
	size_t mask;
	cv_time cost; /* of one handshake, in time of its source */
	cv_time most; /* that a source may be ahead of now */
	uint8_t hash_key[16];
};

/**
 * cv_ratelimit_init() - an empty table
 * @slots, @n:	its memory, borrowed; n is a power of two, at least CV_RATELIMIT_WAYS
 * @per_s, @burst:	what a source may have: so many a second, so many at once
 * @hash_key:	random, so that a stranger cannot choose where he collides
 */
void cv_ratelimit_init(struct cv_ratelimit *limit, struct cv_ratelimit_slot *slots, size_t n,
		       unsigned per_s, unsigned burst, const uint8_t hash_key[16]);

/* Whether a source may have one more handshake at `now`, which is then taken. Also false when there
 * is no place in the table to remember it. */
bool cv_ratelimit_allow(struct cv_ratelimit *limit, const struct cv_addr *source, cv_time now);
