/* rtnetlink as functions: links, addresses, routes, rules, and news of links. See rtnetlink(7). */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include <convoy/base/addr.h>

/*
 * A socket into one network namespace. Every request waits for the kernel's answer. Errors are the
 * kernel's -errno, among them always -EPERM (no CAP_NET_ADMIN) and -ENODEV (no such link); those
 * that a caller may want to tell apart are listed with each function. One thread at a time.
 */
struct cv_netlink;

/* Into the namespace of the calling thread. Return: 0 or -errno. */
int cv_netlink_open(struct cv_netlink **ret_nl);
/**
 * cv_netlink_open_in() - into another namespace, to look at its links
 *
 * The socket is of the calling thread's namespace, and the kernel looks elsewhere for it
 * (IFLA_TARGET_NETNSID, Linux 4.15). That takes CAP_NET_ADMIN in the user namespace that owns the
 * other one, where going there would take CAP_SYS_ADMIN. cv_link_get() and cv_link_get_by_index()
 * are all that works: everything else is -EOPNOTSUPP.
 *
 * Return: 0 or -errno (-EINVAL: no network namespace).
 */
int cv_netlink_open_in(int netns_fd, struct cv_netlink **ret_nl);
void cv_netlink_close(struct cv_netlink *nl);
/* What the kernel said about the last request that failed (NETLINK_EXT_ACK, Linux 4.12), "" if it
 * said nothing. Valid until the next request. */
const char *cv_netlink_error(const struct cv_netlink *nl);

/* A network device as it is, or was when news of it were sent. */
struct cv_link {
	uint32_t ifindex;
	uint32_t flags; /* IFF_* of linux/if.h */
	uint32_t mtu;
	bool up;      /* IFF_UP: the administrator wants it */
	bool running; /* IFF_RUNNING: it can carry packets */
	bool deleted; /* gone from this namespace: deleted or moved; only in news */
	char name[IFNAMSIZ];
};

/* Errors: -ENODEV. */
int cv_link_get(struct cv_netlink *nl, const char *name, struct cv_link *ret_link);
int cv_link_get_by_index(struct cv_netlink *nl, uint32_t ifindex, struct cv_link *ret_link);
/* Errors: -EINVAL, -ERANGE outside of what the device can. */
int cv_link_set_mtu(struct cv_netlink *nl, uint32_t ifindex, uint32_t mtu);
int cv_link_set_up(struct cv_netlink *nl, uint32_t ifindex, bool up);
/* The largest super-packet the stack may hand to the device, in segments and in bytes; 0 leaves
 * that one as it is (IFLA_GSO_MAX_SEGS, IFLA_GSO_MAX_SIZE; settable since Linux 4.16). */
int cv_link_set_gso(struct cv_netlink *nl, uint32_t ifindex, uint32_t max_segs, uint32_t max_size);
/* No link-local address of the kernel's making, and so none of its talk on the link: router
 * solicitations would wake an idle tunnel. As kernel WireGuard does (IN6_ADDR_GEN_MODE_NONE).
 * Errors: -EAFNOSUPPORT: no IPv6. */
int cv_link_set_quiet(struct cv_netlink *nl, uint32_t ifindex);
int cv_link_set_queue_len(struct cv_netlink *nl, uint32_t ifindex, uint32_t pkts);
int cv_link_delete(struct cv_netlink *nl, uint32_t ifindex);

/**
 * cv_link_add_addr() - give a link an address, idempotent
 * @prefix:	the address with its host bits, and the length of its network; IPv6 without
 *		duplicate address detection (IFA_F_NODAD), so that it can be used at once
 *
 * Return: 1 when the address is new and thus the caller's to undo, 0 when the link had it before,
 * or -errno (-EACCES: IPv6 is switched off for the link).
 */
int cv_link_add_addr(struct cv_netlink *nl, uint32_t ifindex, const struct cv_prefix *prefix);
/* Errors: -EADDRNOTAVAIL the link does not have it. */
int cv_link_delete_addr(struct cv_netlink *nl, uint32_t ifindex, const struct cv_prefix *prefix);

/*
 * The kernel's routing tables (forwarding information base; peers' AllowedIPs are another matter).
 * A route of ours leads to a network through a link, without a gateway, as `ip route add PREFIX
 * dev LINK table N` does; host bits of the prefix are ignored; adding never replaces.
 */
/* Errors: -EEXIST the table has a route to this network, through whatever link; -ENETDOWN. */
int cv_fib_add(struct cv_netlink *nl, const struct cv_prefix *prefix, uint32_t ifindex,
	       uint32_t table);
/* Errors: -ESRCH no such route. */
int cv_fib_delete(struct cv_netlink *nl, const struct cv_prefix *prefix, uint32_t ifindex,
		  uint32_t table);

/* Where a packet would leave the host. */
struct cv_hop {
	uint32_t ifindex;
	uint32_t mtu; /* of the route (its metric, or a learnt path MTU), else of the link */
	struct cv_addr source; /* the address the kernel would send from; family 0: none said */
};

/**
 * cv_fib_lookup() - look up the route to an address
 * @fwmark:	as if the packet carried this mark, 0: none
 *
 * Return: 0 or -errno (-ENETUNREACH: there is none, or it is one that refuses).
 */
int cv_fib_lookup(struct cv_netlink *nl, const struct cv_addr *to, uint32_t fwmark,
		  struct cv_hop *ret_hop);

/* Whether a routing table has no route of this family. Return: 1, 0 or -errno. */
int cv_fib_is_empty(struct cv_netlink *nl, uint8_t family, uint32_t table);

/*
 * The two policy rules by which wg-quick sends all but the tunnel's own packets into the tunnel.
 * The kernel puts each new rule before all others but that of the local table: add the second of
 * these after the first. Deleting removes one, the first that matches.
 * Errors: add: -EEXIST there is such a rule (which may stand behind one added since). delete:
 * -ENOENT there is none.
 */
/* `not fwmark MARK lookup TABLE`: packets that are not ours to the world find the table. */
int cv_rule_add_not_marked(struct cv_netlink *nl, uint8_t family, uint32_t fwmark, uint32_t table);
int cv_rule_delete_not_marked(struct cv_netlink *nl, uint8_t family, uint32_t fwmark,
			      uint32_t table);
/* `lookup main suppress_prefixlength 0`: the main table but for its default routes. */
int cv_rule_add_main_specifics(struct cv_netlink *nl, uint8_t family);
int cv_rule_delete_main_specifics(struct cv_netlink *nl, uint8_t family);

/* Listens for news of all links of the calling thread's namespace. */
struct cv_link_monitor;

int cv_link_monitor_open(struct cv_link_monitor **ret_monitor);
void cv_link_monitor_close(struct cv_link_monitor *monitor);
/* To poll for reading; edges suffice, since reading goes on until nothing is left. */
int cv_link_monitor_fd(const struct cv_link_monitor *monitor);

/**
 * cv_link_monitor_read() - hand over all news that have come
 * @news:	called for each, in order; *link lives for the call
 *
 * Never blocks.
 *
 * Return: number of calls, or -errno (-ENOBUFS: news were lost, after those that were handed
 * over or among them: read the links anew).
 */
int cv_link_monitor_read(struct cv_link_monitor *monitor,
			 void (*news)(const struct cv_link *link, void *owner), void *owner);

/**
 * cv_tun_netns() - the network namespace a TUN is in now (TUNGETDEVNETNS, Linux 5.8)
 *
 * A TUN that is moved leaves its monitor with `deleted`; this tells where it went.
 *
 * Return: an fd of the namespace, to be closed by the caller, or -errno (-EBADFD: the device is
 * deleted; -EPERM; -EINVAL: an older kernel).
 */
int cv_tun_netns(int tun_fd);
