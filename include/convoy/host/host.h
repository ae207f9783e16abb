/* What a tunnel changes on its host beside netlink: hooks, DNS, firewall; done by a keeper process.
 *
 * The keeper is forked before the tunnel has threads or a packet, and keeps the privileges that the
 * tunnel gives up. It holds no keys, runs programs by argv, never sees a byte from the network, and
 * obeys only the few commands below, structs of fixed size over a socket pair. When the tunnel dies
 * without a word it does what an orderly end would do, but leaves the kill switch in place.
 *
 * A host of NULL is one without a keeper; every function takes it and has nothing to do.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <convoy/base/grant.h>
#include <convoy/config/config.h>

struct cv_host;

/**
 * cv_host_mark() - the mark by which the kill switch knows our sockets
 *
 * FwMark, or where the file has none a number that follows from config->name alone, so that it is
 * the same after a crash. Whoever runs a config with KillSwitch puts it into config->fwmark
 * before the device is made, and again into what a reload brings.
 *
 * Return: 0 without KillSwitch.
 */
uint32_t cv_host_mark(const struct cv_config *config);

/**
 * cv_host_start() - undo what an earlier tunnel of this name left behind, then fork the keeper
 * @config:	named; copied by the fork, which wipes the keys in its copy
 * @path:	the config file, absolute, which cv_host_change() reads again; NULL: none, then no
 *		keeper is forked
 *
 * Call before any thread exists. Waits for the keeper of a tunnel that was killed to end. Hooks are
 * refused unless root owns the file and the folders on the way to it, and nobody else may write to
 * them. Where the state cannot be kept (no privileges) a config that asks for nothing here gets
 * ret_host NULL.
 *
 * Return: 0 or -errno after the reason was logged (-EBUSY: the tunnel runs; -EPERM: hooks).
 */
int cv_host_start(const struct cv_config *config, const char *path, struct cv_host **ret_host);

/**
 * cv_host_set_turn() - let the tunnel work while hooks run that may want to use it
 * @turn:	turns the tunnel's loop once, which has cv_host_fd() among what it watches. Return:
 *		false when the hook that runs shall end
 *
 * From here on cv_host_after_up() and cv_host_before_down() call it until they have their answer:
 * a hook may run wg(8), or speak to somebody through the tunnel. Other calls meanwhile, such as a
 * reload, get -EBUSY. Without it all calls block.
 */
void cv_host_set_turn(struct cv_host *host, bool (*turn)(void *arg), void *arg);
/* Readable when there is an answer; -1 of a host that is NULL. */
int cv_host_fd(const struct cv_host *host);

/**
 * cv_host_before_up() - kill switch (atomically, before the link exists), then PreUp hooks
 *
 * If an Endpoint is a name the switch lets DNS out to the configured name servers until
 * cv_host_after_up(): names are best looked up in between.
 *
 * Return: 0, or -errno after the reason was logged; then call cv_host_after_down().
 * -EINTR: SIGTERM or SIGINT is pending and blocked, or turn() said so: the hook that ran was ended.
 */
int cv_host_before_up(struct cv_host *host);
/**
 * cv_host_after_up() - the link is up: guard of a default route, DNS, PostUp hooks
 * @fwmark:	of the rules that lead all packets but ours into the tunnel, which is also the
 *		number of their table; 0: there is no default route
 *
 * Return: as cv_host_before_up().
 */
int cv_host_after_up(struct cv_host *host, uint32_t fwmark);
/* PreDown hooks (not after a failed up, as with wg-quick), DNS back. */
void cv_host_before_down(struct cv_host *host);
/* The link is gone: guard and kill switch away, PostDown hooks, the keeper ends. After a failed up
 * a kill switch that stood before it stays. */
void cv_host_after_down(struct cv_host *host);

/**
 * cv_host_change() - from one config to the one that the file has now, without a gap
 * @to:		that config, as control read it; the keeper reads and checks the file itself
 *
 * Kill switch and DNS change now; hooks of the new file are those that run at the end. Nothing
 * changes when the file has an error or hooks that may not run.
 *
 * Return: 0 or -errno after the reason was logged (-EOPNOTSUPP: `to` asks for something, and there
 * is no keeper).
 */
int cv_host_change(struct cv_host *host, const struct cv_config *to);
/* After the device was changed: the mark of its default route now, as in cv_host_after_up(). */
int cv_host_change_mark(struct cv_host *host, uint32_t fwmark);

/**
 * cv_host_restore() - undo what a tunnel that was killed left behind, kill switch included
 *
 * For `convoy down NAME` when nothing answers. Return: 0 something was undone; -ENOENT there was
 * nothing; or another -errno after the reason was logged (-EBUSY: the tunnel runs).
 */
int cv_host_restore(const char *name);

/**
 * cv_host_hand_over() - a peer handed addresses and name servers over
 * @to:		the config that has them
 * @grant:	what was admitted of them; the keeper judges by itself what its file allows
 *
 * They are kept over cv_host_change() as long as the file asks the same peer.
 *
 * Return: 0 or -errno after the reason was logged (-EOPNOTSUPP: there is no keeper to set the name
 * servers).
 */
int cv_host_hand_over(struct cv_host *host, const struct cv_config *to,
		      const struct cv_grant *grant);

/* Let go of the keeper and wait for its end. Without cv_host_after_down() that is a crash: the
 * right thing for an end that nobody asked for, since the kill switch stays. */
void cv_host_free(struct cv_host *host);
