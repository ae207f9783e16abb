/*
 * Who gets which address of the Pool.
 *
 * Everything that is taken is a range (range.c): what is never given away, AllowedIPs in the file,
 * leases that hold. A new lease is the first gap from where the key's hash points to, round the end
 * of the pool if need be; a pool of 2^64 costs no more than one of 2^8.
 *
 * The hash is a plain one, so that it needs no secret to be the same again. Who chooses his key
 * chooses his address by it, and gains nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <convoy/base/remainder.h>
#include <convoy/crypto/hash.h>

#include "internal.h"

/* The table ------------------------------------------------------------------------------- */

/* How many keys come before this one. */
static size_t rank(const struct cv_leases *leases, const struct cv_key *public_key)
{
	size_t low = 0, high = leases->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (memcmp(leases->by_key[middle].public_key.b, public_key->b, CV_KEY_SIZE) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct cv_lease *find(const struct cv_leases *leases, const struct cv_key *public_key)
{
	size_t at = rank(leases, public_key);

	if (at == leases->n || !cv_key_equal(&leases->by_key[at].public_key, public_key))
		return NULL;
	return &leases->list[leases->by_key[at].at];
}

const struct cv_lease *cv_leases_find(const struct cv_leases *leases,
				      const struct cv_key *public_key)
{
	return find(leases, public_key);
}

static bool grow(struct cv_leases *leases)
{
	size_t size = leases->size ? 2 * leases->size : 16;
	void *list = reallocarray(leases->list, size, sizeof(*leases->list)), *by_key;

	if (!list)
		return false;
	leases->list = list;
	by_key = reallocarray(leases->by_key, size, sizeof(*leases->by_key));
	if (!by_key)
		return false;
	leases->by_key = by_key;
	leases->size = size;
	return true;
}

struct cv_lease *cv_leases_add(struct cv_leases *leases, const struct cv_key *public_key)
{
	size_t at = rank(leases, public_key);

	if (leases->n == leases->size && !grow(leases))
		return NULL;
	memmove(&leases->by_key[at + 1], &leases->by_key[at],
		(leases->n - at) * sizeof(*leases->by_key));
	leases->by_key[at] = (struct cv_lease_place){ *public_key, leases->n };
	leases->list[leases->n] = (struct cv_lease){ .public_key = *public_key };
	return &leases->list[leases->n++];
}

void cv_leases_saved(struct cv_leases *leases)
{
	for (size_t i = 0; i < leases->n; i++)
		leases->list[i].is_new = false;
	leases->changed = false;
}

void cv_leases_free(struct cv_leases *leases)
{
	free(leases->list);
	free(leases->by_key);
	for (int family = 0; family < CV_FAMILIES; family++)
		cv_ranges_free(&leases->taken[family]);
	*leases = (struct cv_leases){ 0 };
}

/* What holds ------------------------------------------------------------------------------ */

static void take_addr(struct cv_leases *leases, int family, const struct cv_addr *addr)
{
	const struct cv_prefix host = cv_prefix_of_host(addr);

	if (cv_prefix_contains(&leases->pools[family], addr))
		cv_ranges_add(&leases->taken[family], &host);
}

/* The network's own address, which for IPv6 is that of any router (RFC 4291, section 2.6.1), and
 * IPv4's broadcast address. */
static void take_edges(struct cv_leases *leases, int family, const struct cv_prefix *network)
{
	struct cv_range whole = cv_range_of(network);

	take_addr(leases, family, &whole.first);
	if (family == CV_IPV4)
		take_addr(leases, family, &whole.last);
}

static void take_ours(struct cv_leases *leases, int family, const struct cv_config *config)
{
	struct cv_prefix network;

	take_edges(leases, family, &leases->pools[family]);
	if (cv_config_pool_network(config, (enum cv_family)family, &network))
		take_edges(leases, family, &network);
	for (size_t i = 0; i < config->n_addresses; i++)
		take_addr(leases, family, &config->addresses[i].addr);
	for (size_t i = 0; i < config->pool.n_dns; i++)
		take_addr(leases, family, &config->pool.dns[i]);
}

void cv_leases_begin(struct cv_leases *leases, const struct cv_config *config)
{
	for (int family = 0; family < CV_FAMILIES; family++) {
		leases->pools[family] = config->pool.prefixes[family];
		leases->taken[family].n = 0;
		leases->taken[family].lacks = false;
		if (leases->pools[family].addr.family)
			take_ours(leases, family, config);
	}
	for (size_t i = 0; i < leases->n; i++) {
		struct cv_lease *lease = &leases->list[i];

		lease->is_peer = false;
		memset(lease->holds, 0, sizeof(lease->holds));
		memset(lease->has_own, 0, sizeof(lease->has_own));
	}
}

void cv_leases_tell_peer(struct cv_leases *leases, const struct cv_key *public_key)
{
	struct cv_lease *lease = find(leases, public_key);

	if (lease)
		lease->is_peer = true;
}

void cv_leases_tell_prefix(struct cv_leases *leases, const struct cv_key *public_key,
			   const struct cv_prefix *prefix)
{
	int family = cv_family_of(&prefix->addr);
	struct cv_lease *lease;

	if (!cv_prefix_covers(&leases->pools[family], prefix))
		return;
	lease = find(leases, public_key);
	if (lease && prefix->bits == cv_addr_bits(prefix->addr.family) &&
	    cv_addr_equal(&prefix->addr, &lease->addrs[family]))
		return; /* the lease itself */
	cv_ranges_add(&leases->taken[family], prefix);
	if (lease)
		lease->has_own[family] = true;
}

static bool may_hold(const struct cv_leases *leases, const struct cv_lease *lease, int family)
{
	const struct cv_addr *addr = &lease->addrs[family];

	return addr->family && !lease->has_own[family] &&
	       cv_prefix_contains(&leases->pools[family], addr) &&
	       !cv_ranges_contain(&leases->taken[family], addr);
}

static int settle(struct cv_leases *leases, int family)
{
	int r = cv_ranges_order(&leases->taken[family]);

	if (r < 0)
		return r;
	for (size_t i = 0; i < leases->n; i++)
		leases->list[i].holds[family] = may_hold(leases, &leases->list[i], family);
	for (size_t i = 0; i < leases->n; i++)
		if (leases->list[i].holds[family])
			take_addr(leases, family, &leases->list[i].addrs[family]);
	return cv_ranges_order(&leases->taken[family]);
}

int cv_leases_settle(struct cv_leases *leases)
{
	int r = 0;

	for (int family = 0; family < CV_FAMILIES && r == 0; family++)
		r = settle(leases, family);
	return r;
}

/* A new one ------------------------------------------------------------------------------- */

/* An address of the pool by the hash of a key. */
static struct cv_addr point_to(const struct cv_prefix *pool, const struct cv_key *public_key)
{
	static const char label[] = "Convoy v1 lease";
	const struct cv_piece pieces[] = {
		{ label, sizeof(label) - 1 },
		{ public_key->b, CV_KEY_SIZE },
	};
	unsigned size = cv_addr_size(pool->addr.family);
	struct cv_prefix hashed = { pool->addr, pool->bits };
	uint8_t hash[CV_HASH_SIZE];

	cv_hash(pieces, 2, hash);
	memcpy(hashed.addr.b, hash, size);
	cv_prefix_mask(&hashed);
	for (unsigned i = 0; i < size; i++)
		hashed.addr.b[i] ^= hash[i] ^ pool->addr.b[i];
	return hashed.addr;
}

/* Of the keys that are no peer's. */
static struct cv_lease *find_oldest(struct cv_leases *leases, int family)
{
	for (size_t i = 0; i < leases->n; i++)
		if (!leases->list[i].is_peer && leases->list[i].holds[family])
			return &leases->list[i];
	return NULL;
}

static int pick(struct cv_leases *leases, int family, const struct cv_key *public_key,
		struct cv_addr *ret_addr)
{
	const struct cv_prefix *pool = &leases->pools[family];
	struct cv_ranges *taken = &leases->taken[family];
	struct cv_addr from = point_to(pool, public_key), addr;
	struct cv_lease *oldest;
	int r;

	if (cv_ranges_gap(taken, pool, &from, &addr) ||
	    cv_ranges_gap(taken, pool, &pool->addr, &addr)) {
		r = cv_ranges_insert(taken, &addr);
		if (r == 0)
			*ret_addr = addr;
		return r;
	}
	oldest = find_oldest(leases, family);
	if (!oldest)
		return -ENOSPC;
	*ret_addr = oldest->addrs[family];
	oldest->holds[family] = false;
	return 0;
}

/* Who had it once, and does not hold it now, shall not come back to it. */
static void forget(struct cv_leases *leases, int family, const struct cv_addr *addr)
{
	for (size_t i = 0; i < leases->n; i++)
		if (cv_addr_equal(&leases->list[i].addrs[family], addr))
			leases->list[i].addrs[family].family = 0;
}

static int take(struct cv_leases *leases, int family, const struct cv_key *public_key)
{
	struct cv_lease *lease = find(leases, public_key);
	struct cv_addr addr;
	int r = 0;

	if (lease && lease->holds[family])
		return 0;
	if (!leases->pools[family].addr.family)
		return -ENOSPC;
	r = pick(leases, family, public_key, &addr);
	if (r < 0)
		return r;
	if (!lease)
		lease = cv_leases_add(leases, public_key);
	if (!lease)
		return -ENOMEM; /* the address rests until they are settled again */
	forget(leases, family, &addr);
	lease->is_peer = true;
	lease->addrs[family] = addr;
	lease->holds[family] = true;
	lease->is_new = true;
	leases->changed = true;
	return 0;
}

int cv_leases_take(struct cv_leases *leases, const struct cv_key *public_key,
		   const bool wants[CV_FAMILIES])
{
	int result = 0, r;

	for (int family = 0; family < CV_FAMILIES; family++) {
		r = wants[family] ? take(leases, family, public_key) : 0;
		if (r < 0 && result != -ENOMEM)
			result = r;
	}
	return result;
}
