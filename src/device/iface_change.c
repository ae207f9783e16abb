/*
 * The interface from one config to another.
 *
 * How it works. What a config asks of the host are sets: addresses, routes with their tables, and
 * the endpoints on whose paths an automatic MTU depends. The two configs' sets are sorted and
 * walked side by side, so that the cost lies in what differs. New things come before old ones go:
 * there is a way through the tunnel all the time. Setting an interface up is the change from a
 * config that asks for nothing.
 *
 * The kernel takes away more than it is told to: with an IPv4 address go those that came later into
 * the same network, with the last one go all routes. So after an address went, all that shall be
 * there is added again, which does nothing where it still is.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <convoy/base/addr.h>
#include <convoy/base/remainder.h>
#include <convoy/base/wire.h>

#include "iface.h"

enum {
	MAIN_TABLE = 254,    /* RT_TABLE_MAIN, linux/rtnetlink.h */
	LINK_MTU = 1500,     /* of the path, when nothing is known of it */
	OUTER_OVERHEAD = 80, /* IPv6 40, UDP 8, data header 16, tag 16 */
};

struct change {
	struct cv_iface *iface;
	const struct cv_config *from, *to;
	struct cv_iface_policy old;
	uint32_t narrow; /* path MTU at which looking through endpoints may stop; 0: none */
	bool address_went;
};

/* Bytes only, so that it compares as such. */
struct route {
	cv_be32 table;
	struct cv_prefix prefix;
};

_Static_assert(sizeof(struct route) == 4 + 1 + 16 + 1, "no padding");

/* Items of one size, sorted as bytes; they may stand there twice. */
struct set {
	uint8_t *items;
	size_t n, size;
};

static int compare(const void *a, const void *b, void *size)
{
	return memcmp(a, b, *(const size_t *)size);
}

/* Room for n items. */
static int set_init(struct set *set, size_t n, size_t size)
{
	*set = (struct set){ .items = calloc(n + 1, size), .size = size };
	return set->items ? 0 : -ENOMEM;
}

static void set_put(struct set *set, const void *item)
{
	memcpy(set->items + set->n++ * set->size, item, set->size);
}

static void set_sort(struct set *set)
{
	qsort_r(set->items, set->n, set->size, compare, &set->size);
}

/* Visit what is in a but not in b, each once, until visit() returns something else than 0. */
static int each_only_in(const struct set *a, const struct set *b,
			int (*visit)(struct change *change, const void *item),
			struct change *change)
{
	size_t size = a->size, j = 0;
	int r = 0;

	for (size_t i = 0; i < a->n && r == 0; i++) {
		const uint8_t *item = a->items + i * size;
		int order = 1;

		while (j < b->n && (order = memcmp(item, b->items + j * size, size)) > 0)
			j++;
		if ((j < b->n && order == 0) || (i > 0 && memcmp(item - size, item, size) == 0))
			continue;
		r = visit(change, item);
	}
	return r;
}

/* MTU ------------------------------------------------------------------------------------ */

static int set_of_endpoints(const struct cv_config *config, struct set *ret_set)
{
	int r = set_init(ret_set, config->n_peers, sizeof(struct cv_addr));

	for (size_t i = 0; i < config->n_peers && r == 0; i++)
		if (config->peers[i].has_endpoint && !config->peers[i].endpoint_is_name)
			set_put(ret_set, &config->peers[i].endpoint.addr);
	if (r == 0)
		set_sort(ret_set);
	return r;
}

/* The smaller of two path MTUs, of which 0 says nothing. */
static uint32_t narrower(uint32_t a, uint32_t b)
{
	return !a || (b && b < a) ? b : a;
}

static uint32_t path_mtu_to(const struct cv_iface *iface, const struct cv_addr *endpoint)
{
	struct cv_hop hop;

	if (cv_fib_lookup(iface->there, endpoint, iface->policy.fwmark, &hop) < 0 ||
	    hop.ifindex == iface->ifindex)
		return 0;
	return hop.mtu;
}

/* Of default routes: only these lead to the documentation's networks (RFC 5737, RFC 3849). */
static uint32_t default_path_mtu(const struct cv_iface *iface)
{
	static const struct cv_addr v4 = { .family = AF_INET, .b = { 203, 0, 113, 1 } };
	static const struct cv_addr v6 = { .family = AF_INET6, .b = { 0x20, 0x01, 0x0d, 0xb8 } };

	return narrower(path_mtu_to(iface, &v4), path_mtu_to(iface, &v6));
}

static int mind_path(struct change *change, const void *item)
{
	struct cv_iface *iface = change->iface;

	iface->path_mtu = narrower(iface->path_mtu, path_mtu_to(iface, item));
	return iface->path_mtu && iface->path_mtu <= change->narrow;
}

static int exists(struct change *change, const void *item)
{
	return 1;
}

/* wg-quick's rule: the smallest MTU on the way to an endpoint, or into the world when there is
 * none, less what a datagram adds; and no more than a peer hands over. */
static uint32_t inner_mtu(const struct cv_iface *iface, const struct cv_config *config)
{
	uint32_t mtu = narrower(iface->path_mtu, iface->named_path_mtu);

	if (!mtu)
		mtu = default_path_mtu(iface);
	if (!mtu)
		mtu = LINK_MTU;
	mtu -= mtu > OUTER_OVERHEAD ? OUTER_OVERHEAD : 0;
	mtu = narrower(mtu, config->mtu_most);
	if (mtu > CV_CONFIG_MTU_MAX)
		return CV_CONFIG_MTU_MAX;
	return mtu < CV_CONFIG_MTU_MIN ? CV_CONFIG_MTU_MIN : mtu;
}

/* Paths to new endpoints are looked up. When an old one is gone the others are looked through until
 * one is as narrow as the narrowest was. Return: whether anything changed. */
static bool mind_paths(struct change *change, const struct set *was, const struct set *is)
{
	static const struct set none = { .n = 0 };
	bool fixed = change->from->mtu != 0;
	bool lost = fixed || each_only_in(was, is, exists, change);
	bool more = each_only_in(is, was, exists, change) ||
		    change->from->mtu_most != change->to->mtu_most;
	uint32_t narrowest = change->iface->path_mtu;

	if (lost)
		change->iface->path_mtu = 0;
	each_only_in(is, was, mind_path, change);
	change->narrow = fixed ? 0 : narrowest;
	if (lost)
		each_only_in(is, &none, mind_path, change);
	return lost || more;
}

static int change_automatic_mtu(struct change *change)
{
	struct cv_iface *iface = change->iface;
	struct set was = { 0 }, is = { 0 };
	int r = set_of_endpoints(change->from, &was);

	if (r == 0)
		r = set_of_endpoints(change->to, &is);
	if (r < 0)
		cv_iface_fail(iface, "choose the MTU", r);
	else if (mind_paths(change, &was, &is))
		r = cv_iface_set_mtu(iface, inner_mtu(iface, change->to));
	free(was.items);
	free(is.items);
	return r;
}

void cv_iface_mind_path(struct cv_iface *iface, const struct cv_config *config,
			const struct cv_addr *endpoint)
{
	uint32_t before = iface->named_path_mtu;

	if (iface->bare || iface->gone)
		return;
	iface->named_path_mtu = narrower(before, path_mtu_to(iface, endpoint));
	if (iface->named_path_mtu != before && !config->mtu &&
	    inner_mtu(iface, config) != iface->mtu)
		cv_iface_set_mtu(iface, inner_mtu(iface, config));
}

static int change_mtu(struct change *change)
{
	if (!change->to->mtu)
		return change_automatic_mtu(change);
	if (change->to->mtu == change->from->mtu)
		return 0;
	return cv_iface_set_mtu(change->iface, change->to->mtu);
}

/* Addresses ------------------------------------------------------------------------------ */

static int set_of_addresses(const struct cv_config *config, struct set *ret_set)
{
	int r = set_init(ret_set, config->n_addresses, sizeof(struct cv_prefix));

	for (size_t i = 0; i < config->n_addresses && r == 0; i++)
		set_put(ret_set, &config->addresses[i]);
	if (r == 0)
		set_sort(ret_set);
	return r;
}

static int remove_address(struct change *change, const void *item)
{
	change->address_went = true;
	return cv_iface_remove_address(change->iface, item);
}

/* In the order of the file: the first of a network is the one that packets are sent from. */
static int add_addresses(struct change *change)
{
	int r = 0;

	for (size_t i = 0; i < change->to->n_addresses && r == 0; i++)
		r = cv_iface_add_address(change->iface, &change->to->addresses[i]);
	return r;
}

static int change_addresses(struct change *change)
{
	struct set was = { 0 }, is = { 0 };
	int r = set_of_addresses(change->from, &was);

	if (r == 0)
		r = set_of_addresses(change->to, &is);
	if (r < 0)
		cv_iface_fail(change->iface, "change addresses", r);
	if (r == 0)
		r = add_addresses(change);
	if (r == 0)
		r = each_only_in(&was, &is, remove_address, change);
	if (r == 0 && change->address_went)
		r = add_addresses(change);
	free(was.items);
	free(is.items);
	return r;
}

/* Routes --------------------------------------------------------------------------------- */

/* Routes, each of which ExcludeIPs may have cut into parts. */
struct parts {
	const struct cv_config *config;
	uint32_t default_table; /* of a default route that is kept apart */
	struct set *set;        /* NULL: they are only counted */
	uint32_t table;
	size_t n;
};

static void take_part(void *arg, const struct cv_prefix *part)
{
	struct parts *parts = arg;

	parts->n++;
	if (parts->set)
		set_put(parts->set, &(struct route){ cv_be32_of(parts->table), *part });
}

/* A part of a default route goes where the whole of it would go. */
static void take_route(void *arg, const struct cv_prefix *prefix)
{
	struct parts *parts = arg;
	const struct cv_config *config = parts->config;

	if (config->table == CV_CONFIG_TABLE_NUMBER)
		parts->table = config->table_number;
	else
		parts->table = prefix->bits == 0 ? parts->default_table : MAIN_TABLE;
	cv_prefix_each_left(prefix, config->exclude_ips, config->n_exclude_ips, take_part, parts);
}

static int set_of_routes(const struct cv_config *config, uint32_t default_table,
			 struct set *ret_set)
{
	struct parts count = { .config = config };
	struct parts fill = { .config = config, .default_table = default_table, .set = ret_set };
	int r;

	cv_config_each_route(config, take_route, &count);
	r = set_init(ret_set, count.n, sizeof(struct route));
	if (r == 0)
		cv_config_each_route(config, take_route, &fill);
	if (r == 0)
		set_sort(ret_set);
	return r;
}

static int add_route(struct change *change, const void *item)
{
	const struct route *route = item;

	return cv_iface_add_route(change->iface, &route->prefix, cv_be32_get(route->table));
}

static int restore_route(struct change *change, const void *item)
{
	const struct route *route = item;

	return cv_iface_restore_route(change->iface, &route->prefix, cv_be32_get(route->table));
}

static int remove_route(struct change *change, const void *item)
{
	const struct route *route = item;

	return cv_iface_remove_route(change->iface, &route->prefix, cv_be32_get(route->table));
}

/* Routes and the rules that lead to them: a rule is put up behind what it leads to, and taken
 * down before. */
static int change_routes(struct change *change)
{
	static const struct set none = { .n = 0 };
	struct cv_iface *iface = change->iface;
	struct set was = { 0 }, is = { 0 };
	int r = set_of_routes(change->from, change->old.table, &was), rules;

	if (r == 0)
		r = set_of_routes(change->to, iface->policy.table, &is);
	if (r < 0)
		cv_iface_fail(iface, "change routes", r);
	if (r == 0)
		r = each_only_in(&is, &was, add_route, change);
	if (r == 0 && change->address_went)
		r = each_only_in(&is, &none, restore_route, change);
	rules = cv_iface_change_rules(iface, &change->old, cv_iface_defaults(change->from),
				      cv_iface_defaults(change->to));
	if (r == 0)
		r = each_only_in(&was, &is, remove_route, change);
	free(was.items);
	free(is.items);
	return r < 0 ? r : rules;
}

int cv_iface_change(struct cv_iface *iface, const struct cv_config *from,
		    const struct cv_config *to)
{
	struct change change = { .iface = iface, .from = from, .to = to, .old = iface->policy };
	int mtu, addresses, r;

	if (iface->bare)
		return 0;
	if (iface->gone)
		return -ENODEV;
	r = cv_iface_choose_policy(iface, from, to);
	if (r < 0)
		return r;
	mtu = change_mtu(&change);
	addresses = change_addresses(&change);
	r = change_routes(&change);
	return mtu < 0 ? mtu : addresses < 0 ? addresses : r;
}
