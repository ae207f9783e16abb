/* The tunnel's interface on the host: set up by netlink, followed while it changes, undone. */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include <convoy/config/config.h>
#include <convoy/io/tun.h>
#include <convoy/loop/loop.h>
#include <convoy/netlink/netlink.h>

struct cv_iface {
	char name[IFNAMSIZ];
	uint32_t ifindex;
	uint32_t mtu;
	uint32_t fwmark; /* for the sockets: of the config, or chosen for a default route */
	bool up;
	bool gone; /* deleted; nothing but cv_iface_undo() makes sense now */

	struct cv_loop *loop;
	const struct cv_tun *tun;
	void (*changed)(void *arg);
	void *arg;
	/* Where the interface was made, and where it is now: another namespace after a move. */
	struct cv_netlink *home, *there;
	struct cv_link_monitor *monitor;
	struct cv_watch watch;
	bool left; /* the monitor said that it is not here any more */
	/* Rules that are ours to take back; the rest goes with the interface. */
	uint32_t table;
	bool rule_mark[2], rule_main[2]; /* [0] v4, [1] v6 */
};

/**
 * cv_iface_setup() - MTU, offload sizes, addresses, up, routes and rules, as the config says
 * @changed:	called from the loop after up, mtu or gone changed
 *
 * iface->name is set by the caller. Errors are logged with what the kernel said.
 *
 * Return: 0 or -errno; cv_iface_undo() in both cases.
 */
int cv_iface_setup(struct cv_iface *iface, const struct cv_config *config, struct cv_loop *loop,
		   const struct cv_tun *tun, void (*changed)(void *arg), void *arg);
/* Take back what does not go away with the TUN. Harmless on a zeroed or half set up iface. */
void cv_iface_undo(struct cv_iface *iface);
