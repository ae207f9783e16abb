/*
 * The interface: set up, followed, taken back.
 *
 * How it works. Setting up makes the link ready and then asks of the host what the config says
 * (iface_change.c, iface_host.c). Afterwards news of the link are followed: up, down, MTU, name.
 * When the link leaves its namespace the TUN itself tells where it went (it was deleted if it
 * cannot). News of other namespaces take a capability that a restricted process has not, so there
 * the link is looked at from time to time.
 */
#include "iface.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <convoy/log/log.h>

enum {
	BARE_MTU = 1420, /* as kernel WireGuard and wireguard-go: 1500 less what a datagram adds */
	/* Packets the stack may queue for us; its default of 500 drops at a burst of two
	 * connections. Not tuned. */
	QUEUE_LEN_PKTS = 1000,
	LOOK_INTERVAL_MS = 250, /* at a link in another namespace. Not tuned. */
};

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
		cv_iface_fit_gso(iface);
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
static bool timer_ready(struct cv_watch *watch, uint32_t revents);

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
	if (iface->polled)
		close(iface->watch.fd);
	iface->polled = false;
	if (iface->there != iface->home)
		cv_netlink_close(iface->there);
	iface->there = NULL;
}

static int watch_timer(struct cv_iface *iface)
{
	const struct timespec interval = { .tv_nsec = LOOK_INTERVAL_MS * 1000000L };
	const struct itimerspec period = { interval, interval };
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	if (fd < 0)
		return -errno;
	iface->polled = true;
	iface->watch = (struct cv_watch){ .fd = fd, .ready = timer_ready, .owner = iface };
	if (timerfd_settime(fd, 0, &period, NULL) < 0)
		return -errno;
	return cv_loop_add(iface->loop, &iface->watch);
}

/* Reach into the namespace to which the TUN was moved, and look how the link stands there. */
static int follow(struct cv_iface *iface)
{
	struct cv_link link;
	int netns = cv_tun_netns(iface->tun->fd);
	int r;

	close_there(iface);
	if (netns < 0)
		return netns;
	r = cv_netlink_open_in(netns, &iface->there);
	if (r == 0)
		r = watch_timer(iface);
	close(netns);
	if (r == 0)
		r = cv_link_get(iface->there, iface->name, &link);
	if (r < 0)
		return r;
	iface->ifindex = link.ifindex;
	iface->mtu = 0; /* whatever it is, GSO sizes are set anew */
	take_news(iface, &link);
	return 0;
}

static void look(struct cv_iface *iface)
{
	struct cv_link link;

	if (cv_link_get_by_index(iface->there, iface->ifindex, &link) == 0)
		take_news(iface, &link);
	else
		iface->left = true;
}

/* After news were taken. */
static void settle(struct cv_iface *iface)
{
	int r;

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
}

static bool monitor_ready(struct cv_watch *watch, uint32_t revents)
{
	struct cv_iface *iface = watch->owner;

	if (cv_link_monitor_read(iface->monitor, hear_news, iface) == -ENOBUFS)
		look(iface);
	settle(iface);
	return false;
}

static bool timer_ready(struct cv_watch *watch, uint32_t revents)
{
	uint64_t ticks;

	while (read(watch->fd, &ticks, sizeof(ticks)) > 0)
		;
	look(watch->owner);
	settle(watch->owner);
	return false;
}

/* The door -------------------------------------------------------------------------------- */

static int find(struct cv_iface *iface)
{
	struct cv_link link;
	int r = cv_link_get(iface->there, iface->name, &link);

	if (r < 0)
		return cv_iface_fail(iface, "find the link", r);
	iface->ifindex = link.ifindex;
	iface->mtu = link.mtu;
	iface->up = link.up;
	r = cv_link_monitor_open(&iface->monitor);
	if (r == 0)
		r = watch_monitor(iface);
	return r < 0 ? cv_iface_fail(iface, "listen to link changes", r) : 0;
}

static int shape(struct cv_iface *iface)
{
	int r = cv_link_set_quiet(iface->there, iface->ifindex);

	if (r < 0 && r != -EAFNOSUPPORT)
		cv_log_debug("%s: the link keeps its link-local address, ignoring", iface->name);
	r = cv_link_set_queue_len(iface->there, iface->ifindex, QUEUE_LEN_PKTS);
	return r < 0 ? cv_iface_fail(iface, "set the queue length", r) : 0;
}

static int set_up_bare(struct cv_iface *iface, const struct cv_config *config)
{
	if (config->mtu)
		return cv_iface_set_mtu(iface, config->mtu);
	if (!iface->adopted)
		return cv_iface_set_mtu(iface, BARE_MTU);
	cv_iface_fit_gso(iface);
	return 0;
}

static int bring_up(struct cv_iface *iface)
{
	int r = cv_link_set_up(iface->there, iface->ifindex, true);

	if (r < 0)
		return cv_iface_fail(iface, "bring the link up", r);
	iface->up = true;
	return 0;
}

/* Without CAP_NET_ADMIN: say what is missing, and follow what others do. */
static void leave_untouched(struct cv_iface *iface, const struct cv_config *config)
{
	iface->bare = true;
	cv_log_warn("%s: no CAP_NET_ADMIN: addresses, MTU, routes and up or down stay with who "
		    "made the interface, ignoring",
		    iface->name);
	if (config->has_fwmark || cv_iface_defaults(config))
		cv_log_warn("%s: no CAP_NET_ADMIN: packets carry no mark, a default route must not "
			    "lead our own into the tunnel, ignoring",
			    iface->name);
	cv_log_warn("%s: no CAP_NET_ADMIN: socket buffers end at net.core.rmem_max and wmem_max, "
		    "GSO sizes stay, ignoring",
		    iface->name);
	if (!iface->up)
		cv_log_info("%s: waiting for the link to come up", iface->name);
}

int cv_iface_setup(struct cv_iface *iface, const struct cv_config *config, struct cv_loop *loop,
		   const struct cv_tun *tun)
{
	/* It asks for nothing, and its MTU is none that we chose. */
	static const struct cv_config nothing = { .mtu = 1 };
	int r = cv_netlink_open(&iface->home);

	if (r < 0) {
		cv_log_err("%s: cannot open netlink: %s", iface->name, strerror(-r));
		return r;
	}
	iface->loop = loop;
	iface->tun = tun;
	iface->there = iface->home;
	memcpy(iface->name, tun->name, sizeof(iface->name));
	r = find(iface);
	if (r == 0 && iface->untouched) {
		leave_untouched(iface, config);
		return 0;
	}
	if (r == 0 && !iface->adopted)
		r = shape(iface);
	if (r == 0 && iface->bare)
		return set_up_bare(iface, config);
	if (r == 0)
		r = bring_up(iface);
	return r < 0 ? r : cv_iface_change(iface, &nothing, config);
}

void cv_iface_undo(struct cv_iface *iface)
{
	static const uint8_t families[] = { AF_INET, AF_INET6 };
	const struct cv_iface_policy *policy = &iface->policy;

	if (!iface->home)
		return;
	for (int i = 0; i < 2; i++) {
		if (policy->rule_main[i])
			cv_rule_delete_main_specifics(iface->home, families[i]);
		if (policy->rule_mark[i])
			cv_rule_delete_not_marked(iface->home, families[i], policy->fwmark,
						  policy->table);
	}
	close_there(iface);
	cv_netlink_close(iface->home);
	iface->home = NULL;
}
