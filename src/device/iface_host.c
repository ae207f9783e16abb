/*
 * What the host is told of the interface, one thing at a time: MTU, addresses, routes, rules.
 *
 * How it works. As wg-quick does by calling ip, here by netlink. The device, its addresses and its
 * routes go away with the last fd of the TUN, so only policy rules have to be taken back. A default
 * route among the AllowedIPs must not catch our own datagrams: it goes into a table of its own,
 * which all packets use but those with our mark, and the main table keeps its say for everything
 * but its default routes.
 *
 * When mark and table change, the rules for the new ones stand before those for the old ones go:
 * for a moment our own datagrams run in a circle and are lost, but nothing gets around the tunnel.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <convoy/base/addr.h>
#include <convoy/log/log.h>
#include <convoy/packet/packet.h>

#include "iface.h"

enum {
	FIRST_TABLE = 51820,    /* where wg-quick begins to look for an empty one */
	DATAGRAM_OVERHEAD = 32, /* data header and tag */
};

static const uint8_t families[] = { AF_INET, AF_INET6 };

int cv_iface_fail(const struct cv_iface *iface, const char *what, int error)
{
	const char *said = cv_netlink_error(iface->there);

	cv_log_err("%s: cannot %s: %s%s%s", iface->name, what, strerror(-error), *said ? ": " : "",
		   said);
	return error;
}

static int fail_at(const struct cv_iface *iface, const char *what, const struct cv_prefix *prefix,
		   int error)
{
	char text[CV_PREFIX_TEXT_MAX], all[CV_PREFIX_TEXT_MAX + 32];

	snprintf(all, sizeof(all), "%s %s", what, cv_prefix_format(prefix, text));
	return cv_iface_fail(iface, all, error);
}

/* Return: whether it failed because there is no IPv6 here. */
static bool is_ipv6_off(const struct cv_prefix *prefix, int error)
{
	return prefix->addr.family == AF_INET6 &&
	       (error == -EACCES || error == -EOPNOTSUPP || error == -ENODEV);
}

static void warn_ipv6_off(const struct cv_iface *iface, const char *what,
			  const struct cv_prefix *prefix)
{
	char text[CV_PREFIX_TEXT_MAX];

	cv_log_warn("%s: IPv6 is switched off here, %s %s; `sysctl "
		    "net.ipv6.conf.all.disable_ipv6=0` switches it on, ignoring",
		    iface->name, what, cv_prefix_format(prefix, text));
}

/* The link ------------------------------------------------------------------------------- */

void cv_iface_fit_gso(struct cv_iface *iface)
{
	uint32_t segs = CV_TRAIN_BYTES_MAX / (iface->mtu + DATAGRAM_OVERHEAD);

	if (segs > CV_TRAIN_SEGS_MAX)
		segs = CV_TRAIN_SEGS_MAX;
	/* Without it a super makes a full train and a short one: slower, but right. */
	segs += !segs;
	if (cv_link_set_gso(iface->there, iface->ifindex, segs, segs * iface->mtu) < 0)
		cv_log_debug("%s: the kernel does not take gso_max_segs, ignoring", iface->name);
}

int cv_iface_set_mtu(struct cv_iface *iface, uint32_t mtu)
{
	int r = cv_link_set_mtu(iface->there, iface->ifindex, mtu);

	if (r < 0)
		return cv_iface_fail(iface, "set the MTU", r);
	iface->mtu = mtu;
	cv_iface_fit_gso(iface);
	return 0;
}

int cv_iface_add_address(struct cv_iface *iface, const struct cv_prefix *address)
{
	int r = cv_link_add_addr(iface->there, iface->ifindex, address);

	if (r >= 0)
		return 0;
	if (!is_ipv6_off(address, r))
		return fail_at(iface, "add address", address, r);
	warn_ipv6_off(iface, "address", address);
	return 0;
}

int cv_iface_remove_address(struct cv_iface *iface, const struct cv_prefix *address)
{
	int r = cv_link_delete_addr(iface->there, iface->ifindex, address);

	if (r == 0 || r == -EADDRNOTAVAIL || is_ipv6_off(address, r))
		return 0;
	return fail_at(iface, "remove address", address, r);
}

/* Routes --------------------------------------------------------------------------------- */

/* A route to this network exists: by an address of ours, which brings it along, or by others. */
static void look_who_has(struct cv_iface *iface, const struct cv_prefix *prefix)
{
	char text[CV_PREFIX_TEXT_MAX];
	struct cv_hop hop;

	if (cv_fib_lookup(iface->there, &prefix->addr, iface->policy.fwmark, &hop) < 0 ||
	    hop.ifindex != iface->ifindex) {
		cv_prefix_format(prefix, text);
		cv_log_warn(
			"%s: there is a route to %s already, see `ip route show %s`; remove it, "
			"or take it out of AllowedIPs, ignoring",
			iface->name, text, text);
	}
}

int cv_iface_add_route(struct cv_iface *iface, const struct cv_prefix *prefix, uint32_t table)
{
	int r = cv_fib_add(iface->there, prefix, iface->ifindex, table);

	if (r == 0)
		return 0;
	if (r != -EEXIST && !is_ipv6_off(prefix, r))
		return fail_at(iface, "add route to", prefix, r);
	if (r == -EEXIST)
		look_who_has(iface, prefix);
	else
		warn_ipv6_off(iface, "route to", prefix);
	return 0;
}

int cv_iface_restore_route(struct cv_iface *iface, const struct cv_prefix *prefix, uint32_t table)
{
	int r = cv_fib_add(iface->there, prefix, iface->ifindex, table);

	if (r == 0 || r == -EEXIST || is_ipv6_off(prefix, r))
		return 0;
	return fail_at(iface, "add route to", prefix, r);
}

int cv_iface_remove_route(struct cv_iface *iface, const struct cv_prefix *prefix, uint32_t table)
{
	int r = cv_fib_delete(iface->there, prefix, iface->ifindex, table);

	if (r == 0 || r == -ESRCH || is_ipv6_off(prefix, r))
		return 0;
	return fail_at(iface, "remove route to", prefix, r);
}

/* Policy --------------------------------------------------------------------------------- */

unsigned cv_iface_defaults(const struct cv_config *config)
{
	return (cv_config_has_default(config, AF_INET) ? 1 : 0) |
	       (cv_config_has_default(config, AF_INET6) ? 2 : 0);
}

/* A number that is free both as a table and, in all likelihood, as a mark. */
static int choose_table(struct cv_iface *iface, uint32_t *ret_table)
{
	for (uint32_t table = FIRST_TABLE;; table++) {
		int v4 = cv_fib_is_empty(iface->there, AF_INET, table);
		int v6 = cv_fib_is_empty(iface->there, AF_INET6, table);

		if (v4 < 0)
			return v4;
		if (v4 && v6) { /* an error of v6 means that there is no v6 */
			*ret_table = table;
			return 0;
		}
	}
}

int cv_iface_choose_policy(struct cv_iface *iface, const struct cv_config *from,
			   const struct cv_config *to)
{
	uint32_t fwmark = to->has_fwmark ? to->fwmark : 0;
	uint32_t table = 0;
	int r;

	if (cv_iface_defaults(to)) {
		table = fwmark;
		if (!table && !from->has_fwmark)
			table = iface->policy.table;
		r = table ? 0 : choose_table(iface, &table);
		if (r < 0)
			return cv_iface_fail(iface, "find a routing table", r);
		fwmark = table;
	}
	iface->policy.fwmark = fwmark;
	iface->policy.table = table;
	return 0;
}

/* The rules of one family; what is there already stays when we go. */
static int add_rules(struct cv_iface *iface, int slot)
{
	struct cv_iface_policy *policy = &iface->policy;
	uint8_t family = families[slot];
	int r = cv_rule_add_not_marked(iface->home, family, policy->fwmark, policy->table);

	policy->rule_mark[slot] = r == 0;
	if (r < 0 && r != -EEXIST)
		return cv_iface_fail(iface, "add a routing rule", r);
	/* It must stand before the one just added: if it is an old one of ours, make it anew. */
	if (policy->rule_main[slot])
		cv_rule_delete_main_specifics(iface->home, family);
	r = cv_rule_add_main_specifics(iface->home, family);
	policy->rule_main[slot] = r == 0;
	return r < 0 && r != -EEXIST ? cv_iface_fail(iface, "add a routing rule", r) : 0;
}

int cv_iface_change_rules(struct cv_iface *iface, const struct cv_iface_policy *old, unsigned had,
			  unsigned wants)
{
	struct cv_iface_policy *policy = &iface->policy;
	bool moved = old->fwmark != policy->fwmark || old->table != policy->table;
	int r = 0;

	for (int slot = 0; slot < 2 && r == 0; slot++)
		if ((wants >> slot & 1) && (moved || !(had >> slot & 1)))
			r = add_rules(iface, slot);
	if (r == 0 && old->fwmark != policy->fwmark)
		r = iface->marked(iface->arg);
	for (int slot = 0; slot < 2; slot++) {
		bool stays = wants >> slot & 1;

		if (!(had >> slot & 1) || (stays && !moved))
			continue;
		if (old->rule_mark[slot])
			cv_rule_delete_not_marked(iface->home, families[slot], old->fwmark,
						  old->table);
		if (stays)
			continue;
		policy->rule_mark[slot] = false;
		if (policy->rule_main[slot])
			cv_rule_delete_main_specifics(iface->home, families[slot]);
		policy->rule_main[slot] = false;
	}
	return r;
}
