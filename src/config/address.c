/*
 * The next free addresses of a tunnel's networks.
 *
 * Everything that is taken in a network is a range of addresses (range.c); the first gap behind the
 * network's first address is free.
 */
#include <errno.h>
#include <netinet/in.h>

#include <convoy/base/remainder.h>
#include <convoy/config/edit.h>

#include "internal.h"

/* Add the prefix if it takes something of the network without reaching beyond it. */
static void take(struct cv_ranges *ranges, const struct cv_prefix *network,
		 const struct cv_prefix *prefix)
{
	if (cv_prefix_covers(network, prefix))
		cv_ranges_add(ranges, prefix);
}

static void take_addr(struct cv_ranges *ranges, const struct cv_prefix *network,
		      const struct cv_addr *addr)
{
	const struct cv_prefix host = cv_prefix_of_host(addr);

	take(ranges, network, &host);
}

static void take_all(const struct cv_config *config, const struct cv_prefix *network,
		     const struct cv_prefix *picked, size_t n_picked, struct cv_ranges *ranges)
{
	struct cv_range whole = cv_range_of(network);

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

static void take_leases(const struct cv_leases *leases, const struct cv_prefix *network,
			struct cv_ranges *ranges)
{
	for (size_t i = 0; i < leases->n; i++)
		for (int family = 0; family < CV_FAMILIES; family++)
			if (leases->list[i].addrs[family].family)
				take_addr(ranges, network, &leases->list[i].addrs[family]);
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

int cv_config_free_addresses(const struct cv_config *config, const struct cv_leases *leases,
			     struct cv_prefix *ret_prefixes, size_t max, struct cv_prefix *ret_full)
{
	struct cv_ranges ranges = { 0 };
	struct cv_prefix network;
	size_t n = 0;
	int result = 0;

	for (size_t i = 0; i < config->n_addresses && result == 0; i++) {
		if (!is_network(config, i, &network))
			continue;
		if (n == max) {
			result = -E2BIG;
			break;
		}
		take_all(config, &network, ret_prefixes, n, &ranges);
		if (leases)
			take_leases(leases, &network, &ranges);
		result = cv_ranges_order(&ranges);
		ret_prefixes[n].bits = network.bits;
		if (result < 0)
			break;
		if (cv_ranges_gap(&ranges, &network, &network.addr, &ret_prefixes[n].addr)) {
			n++;
		} else {
			*ret_full = network;
			result = -ENOSPC;
		}
	}
	cv_ranges_free(&ranges);
	return result < 0 ? result : (int)n;
}
