/*
 * Changing a running device.
 *
 * How it works. Control owns all that is changed here but what workers read on their way: routes,
 * the current keypair, endpoints, the sockets. Those are published or exchanged one by one, so a
 * worker sees the old or the new, and what it may still hold is buried later (peer/rcu.h). A peer
 * is found by its key and changed in place: the cost does not depend on how many others there are.
 *
 * The order inside one peer is the kernel's: settings first, then, when all of them stand, what
 * they give reason to send.
 */
#include <errno.h>
#include <string.h>

#include <convoy/crypto/dh.h>
#include <convoy/device/change.h>

#include "internal.h"

/* The device ------------------------------------------------------------------------------ */

static bool is_our_private_key(const struct cv_device *device, const struct cv_key *key)
{
	struct cv_key clamped = *key;
	bool same;

	if (!cv_key_is_zero(key))
		cv_dh_clamp(clamped.b);
	same = cv_secret_equal(clamped.b, device->self->private_key, CV_KEY_SIZE);
	cv_wipe(&clamped, sizeof(clamped));
	return same;
}

/* Our key changed: to the peer we are a stranger, whatever is under way is worth nothing. */
static void begin_anew(struct cv_device *device, struct cv_peer *peer, cv_time now)
{
	cv_session_clear(device, peer);
	cv_handshake_rekey_identity(peer->handshake, device->self);
	cv_extension_forget(&peer->extension);
	cv_device_mind_probes(peer);
	__atomic_store_n(&peer->last_initiation, 0, __ATOMIC_RELAXED);
	if (!device->up)
		return;
	if (peer->timers.persistent_s || !cv_stage_is_empty(&peer->stage))
		cv_device_send_keepalive(device, peer, now);
	cv_device_plan(device, peer);
}

int cv_device_set_private_key(struct cv_device *device, const struct cv_key *key, cv_time now)
{
	struct cv_peer *peer = NULL;

	if (is_our_private_key(device, key))
		return 0;
	cv_identity_init(device->self, key->b);
	if (device->self->has_key)
		peer = cv_peers_find(device->peers, device->self->public_key);
	if (peer)
		cv_device_remove_peer(device, peer);
	peer = NULL;
	while ((peer = cv_peers_next(device->peers, peer)))
		begin_anew(device, peer, now);
	return 0;
}

int cv_device_set_listen_port(struct cv_device *device, uint16_t port)
{
	uint16_t before = device->udp_options.port;
	int r = 0;

	if (port == before)
		return 0;
	device->udp_options.port = port;
	if (device->up && port != device->udp.port) {
		r = cv_sockets_open(device);
		if (r == 0)
			cv_device_announce(device, cv_clock_now());
	} else if (!device->up && device->iface.up) {
		r = cv_device_go_up(device); /* the old port was taken when the link came up */
	}
	if (r < 0)
		device->udp_options.port = before;
	return r;
}

int cv_device_set_fwmark(struct cv_device *device, uint32_t fwmark)
{
	int r;

	if (fwmark == device->udp_options.fwmark)
		return 0;
	r = device->up ? cv_sockets_set_mark(device, fwmark) : 0;
	if (r < 0)
		return r;
	device->udp_options.fwmark = fwmark;
	cv_device_forget_sources(device);
	return 0;
}

void cv_device_clear_peers(struct cv_device *device)
{
	struct cv_peer *peer;

	while ((peer = cv_peers_next(device->peers, NULL)))
		cv_device_remove_peer(device, peer);
}

int cv_device_change_host(struct cv_device *device, const struct cv_config *from,
			  const struct cv_config *to)
{
	int r = cv_iface_change(&device->iface, from, to);

	__atomic_store_n(&device->plane.mtu, device->iface.mtu, __ATOMIC_RELAXED);
	return r;
}

void cv_device_mind_path(struct cv_device *device, const struct cv_config *config,
			 const struct cv_addr *endpoint)
{
	cv_iface_mind_path(&device->iface, config, endpoint);
	__atomic_store_n(&device->plane.mtu, device->iface.mtu, __ATOMIC_RELAXED);
}

/* A peer ---------------------------------------------------------------------------------- */

static int change_allowed_ips(struct cv_device *device, struct cv_peer *peer,
			      const struct cv_peer_change *change)
{
	struct cv_routes *routes = device->plane.routes;
	int r = 0;

	cv_routes_replace_begin(routes);
	for (size_t i = 0; i < change->n_allowed_ips && r == 0; i++) {
		const struct cv_allowed_ip_change *each = &change->allowed_ips[i];

		if (each->remove)
			cv_routes_remove(routes, &each->prefix, peer);
		else
			r = cv_routes_insert(routes, &each->prefix, peer);
	}
	if (r == 0 && change->replace_allowed_ips)
		cv_routes_replace_sweep(routes, peer);
	return r;
}

/* Return: whether a keepalive that was off is on now. */
static bool set_keepalive(struct cv_peer *peer, uint16_t seconds, cv_time now)
{
	bool was_on = peer->timers.persistent_s != 0;

	cv_timers_set_persistent(&peer->timers, seconds, now);
	return !was_on && seconds;
}

/* Return: whether a handshake is tried that did not even go out, as without an endpoint; now it may
 * go out at once. */
static bool set_endpoint(struct cv_peer *peer, const struct cv_endpoint *endpoint)
{
	cv_peer_set_endpoint(peer, endpoint);
	if (!peer->last_send_error || !cv_timers_is_trying(&peer->timers))
		return false;
	__atomic_store_n(&peer->last_initiation, 0, __ATOMIC_RELAXED);
	return true;
}

static int change_peer(struct cv_device *device, struct cv_peer *peer,
		       const struct cv_peer_change *change, cv_time now)
{
	int r = change_allowed_ips(device, peer, change);
	bool send = false, probe = false;

	if (change->set_psk)
		cv_handshake_set_psk(peer->handshake, change->psk.b);
	if (change->set_extension) {
		peer->extension.off = change->extension_off;
		probe = cv_device_mind_probes(peer);
	}
	if (change->set_endpoint && set_endpoint(peer, &change->endpoint))
		send = true;
	if (change->set_keepalive && set_keepalive(peer, change->keepalive_s, now))
		send = true;
	if (!device->up)
		return r;
	if (send || !cv_stage_is_empty(&peer->stage))
		cv_device_send_keepalive(device, peer, now);
	if (probe)
		cv_device_probe(device, peer, now);
	cv_device_plan(device, peer);
	return r;
}

int cv_device_change_peer(struct cv_device *device, const struct cv_peer_change *change,
			  cv_time now)
{
	struct cv_peer *peer = cv_peers_find(device->peers, change->public_key.b);
	int r;

	if (peer && change->remove) {
		cv_device_remove_peer(device, peer);
		return 0;
	}
	if (!peer) {
		if (change->remove || change->update_only ||
		    cv_device_is_us(device, &change->public_key))
			return 0;
		r = cv_device_add_peer(device, &change->public_key, &peer);
		if (r < 0)
			return r;
	}
	return change_peer(device, peer, change, now);
}
