/* Whom we sent a cookie to in the last seconds: a set of endpoints in fixed memory. */
#pragma once

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

#include <convoy/base/addr.h>
#include <convoy/base/time.h>

enum {
	CV_LATELY_GENERATIONS = 8, /* as a byte has bits */
	/* An endpoint is remembered for seven to eight of these: 4.2 s at least, and not as long
	 * as a peer waits before it asks again, which is 5 s. */
	CV_LATELY_GENERATION_MS = 600,
	/* With 100 000 endpoints in it, one in 200 others seems to be. */
	CV_LATELY_PLACES = 1 << 20,
};

/* 1 MiB, touched only when used. All zero is an empty one, but for its key. */
struct cv_lately {
	uint8_t hash_key[16];          /* random, so that a stranger cannot choose whom he hides */
	alignas(8) int64_t generation; /* atomic: number of the youngest */
	alignas(4) uint8_t places[CV_LATELY_PLACES];
};

/* Whether an endpoint was added; rarely, also when it was not. Any thread. */
bool cv_lately_has(const struct cv_lately *lately, const struct cv_endpoint *endpoint, cv_time now);
/* One thread. */
void cv_lately_add(struct cv_lately *lately, const struct cv_endpoint *endpoint, cv_time now);
