/*
 * The next free addresses of a tunnel's networks.
 *
 * Everything that is taken in a network is a range of addresses; the ranges are sorted by where
 * they begin, and one sweep from the network's first address on stops at the first gap. So ten
 * thousand peers cost a sort, and a /64 costs no more than a /24.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <convoy/config/edit.h>

#include "internal.h"

/* Addresses of one family, both ends included. */
struct range {
	struct cv_addr first;
	struct cv_addr last;
};

struct ranges {
	struct range *list; /* range[n], with room for all that a config can take */
	size_t n;
};

static int by_first(const void *left, const void *right)
{
	const struct range *a = left, *b = right;

	return memcmp(a->first.b, b->first.b, sizeof(a->first.b));
}

static struct range range_of(const struct cv_prefix *prefix)
{
	struct cv_prefix first = *prefix;
	struct range range;

	cv_prefix_mask(&first);
	range.first = range.last = first.addr;
	for (unsigned bit = prefix->bits; bit < cv_addr_bits(prefix->addr.family); bit++)
		range.last.b[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	return range;
}

/* Add the prefix if it takes something of the network without reaching beyond it. */
static void take(struct ranges *ranges, const struct cv_prefix *network,
		 const struct cv_prefix *prefix)
{
	if (prefix->bits >= network->bits && cv_prefix_contains(network, &prefix->addr))
		ranges->list[ranges->n++] = range_of(prefix);
}

static void take_addr(struct ranges *ranges, const struct cv_prefix *network,
		      const struct cv_addr *addr)
{
	const struct cv_prefix host = { *addr, (uint8_t)cv_addr_bits(addr->family) };

	take(ranges, network, &host);
}

static void take_all(const struct cv_config *config, const struct cv_prefix *network,
		     const struct cv_prefix *picked, size_t n_picked, struct ranges *ranges)
{
	struct range whole = range_of(network);

	ranges->n = 0;
	if (cv_addr_bits(network->addr.family) - network->bits > 1) {
		take_addr(ranges, network, &whole.first);
		if (network->addr.family == AF_INET)
			take_addr(ranges, network, &whole.last);
	}
	for (size_t i = 0; i < config->n_addresses; i++)
		take_addr(ranges, network, &config->addresses[i].addr);
	for (size_t i = 0; i < n_picked; i++)
		take_addr(ranges, network, &picked[i].addr);
	for (size_t i = 0; i < config->n_peers; i++)
		for (size_t k = 0; k < config->peers[i].n_allowed_ips; k++)
			take(ranges, network, &config->peers[i].allowed_ips[k]);
}

/* Return: false behind the highest of all addresses. */
static bool increment(struct cv_addr *addr)
{
	for (unsigned i = cv_addr_size(addr->family); i-- > 0;)
		if (++addr->b[i])
			return true;
	return false;
}

/* The first address of the network that is in no range. */
static bool find_gap(const struct cv_prefix *network, struct ranges *ranges,
		     struct cv_addr *ret_addr)
{
	struct cv_addr gap = range_of(network).first;

	if (ranges->n > 1)
		qsort(ranges->list, ranges->n, sizeof(ranges->list[0]), by_first);
	for (size_t i = 0; i < ranges->n; i++) {
		const struct range *range = &ranges->list[i];

		if (memcmp(range->first.b, gap.b, sizeof(gap.b)) > 0)
			break;
		if (memcmp(range->last.b, gap.b, sizeof(gap.b)) < 0)
			continue;
		gap = range->last;
		if (!increment(&gap))
			return false;
	}
	if (!cv_prefix_contains(network, &gap))
		return false;
	*ret_addr = gap;
	return true;
}

/* The network of the n-th Address, unless it has no room for others or an earlier one has it. */
static bool is_network(const struct cv_config *config, size_t n, struct cv_prefix *ret_network)
{
	struct cv_prefix network = config->addresses[n], other;

	if (network.bits >= cv_addr_bits(network.addr.family))
		return false;
	cv_prefix_mask(&network);
	for (size_t i = 0; i < n; i++) {
		other = config->addresses[i];
		cv_prefix_mask(&other);
		if (cv_prefix_equal(&other, &network))
			return false;
	}
	*ret_network = network;
	return true;
}

static struct range *room_for(const struct cv_config *config, size_t max)
{
	size_t n = 2 + config->n_addresses + max;

	for (size_t i = 0; i < config->n_peers; i++)
		n += config->peers[i].n_allowed_ips;
	return calloc(n, sizeof(struct range));
}

int cv_config_free_addresses(const struct cv_config *config, struct cv_prefix *ret_prefixes,
			     size_t max, struct cv_prefix *ret_full)
{
	struct ranges ranges = { .list = room_for(config, max) };
	struct cv_prefix network;
	size_t n = 0;
	int result = 0;

	if (!ranges.list)
		return -ENOMEM;
	for (size_t i = 0; i < config->n_addresses && result == 0; i++) {
		if (!is_network(config, i, &network))
			continue;
		if (n == max) {
			result = -E2BIG;
			break;
		}
		take_all(config, &network, ret_prefixes, n, &ranges);
		ret_prefixes[n].bits = network.bits;
		if (find_gap(&network, &ranges, &ret_prefixes[n].addr)) {
			n++;
		} else {
			*ret_full = network;
			result = -ENOSPC;
		}
	}
	free(ranges.list);
	return result < 0 ? result : (int)n;
}
