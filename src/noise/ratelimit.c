/*
 * Token buckets in a fixed table.
 *
 * A bucket is kept as one number, the time at which it will be full again: each handshake moves
 * that its cost further, and is refused when it would end up too far ahead of now. So
 * nothing has to be refilled, and a slot whose time has passed says no more than an empty one: it
 * is free, and the table needs no collector.
 *
 * A source may stand in any of CV_RATELIMIT_WAYS neighbouring slots, of which its keyed hash
 * chooses the first. All of them are looked at, always, so slots may come free in any order. When
 * all are taken by others the source is refused: under a flood from more sources than the table
 * can tell apart, fewer handshakes are the point.
 */
#include <assert.h>
#include <string.h>
#include <sys/socket.h>

#include <convoy/crypto/hash.h>
#include <convoy/noise/ratelimit.h>

void cv_ratelimit_init(struct cv_ratelimit *limit, struct cv_ratelimit_slot *slots, size_t n,
		       unsigned per_s, unsigned burst, const uint8_t hash_key[16])
{
	assert(n >= CV_RATELIMIT_WAYS && (n & (n - 1)) == 0);
	memset(slots, 0, n * sizeof(*slots));
	limit->slots = slots;
	limit->mask = n - 1;
	limit->cost = CV_NS_PER_S / per_s;
	limit->most = burst * limit->cost;
	memcpy(limit->hash_key, hash_key, sizeof(limit->hash_key));
}

/* The slot of a source, or else a free one, or else NULL. */
static struct cv_ratelimit_slot *find(struct cv_ratelimit *limit, uint8_t family, uint64_t prefix,
				      cv_time now)
{
	struct cv_ratelimit_slot *free = NULL;
	size_t at, i;

	at = cv_siphash(limit->hash_key, &prefix, sizeof(prefix)) & limit->mask;
	for (i = 0; i < CV_RATELIMIT_WAYS; i++) {
		struct cv_ratelimit_slot *slot = &limit->slots[(at + i) & limit->mask];

		if (slot->full_at <= now)
			free = free ? free : slot;
		else if (slot->prefix == prefix && slot->family == family)
			return slot;
	}
	return free;
}

bool cv_ratelimit_allow(struct cv_ratelimit *limit, const struct cv_addr *source, cv_time now)
{
	struct cv_ratelimit_slot *slot;
	uint64_t prefix = 0;
	cv_time full_at;

	memcpy(&prefix, source->b, source->family == AF_INET6 ? 8 : 4);
	slot = find(limit, source->family, prefix, now);
	if (!slot)
		return false;
	full_at = (slot->full_at > now ? slot->full_at : now) + limit->cost;
	if (full_at - now > limit->most)
		return false;
	*slot = (struct cv_ratelimit_slot){
		.prefix = prefix,
		.full_at = full_at,
		.family = source->family,
	};
	return true;
}
