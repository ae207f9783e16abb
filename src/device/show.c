/*
 * What a device tells of itself.
 *
 * How it works. Everything is copied at once: endpoints under their lock, counters whole, the rest
 * is control's own. The list of peers is told one by one, and may change in between; a cursor
 * remembers the serial number of the peer it told last, and its key, by which the place is found
 * again without a walk. Only when that very peer is gone the list is walked to its successor.
 */
#include <string.h>

#include <convoy/device/show.h>
#include <convoy/peer/rcu.h>

#include "internal.h"

void cv_device_show(const struct cv_device *device, bool secrets, struct cv_device_show *ret_show)
{
	const struct cv_identity *self = device->self;

	*ret_show = (struct cv_device_show){
		.name = device->iface.name,
		.has_private_key = self->has_key,
		.listen_port = device->up ? device->udp.port : device->udp_options.port,
		.fwmark = device->udp_options.fwmark,
		.mtu = device->iface.mtu,
		.up = device->up,
		.n_peers = cv_peers_count(device->peers),
	};
	memcpy(ret_show->public_key.b, self->public_key, CV_KEY_SIZE);
	if (secrets)
		memcpy(ret_show->private_key.b, self->private_key, CV_KEY_SIZE);
}

static void show_path(const struct cv_probing *probing, struct cv_path_show *ret_show)
{
	const struct cv_quality *quality = &probing->quality;

	*ret_show = (struct cv_path_show){
		.rtt = quality->rtt,
		.rtt_variation = quality->rtt_variation,
		.unanswered = quality->unanswered,
		.mtu = (uint16_t)probing->pmtu.size,
		.way[CV_QUALITY_IN].jitter_us = cv_quality_jitter_us(quality),
		.way[CV_QUALITY_OUT].jitter_us = quality->jitter_out_us,
	};
	for (int way = 0; way < CV_QUALITY_WAYS; way++) {
		ret_show->way[way].loss = cv_quality_loss(quality, way);
		ret_show->way[way].messages = quality->newest.way[way];
	}
}

static void show_peer(struct cv_peer *peer, bool secrets, struct cv_peer_show *ret_show)
{
	const struct cv_keypair *session = cv_rcu_read(&peer->current);
	const struct cv_suite_keys *sealing = session ? cv_rcu_read(&session->sealing) : NULL;
	struct cv_peer_show show = {
		.has_psk = !cv_secret_is_zero(peer->handshake->preshared, CV_KEY_SIZE),
		.last_handshake_wall =
			__atomic_load_n(&peer->last_handshake_wall, __ATOMIC_RELAXED),
		.has_session = session != NULL,
		.session_birth = session ? session->birth : 0,
		.wants_session = cv_timers_is_trying(&peer->timers),
		.last_send_error = peer->last_send_error,
		.tx_bytes = __atomic_load_n(&peer->tx_bytes, __ATOMIC_RELAXED),
		.rx_bytes = __atomic_load_n(&peer->rx_bytes, __ATOMIC_RELAXED),
		.keepalive_s = (uint16_t)peer->timers.persistent_s,
		.extension = peer->extension.state,
		.extension_off = peer->extension.off,
		.suite = sealing ? sealing->send.key.suite : CV_SUITE_CHACHA20_POLY1305,
		.staged_pkts = __atomic_load_n(&peer->stage.pkts, __ATOMIC_RELAXED),
	};
	bool plain;

	if (peer->probing && peer->probing->quality.heard) {
		show.has_path = true;
		show_path(peer->probing, &show.path);
	}
	memcpy(show.public_key.b, peer->public_key, CV_KEY_SIZE);
	show.has_endpoint = cv_peer_endpoint(peer, 0, &show.endpoint, &show.source, &plain);
	show.has_source = show.source.addr.family != 0;
	*ret_show = show;
	if (secrets)
		memcpy(ret_show->psk.b, peer->handshake->preshared, CV_KEY_SIZE);
}

static struct cv_peer *successor(const struct cv_peers *peers, const struct cv_peer_cursor *cursor)
{
	struct cv_peer *peer = cv_peers_find(peers, cursor->last.b);

	if (peer && peer->serial == cursor->after)
		return cv_peers_next(peers, peer);
	peer = cv_peers_next(peers, NULL);
	while (peer && peer->serial <= cursor->after)
		peer = cv_peers_next(peers, peer);
	return peer;
}

bool cv_device_next_peer(const struct cv_device *device, struct cv_peer_cursor *cursor,
			 bool secrets, struct cv_peer_show *ret_show)
{
	struct cv_peer *peer = successor(device->peers, cursor);

	if (!peer)
		return false;
	show_peer(peer, secrets, ret_show);
	cursor->after = peer->serial;
	cursor->last = ret_show->public_key;
	return true;
}

void cv_device_each_allowed_ip(const struct cv_device *device, const struct cv_key *public_key,
			       void (*visit)(void *arg, const struct cv_prefix *prefix), void *arg)
{
	const struct cv_peer *peer = cv_peers_find(device->peers, public_key->b);

	if (peer)
		cv_routes_each(device->plane.routes, peer, visit, arg);
}
