/*
 * The interface on the host: what wg-quick does by calling ip, done by netlink.
 *
 * How it works. Setting up follows wg-quick's order: MTU, addresses, up, routes. The device, its
 * addresses and its routes go away with the last fd of the TUN, so only policy rules have to be
 * taken back. A default route among the AllowedIPs must not catch our own datagrams: it goes into a
 * table of its own, which all packets use but those with our mark, and the main table keeps its say
 * for everything but its default routes.
 *
 * Afterwards news of the link are followed: up, down, MTU, name. When the link leaves its namespace
 * the TUN itself tells where it went (it was deleted if it cannot), and the following goes on
 * there.
 */
#include "iface.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <convoy/base/addr.h>
#include <convoy/log/log.h>
#include <convoy/packet/packet.h>

enum {
	MAIN_TABLE = 254,       /* RT_TABLE_MAIN, linux/rtnetlink.h */
	FIRST_TABLE = 51820,    /* where wg-quick begins to look for an empty one */
	LINK_MTU = 1500,        /* of the path, when nothing is known of it */
	OUTER_OVERHEAD = 80,    /* IPv6 40, UDP 8, data header 16, tag 16 */
	DATAGRAM_OVERHEAD = 32, /* data header and tag */
	/* Packets the stack may queue for us; its default of 500 drops at a burst of two
	 * connections. Not tuned. */
	QUEUE_LEN_PKTS = 1000,
};

/* Log what failed and what the kernel said of it. */
static int fail(const struct cv_iface *iface, const char *what, int error)
{
	const char *said = cv_netlink_error(iface->there);

	cv_log_err("%s: cannot %s: %s%s%s", iface->name, what, strerror(-error), *said ? ": " : "",
		   said);
	return error;
}

/* Setting up ------------------------------------------------------------------------------ */

static bool is_default(const struct cv_prefix *prefix)
{
	return prefix->bits == 0;
}

static bool wants_default(const struct cv_config *config, uint8_t family)
{
	for (size_t i = 0; i < config->n_peers; i++)
		for (size_t j = 0; j < config->peers[i].n_allowed_ips; j++) {
			const struct cv_prefix *prefix = &config->peers[i].allowed_ips[j];

			if (is_default(prefix) && prefix->addr.family == family)
				return true;
		}
	return false;
}

static bool wants_policy(const struct cv_config *config)
{
	return config->table == CV_CONFIG_TABLE_AUTO &&
	       (wants_default(config, AF_INET) || wants_default(config, AF_INET6));
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

static int choose_policy(struct cv_iface *iface, const struct cv_config *config)
{
	int r;

	iface->fwmark = config->has_fwmark ? config->fwmark : 0;
	if (!wants_policy(config))
		return 0;
	iface->table = iface->fwmark;
	if (!iface->table) {
		r = choose_table(iface, &iface->table);
		if (r < 0)
			return fail(iface, "find a routing table", r);
		iface->fwmark = iface->table;
	}
	return 0;
}

/* wg-quick's rule: the smallest MTU on the way to an endpoint, less what a datagram adds. */
static uint32_t choose_mtu(struct cv_iface *iface, const struct cv_config *config)
{
	uint32_t least = 0;

	if (config->mtu)
		return config->mtu;
	for (size_t i = 0; i < config->n_peers; i++) {
		const struct cv_config_peer *peer = &config->peers[i];
		struct cv_hop hop;

		if (!peer->has_endpoint || peer->endpoint_is_name)
			continue;
		if (cv_fib_lookup(iface->there, &peer->endpoint.addr, iface->fwmark, &hop) < 0)
			continue;
		if (!least || hop.mtu < least)
			least = hop.mtu;
	}
	if (!least)
		least = LINK_MTU;
	least -= least > OUTER_OVERHEAD ? OUTER_OVERHEAD : 0;
	if (least > CV_CONFIG_MTU_MAX)
		least = CV_CONFIG_MTU_MAX;
	return least < CV_CONFIG_MTU_MIN ? CV_CONFIG_MTU_MIN : least;
}

/* One super-packet shall make one train: as many segments as a train may hold. */
static void fit_gso(struct cv_iface *iface)
{
	uint32_t segs = CV_TRAIN_BYTES_MAX / (iface->mtu + DATAGRAM_OVERHEAD);

	if (segs > CV_TRAIN_SEGS_MAX)
		segs = CV_TRAIN_SEGS_MAX;
	/* Without it a super makes a full train and a short one: slower, but right. */
	segs += !segs;
	if (cv_link_set_gso(iface->there, iface->ifindex, segs, segs * iface->mtu) < 0)
		cv_log_debug("%s: the kernel does not take gso_max_segs, ignoring", iface->name);
}

static int add_addresses(struct cv_iface *iface, const struct cv_config *config)
{
	for (size_t i = 0; i < config->n_addresses; i++) {
		char text[CV_PREFIX_TEXT_MAX], what[CV_PREFIX_TEXT_MAX + 16];
		int r = cv_link_add_addr(iface->there, iface->ifindex, &config->addresses[i]);

		cv_prefix_format(&config->addresses[i], text);
		if (r == -EACCES || r == -EOPNOTSUPP) {
			cv_log_warn("%s: IPv6 is switched off here, address %s, ignoring",
				    iface->name, text);
		} else if (r < 0) {
			snprintf(what, sizeof(what), "add address %s", text);
			return fail(iface, what, r);
		}
	}
	return 0;
}

static int add_route(struct cv_iface *iface, const struct cv_config *config,
		     const struct cv_prefix *prefix)
{
	char text[CV_PREFIX_TEXT_MAX], what[CV_PREFIX_TEXT_MAX + 16];
	uint32_t table = config->table == CV_CONFIG_TABLE_NUMBER ? config->table_number
			 : is_default(prefix)                    ? iface->table
								 : MAIN_TABLE;
	struct cv_hop hop;
	int r = cv_fib_add(iface->there, prefix, iface->ifindex, table);

	cv_prefix_format(prefix, text);
	if (r == -EEXIST) {
		/* An address of ours brings the route to its network with it. */
		if (cv_fib_lookup(iface->there, &prefix->addr, iface->fwmark, &hop) < 0 ||
		    hop.ifindex != iface->ifindex)
			cv_log_warn("%s: there is a route to %s already, ignoring", iface->name,
				    text);
		return 0;
	}
	if (r == -EACCES || r == -EOPNOTSUPP || (r == -ENODEV && prefix->addr.family == AF_INET6)) {
		cv_log_warn("%s: IPv6 is switched off here, route to %s, ignoring", iface->name,
			    text);
		return 0;
	}
	if (r < 0) {
		snprintf(what, sizeof(what), "add route to %s", text);
		return fail(iface, what, r);
	}
	return 0;
}

static int add_routes(struct cv_iface *iface, const struct cv_config *config)
{
	int r = 0;

	if (config->table == CV_CONFIG_TABLE_OFF)
		return 0;
	for (size_t i = 0; i < config->n_peers; i++)
		for (size_t j = 0; j < config->peers[i].n_allowed_ips && r == 0; j++)
			r = add_route(iface, config, &config->peers[i].allowed_ips[j]);
	return r;
}

/* The rules of one family; what is there already stays when we go. */
static int add_rules(struct cv_iface *iface, uint8_t family)
{
	int slot = family == AF_INET6;
	int r = cv_rule_add_not_marked(iface->home, family, iface->fwmark, iface->table);

	if (r == 0)
		iface->rule_mark[slot] = true;
	if (r == 0 || r == -EEXIST) {
		r = cv_rule_add_main_specifics(iface->home, family);
		if (r == 0)
			iface->rule_main[slot] = true;
	}
	return r == -EEXIST ? 0 : r;
}

static int add_policy(struct cv_iface *iface, const struct cv_config *config)
{
	static const uint8_t families[] = { AF_INET, AF_INET6 };
	int r = 0;

	if (!wants_policy(config))
		return 0;
	for (int i = 0; i < 2 && r == 0; i++)
		if (wants_default(config, families[i]))
			r = add_rules(iface, families[i]);
	return r < 0 ? fail(iface, "add routing rules", r) : 0;
}

/* Following ------------------------------------------------------------------------------- */

static void take_news(struct cv_iface *iface, const struct cv_link *link)
{
	if (link->deleted) {
		iface->left = true;
		return;
	}
	iface->left = false; /* moved away and back between two looks */
	memcpy(iface->name, link->name, sizeof(iface->name));
	if (iface->mtu != link->mtu) {
		iface->mtu = link->mtu;
		fit_gso(iface);
	}
	iface->up = link->up;
}

static void hear_news(const struct cv_link *link, void *owner)
{
	struct cv_iface *iface = owner;

	if (link->ifindex == iface->ifindex)
		take_news(iface, link);
}

static bool monitor_ready(struct cv_watch *watch, uint32_t revents);

static int watch_monitor(struct cv_iface *iface)
{
	iface->watch = (struct cv_watch){
		.fd = cv_link_monitor_fd(iface->monitor),
		.ready = monitor_ready,
		.owner = iface,
	};
	return cv_loop_add(iface->loop, &iface->watch);
}

static void close_there(struct cv_iface *iface)
{
	cv_loop_remove(iface->loop, &iface->watch);
	cv_link_monitor_close(iface->monitor);
	iface->monitor = NULL;
	if (iface->there != iface->home)
		cv_netlink_close(iface->there);
	iface->there = NULL;
}

/* Listen in the namespace to which the TUN was moved, then look how the link stands there. */
static int follow(struct cv_iface *iface)
{
	struct cv_link link;
	int netns = cv_tun_netns(iface->tun->fd);
	int r = netns;

	close_there(iface);
	if (netns < 0)
		return netns;
	r = cv_netlink_open_in(netns, &iface->there);
	if (r == 0)
		r = cv_link_monitor_open_in(netns, &iface->monitor);
	close(netns);
	if (r == 0)
		r = watch_monitor(iface);
	if (r == 0)
		r = cv_link_get(iface->there, iface->name, &link);
	if (r < 0)
		return r;
	iface->ifindex = link.ifindex;
	iface->mtu = 0; /* whatever it is, GSO sizes are set anew */
	take_news(iface, &link);
	return 0;
}

static bool monitor_ready(struct cv_watch *watch, uint32_t revents)
{
	struct cv_iface *iface = watch->owner;
	struct cv_link link;
	int r = cv_link_monitor_read(iface->monitor, hear_news, iface);

	if (r == -ENOBUFS) {
		if (cv_link_get_by_index(iface->there, iface->ifindex, &link) == 0)
			take_news(iface, &link);
		else
			iface->left = true;
	}
	if (iface->left) {
		iface->left = false;
		iface->up = false;
		r = follow(iface);
		iface->gone = r < 0;
		if (r == 0)
			cv_log_info("%s: moved to another network namespace, following",
				    iface->name);
		else if (r != -EBADFD)
			cv_log_err("%s: cannot follow the interface to another network "
				   "namespace: %s",
				   iface->name, strerror(-r));
	}
	iface->changed(iface->arg);
	return false;
}

/* The door -------------------------------------------------------------------------------- */

static int bring_up(struct cv_iface *iface)
{
	int r = cv_link_set_up(iface->there, iface->ifindex, true);

	if (r < 0)
		return fail(iface, "bring the link up", r);
	iface->up = true;
	return 0;
}

static int shape(struct cv_iface *iface, const struct cv_config *config)
{
	int r;

	iface->mtu = choose_mtu(iface, config);
	r = cv_link_set_mtu(iface->there, iface->ifindex, iface->mtu);
	if (r < 0)
		return fail(iface, "set the MTU", r);
	fit_gso(iface);
	r = cv_link_set_quiet(iface->there, iface->ifindex);
	if (r < 0 && r != -EAFNOSUPPORT)
		cv_log_debug("%s: the link keeps its link-local address, ignoring", iface->name);
	r = cv_link_set_queue_len(iface->there, iface->ifindex, QUEUE_LEN_PKTS);
	return r < 0 ? fail(iface, "set the queue length", r) : 0;
}

int cv_iface_setup(struct cv_iface *iface, const struct cv_config *config, struct cv_loop *loop,
		   const struct cv_tun *tun, void (*changed)(void *arg), void *arg)
{
	struct cv_link link;
	int r = cv_netlink_open(&iface->home);

	if (r < 0) {
		cv_log_err("%s: cannot open netlink: %s", iface->name, strerror(-r));
		return r;
	}
	iface->loop = loop;
	iface->tun = tun;
	iface->changed = changed;
	iface->arg = arg;
	iface->there = iface->home;
	memcpy(iface->name, tun->name, sizeof(iface->name));
	r = cv_link_get(iface->there, iface->name, &link);
	if (r < 0)
		return fail(iface, "find the link", r);
	iface->ifindex = link.ifindex;
	r = cv_link_monitor_open(&iface->monitor);
	if (r == 0)
		r = watch_monitor(iface);
	if (r < 0)
		return fail(iface, "listen to link changes", r);

	r = choose_policy(iface, config);
	if (r == 0)
		r = shape(iface, config);
	if (r == 0)
		r = add_addresses(iface, config);
	if (r == 0)
		r = bring_up(iface);
	if (r == 0)
		r = add_routes(iface, config);
	return r < 0 ? r : add_policy(iface, config);
}

void cv_iface_undo(struct cv_iface *iface)
{
	static const uint8_t families[] = { AF_INET, AF_INET6 };

	if (!iface->home)
		return;
	for (int i = 0; i < 2; i++) {
		if (iface->rule_main[i])
			cv_rule_delete_main_specifics(iface->home, families[i]);
		if (iface->rule_mark[i])
			cv_rule_delete_not_marked(iface->home, families[i], iface->fwmark,
						  iface->table);
	}
	close_there(iface);
	cv_netlink_close(iface->home);
	iface->home = NULL;
}
