/* The tunnel's interface on the host: set up by netlink, followed and changed, undone. */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include <convoy/config/config.h>
#include <convoy/io/tun.h>
#include <convoy/loop/loop.h>
#include <convoy/netlink/netlink.h>

/* How default routes are kept apart from our own datagrams. */
struct cv_iface_policy {
	uint32_t fwmark; /* for the sockets: of the config, or chosen for a default route */
	uint32_t table;  /* of default routes; 0: there are none to be kept apart */
	/* Rules that are ours to take back; the rest goes with the interface. */
	bool rule_mark[2], rule_main[2]; /* [0] v4, [1] v6 */
};

struct cv_iface {
	/* Set by the caller. */
	char name[IFNAMSIZ];
	bool bare, adopted;         /* struct cv_device_options */
	bool untouched;             /* we may not change it: whoever made it set it up */
	void (*changed)(void *arg); /* called from the loop after up, mtu or gone changed */
	/* Called after policy.fwmark changed: sockets carry it now (0), or the reason why not was
	 * logged (-errno). */
	int (*marked)(void *arg);
	void *arg;

	uint32_t ifindex;
	uint32_t mtu;
	/* The least on the way to any endpoint, for an automatic MTU; 0: nothing known. Those that
	 * were found by name count as long as the interface lives. */
	uint32_t path_mtu, named_path_mtu;
	bool up;
	bool gone; /* deleted; nothing but cv_iface_undo() makes sense now */
	struct cv_iface_policy policy;

	struct cv_loop *loop;
	const struct cv_tun *tun;
	/* Where the interface was made, and where it is now: another namespace after a move. */
	struct cv_netlink *home, *there;
	struct cv_link_monitor *monitor;
	struct cv_watch watch; /* of the monitor, or `polled` of a timer: news stay at home */
	bool polled;
	bool left; /* the monitor said that it is not here any more */
};

/**
 * cv_iface_setup() - offload sizes, up, MTU, addresses, routes and rules, as the config says
 *
 * Errors are logged with what the kernel said.
 *
 * Return: 0 or -errno; cv_iface_undo() in both cases.
 */
int cv_iface_setup(struct cv_iface *iface, const struct cv_config *config, struct cv_loop *loop,
		   const struct cv_tun *tun);
/* Take back what does not go away with the TUN. Harmless on a zeroed or half set up iface. */
void cv_iface_undo(struct cv_iface *iface);

/**
 * cv_iface_change() - from one config to another, iface_change.c
 *
 * What both have stays untouched. A failure is logged and ends its own kind (addresses, routes,
 * rules); the others go on. A bare interface is left alone.
 *
 * Return: 0 or the first -errno.
 */
int cv_iface_change(struct cv_iface *iface, const struct cv_config *from,
		    const struct cv_config *to);

/**
 * cv_iface_mind_path() - a name of the config turned out to be this address, iface_change.c
 *
 * An automatic MTU follows the way to it. A failure is logged.
 */
void cv_iface_mind_path(struct cv_iface *iface, const struct cv_config *config,
			const struct cv_addr *endpoint);

/*
 * iface_host.c: one thing at a time. Return: 0, or -errno after it was logged. That IPv6 is
 * switched off is no failure.
 */

/* Log what failed and what the kernel said of it. Return: error. */
int cv_iface_fail(const struct cv_iface *iface, const char *what, int error);
/* And the offload sizes that go with it. */
int cv_iface_set_mtu(struct cv_iface *iface, uint32_t mtu);
/* One super-packet shall make one train: as many segments as a train may hold. */
void cv_iface_fit_gso(struct cv_iface *iface);
int cv_iface_add_address(struct cv_iface *iface, const struct cv_prefix *address);
int cv_iface_remove_address(struct cv_iface *iface, const struct cv_prefix *address);
int cv_iface_add_route(struct cv_iface *iface, const struct cv_prefix *prefix, uint32_t table);
/* Add it unless it is there. */
int cv_iface_restore_route(struct cv_iface *iface, const struct cv_prefix *prefix, uint32_t table);
int cv_iface_remove_route(struct cv_iface *iface, const struct cv_prefix *prefix, uint32_t table);

/* The families whose default routes the config keeps apart, bit 0 v4, bit 1 v6. */
unsigned cv_iface_defaults(const struct cv_config *config);
/* Fill in mark and table; a table that was chosen before is kept. */
int cv_iface_choose_policy(struct cv_iface *iface, const struct cv_config *from,
			   const struct cv_config *to);
/* From the rules for the families of `had` by the policy `old` to those of `wants` by the present
 * one; and tell of a new mark when both are there. */
int cv_iface_change_rules(struct cv_iface *iface, const struct cv_iface_policy *old, unsigned had,
			  unsigned wants);
