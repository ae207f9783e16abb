/*
 * Peers from what runs to what a file says.
 *
 * How it works. What runs is told by the device, since wg(8) may have changed it behind the back of
 * the old file; only the old file's endpoint counts, since a peer that roamed stays where it is
 * unless the file sends it elsewhere. Both are sorted by key once, so that each peer of the new
 * file finds its like by halving: 10 000 peers cost a few milliseconds and most of them no call at
 * all. Peers come in the order of the file, as at the start, so that the last one gets an
 * allowed-IP that two of them claim; those that go come last, so that nothing they hand over is
 * without an owner in between.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <convoy/crypto/secret.h>
#include <convoy/device/change.h>

#include "internal.h"

/* A peer that runs, or one of the old file: found by its key, which comes first in both. */
struct running {
	struct cv_key public_key;
	struct cv_key psk;
	uint16_t keepalive_s;
	bool extension_off;
	bool stays;
};

struct former {
	struct cv_key public_key;
	const struct cv_config_peer *peer;
};

struct prefixes {
	struct cv_prefix *list; /* prefix[n], room for `max` */
	size_t n, max;
	bool no_memory;
};

struct work {
	struct cv_device *device;
	const struct cv_pool *pool;
	struct cv_key self;      /* our public key; a peer that has it is nobody */
	bool no_extensions;      /* with any peer */
	struct running *running; /* running[n_running], sorted */
	size_t n_running;
	struct former *former; /* former[n_former], sorted */
	size_t n_former;
	struct prefixes have, want;
	struct cv_allowed_ip_change *allowed_ips; /* room for max_allowed_ips */
	size_t max_allowed_ips;
};

static int compare_keys(const void *a, const void *b)
{
	return memcmp(a, b, CV_KEY_SIZE);
}

/* What runs ------------------------------------------------------------------------------- */

static int list_running(struct work *work)
{
	struct cv_peer_cursor cursor = { 0 };
	struct cv_device_show device;
	struct cv_peer_show peer;

	cv_device_show(work->device, false, &device);
	work->self = device.public_key;
	work->running = calloc(device.n_peers + 1, sizeof(*work->running));
	if (!work->running)
		return -ENOMEM;
	while (work->n_running < device.n_peers &&
	       cv_device_next_peer(work->device, &cursor, true, &peer))
		work->running[work->n_running++] = (struct running){
			.public_key = peer.public_key,
			.psk = peer.psk,
			.keepalive_s = peer.keepalive_s,
			.extension_off = peer.extension_off,
		};
	cv_wipe(&peer, sizeof(peer));
	qsort(work->running, work->n_running, sizeof(*work->running), compare_keys);
	return 0;
}

static int list_former(struct work *work, const struct cv_config *from)
{
	work->former = calloc(from->n_peers + 1, sizeof(*work->former));
	if (!work->former)
		return -ENOMEM;
	for (size_t i = 0; i < from->n_peers; i++)
		work->former[work->n_former++] = (struct former){
			.public_key = from->peers[i].public_key,
			.peer = &from->peers[i],
		};
	qsort(work->former, work->n_former, sizeof(*work->former), compare_keys);
	return 0;
}

static void done(struct work *work)
{
	if (work->running)
		cv_wipe(work->running, work->n_running * sizeof(*work->running));
	free(work->running);
	free(work->former);
	free(work->have.list);
	free(work->want.list);
	free(work->allowed_ips);
}

/* Allowed-IPs ----------------------------------------------------------------------------- */

static int compare_prefixes(const void *a, const void *b)
{
	const struct cv_prefix *left = a, *right = b;

	if (left->addr.family != right->addr.family)
		return left->addr.family - right->addr.family;
	if (left->bits != right->bits)
		return left->bits - right->bits;
	return memcmp(left->addr.b, right->addr.b, sizeof(left->addr.b));
}

static void add_prefix(void *arg, const struct cv_prefix *prefix)
{
	struct prefixes *prefixes = arg;

	if (prefixes->n == prefixes->max) {
		size_t max = prefixes->max ? 2 * prefixes->max : 16;
		struct cv_prefix *list = reallocarray(prefixes->list, max, sizeof(*list));

		if (!list) {
			prefixes->no_memory = true;
			return;
		}
		prefixes->list = list;
		prefixes->max = max;
	}
	prefixes->list[prefixes->n++] = *prefix;
}

/* Sorted, each once. */
static void tidy(struct prefixes *prefixes)
{
	size_t n = 0;

	qsort(prefixes->list, prefixes->n, sizeof(*prefixes->list), compare_prefixes);
	for (size_t i = 0; i < prefixes->n; i++)
		if (n == 0 || !cv_prefix_equal(&prefixes->list[i], &prefixes->list[n - 1]))
			prefixes->list[n++] = prefixes->list[i];
	prefixes->n = n;
}

static bool are_equal(const struct prefixes *a, const struct prefixes *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!cv_prefix_equal(&a->list[i], &b->list[i]))
			return false;
	return true;
}

static int compare_allowed_ips(struct work *work, const struct cv_config_peer *to, bool *ret_equal)
{
	work->have.n = work->want.n = 0;
	cv_device_each_allowed_ip(work->device, &to->public_key, add_prefix, &work->have);
	for (size_t i = 0; i < to->n_allowed_ips; i++)
		add_prefix(&work->want, &to->allowed_ips[i]);
	cv_pool_each(work->pool, &to->public_key, add_prefix, &work->want);
	if (work->have.no_memory || work->want.no_memory)
		return -ENOMEM;
	if (work->have.n > 0)
		tidy(&work->have);
	if (work->want.n > 0)
		tidy(&work->want);
	*ret_equal = are_equal(&work->have, &work->want);
	return 0;
}

static int replace_allowed_ips(struct work *work, struct cv_peer_change *change)
{
	if (work->want.n > work->max_allowed_ips) {
		free(work->allowed_ips);
		work->allowed_ips = calloc(work->want.max, sizeof(*work->allowed_ips));
		work->max_allowed_ips = work->allowed_ips ? work->want.max : 0;
		if (!work->allowed_ips)
			return -ENOMEM;
	}
	for (size_t i = 0; i < work->want.n; i++)
		work->allowed_ips[i] = (struct cv_allowed_ip_change){ work->want.list[i], false };
	change->replace_allowed_ips = true;
	change->allowed_ips = work->allowed_ips;
	change->n_allowed_ips = work->want.n;
	return 0;
}

/* Peers ----------------------------------------------------------------------------------- */

/* Names are the resolver's; a former name, or no endpoint, has no address. */
static bool has_other_endpoint(const struct former *former, const struct cv_config_peer *to)
{
	return !former || !cv_endpoint_equal(&former->peer->endpoint, &to->endpoint);
}

static int change_peer(struct work *work, const struct cv_config_peer *to, cv_time now,
		       struct cv_peers_changed *changed)
{
	struct running *running = bsearch(&to->public_key, work->running, work->n_running,
					  sizeof(*running), compare_keys);
	bool extension_off = work->no_extensions || to->no_extensions;
	const struct former *former = bsearch(&to->public_key, work->former, work->n_former,
					      sizeof(*former), compare_keys);
	struct cv_peer_change change = {
		.public_key = to->public_key,
		.set_psk = !running || !cv_key_equal(&running->psk, &to->psk),
		.set_endpoint = to->has_endpoint && !to->endpoint_is_name &&
				(!running || has_other_endpoint(former, to)),
		.set_keepalive = !running || running->keepalive_s != to->persistent_keepalive_s,
		.keepalive_s = to->persistent_keepalive_s,
		.set_extension = (running && running->extension_off) != extension_off,
		.extension_off = extension_off,
	};
	bool equal;
	int r;

	if (cv_key_equal(&to->public_key, &work->self))
		return 0;
	r = compare_allowed_ips(work, to, &equal);
	if (r == 0 && !equal)
		r = replace_allowed_ips(work, &change);
	if (r < 0)
		return r;
	if (running)
		running->stays = true;
	if (running && equal && !change.set_psk && !change.set_endpoint && !change.set_keepalive &&
	    !change.set_extension)
		return 0;
	change.endpoint = to->endpoint;
	change.psk = to->psk;
	r = cv_device_change_peer(work->device, &change, now);
	cv_wipe(&change.psk, sizeof(change.psk));
	*(running ? &changed->changed : &changed->added) += 1;
	return r;
}

static void remove_others(struct work *work, cv_time now, struct cv_peers_changed *changed)
{
	for (size_t i = 0; i < work->n_running; i++) {
		struct cv_peer_change change = {
			.public_key = work->running[i].public_key,
			.remove = true,
		};

		if (work->running[i].stays)
			continue;
		cv_device_change_peer(work->device, &change, now);
		changed->removed++;
	}
}

int cv_control_change_peers(struct cv_control *control, const struct cv_config *to, cv_time now,
			    struct cv_peers_changed *ret_changed)
{
	struct work work = { .device = control->device,
			     .pool = control->pool,
			     .no_extensions = to->no_extensions };
	struct cv_peers_changed changed = { 0 };
	int r = list_running(&work);

	if (r == 0)
		r = list_former(&work, &control->config);
	if (r == 0)
		r = cv_pool_change(control->pool, to);
	for (size_t i = 0; i < to->n_peers && r == 0; i++)
		r = change_peer(&work, &to->peers[i], now, &changed);
	if (r == 0)
		remove_others(&work, now, &changed);
	done(&work);
	*ret_changed = changed;
	return r;
}
