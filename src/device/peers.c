/*
 * What control does for a peer: timers that fired, wishes of workers, the link going up and down.
 *
 * How it works. Workers leave events in a peer's timers and bits in its wishes (peer/timers.h,
 * peer/peer.h); control looks when it is woken or when the earliest planned deadline has passed,
 * and turns both into handshakes, keepalives and wiping. Nothing here runs while all is idle.
 */
#include <string.h>

#include <convoy/crypto/random.h>
#include <convoy/log/log.h>
#include <convoy/loop/loop.h>

#include "internal.h"

/* Control's path has no readiness to wait for: what the socket does not take at once is counted, as
 * a full queue on the way would lose it. */
void cv_device_flush(struct cv_device *device, cv_time now)
{
	struct cv_train *trains;
	size_t n = cv_path_trains(&device->path, &trains), sent = 0;
	int fd;

	if (!n)
		return;
	if (cv_udp_send(&device->udp, trains, n, &device->path.drops, &sent, &fd) < 0)
		for (size_t i = sent; i < n; i++)
			cv_drops_add(&device->path.drops, CV_DROP_SEND_NOBUFS, trains[i].segs);
	cv_path_sent(&device->path, n, now);
}

/* Return: whether anything was staged and went out. */
static bool send_staged(struct cv_device *device, struct cv_peer *peer, cv_time now)
{
	uint64_t before = device->path.counts.out_pkts;

	while (!cv_path_unstage(&device->path, peer, now))
		cv_device_flush(device, now);
	cv_device_flush(device, now);
	return device->path.counts.out_pkts != before;
}

void cv_device_send_keepalive(struct cv_device *device, struct cv_peer *peer, cv_time now)
{
	if (!device->up || send_staged(device, peer, now))
		return;
	if (cv_path_keepalive(&device->path, peer, now))
		cv_device_flush(device, now);
	else
		cv_device_initiate(device, peer, false, now);
}

bool cv_device_is_us(const struct cv_device *device, const struct cv_key *public_key)
{
	return device->self->has_key &&
	       memcmp(public_key->b, device->self->public_key, CV_KEY_SIZE) == 0;
}

int cv_device_add_peer(struct cv_device *device, const struct cv_key *public_key,
		       struct cv_peer **ret_peer)
{
	int r = cv_deadlines_reserve(&device->deadlines, cv_peers_count(device->peers) + 1);

	if (r == 0)
		r = cv_peers_add(device->peers, public_key->b, ret_peer);
	if (r < 0)
		return r;
	(*ret_peer)->owner = device;
	cv_handshake_init((*ret_peer)->handshake, device->self, public_key->b);
	return 0;
}

/* A worker that still saw the peer may have staged a packet for it after it was removed. */
static void release_peer(void *what)
{
	struct cv_peer *peer = what;
	struct cv_device *device = peer->owner;

	cv_stage_purge(&peer->stage, device->plane.pool, &device->path.drops, CV_DROP_STAGE_PURGED);
	cv_peer_release(peer);
}

void cv_device_remove_peer(struct cv_device *device, struct cv_peer *peer)
{
	cv_routes_remove_peer(device->plane.routes, peer);
	cv_session_clear(device, peer);
	cv_deadlines_set(&device->deadlines, &peer->deadline, CV_TIME_NEVER);
	cv_peers_remove(device->peers, peer);
	cv_graveyard_add(&device->graveyard, peer, release_peer);
}

void cv_device_plan(struct cv_device *device, struct cv_peer *peer)
{
	cv_deadlines_set(&device->deadlines, &peer->deadline, cv_timers_plan(&peer->timers));
}

void cv_device_handshake_complete(struct cv_device *device, struct cv_peer *peer)
{
	cv_timers_handshake_complete(&peer->timers);
	__atomic_store_n(&peer->last_handshake_wall, cv_clock_wall(), __ATOMIC_RELAXED);
	cv_device_ask_anew(device, peer);
}

void cv_device_fire_timers(struct cv_device *device, struct cv_peer *peer, cv_time now)
{
	cv_time jitter = cv_random_below(CV_REKEY_TIMEOUT_JITTER_MS + 1) * CV_NS_PER_MS;
	unsigned actions = cv_timers_fire(&peer->timers, now, jitter);

	if (actions & CV_TIMER_CLEAR_SOURCE)
		cv_peer_clear_source(peer);
	if (actions & CV_TIMER_GIVE_UP)
		cv_stage_purge(&peer->stage, device->plane.pool, &device->path.drops,
			       CV_DROP_STAGE_PURGED);
	if (actions & CV_TIMER_ZERO_KEYS)
		cv_session_clear(device, peer);
	if (actions & (CV_TIMER_INITIATE | CV_TIMER_RETRY))
		cv_device_initiate(device, peer, !(actions & CV_TIMER_INITIATE), now);
	if (actions & CV_TIMER_KEEPALIVE)
		cv_device_send_keepalive(device, peer, now);
	if (actions & CV_TIMER_NO_ECHO)
		cv_device_give_up_probes(device, peer, now);
	if (actions & CV_TIMER_PROBE)
		cv_device_probe(device, peer, now);
	cv_device_plan(device, peer);
}

static void tell_loop(struct cv_device *device, struct cv_peer *peer, cv_time now)
{
	char address[CV_ADDR_TEXT_MAX], key_text[CV_KEY_BASE64_LEN + 1];
	struct cv_endpoint remote;
	struct cv_source local;
	struct cv_key key;
	bool plain;

	if (!cv_peer_endpoint(peer, now, &remote, &local, &plain))
		return;
	memcpy(key.b, peer->public_key, sizeof(key.b));
	cv_log_warn("%s: peer %.8s...: the route to its endpoint %s leads into the tunnel itself, "
		    "dropping what comes back; give it another: ip route add %s via GATEWAY",
		    device->iface.name, cv_key_to_base64(&key, key_text),
		    cv_addr_format(&remote.addr, address), address);
}

static void grant(struct cv_device *device, struct cv_peer *peer, uint32_t wishes, cv_time now)
{
	if (wishes & CV_WISH_CONFIRM) {
		cv_session_confirmed(device, peer);
		cv_device_handshake_complete(device, peer);
		send_staged(device, peer, now);
	}
	if (wishes & CV_WISH_TELL_LOOP)
		tell_loop(device, peer, now);
	if (wishes & CV_WISH_HANDSHAKE)
		cv_device_initiate(device, peer, false, now);
	cv_device_plan(device, peer);
}

void cv_device_grant_wishes(struct cv_device *device, cv_time now)
{
	struct cv_peer *peer;
	uint32_t wishes;

	while ((peer = cv_wishes_take(&device->plane.wishes, &wishes)))
		if (device->up)
			grant(device, peer, wishes, now);
}

void cv_device_announce(struct cv_device *device, cv_time now)
{
	struct cv_peer *peer = NULL;

	while ((peer = cv_peers_next(device->peers, peer)))
		if (cv_path_keepalive(&device->path, peer, now)) {
			cv_device_flush(device, now);
			cv_device_plan(device, peer);
		}
}

void cv_device_forget_sources(struct cv_device *device)
{
	struct cv_peer *peer = NULL;

	while ((peer = cv_peers_next(device->peers, peer)))
		cv_peer_clear_source(peer);
}

void cv_device_peers_down(struct cv_device *device)
{
	struct cv_peer *peer = NULL;

	while ((peer = cv_peers_next(device->peers, peer))) {
		cv_timers_stop(&peer->timers);
		/* Its session is gone: the next one need not wait for REKEY_TIMEOUT. */
		__atomic_store_n(&peer->last_initiation, 0, __ATOMIC_RELAXED);
		cv_session_clear(device, peer);
		cv_stage_purge(&peer->stage, device->plane.pool, &device->path.drops,
			       CV_DROP_STAGE_PURGED);
		cv_device_plan(device, peer);
	}
}

void cv_device_peers_up(struct cv_device *device, cv_time now)
{
	struct cv_peer *peer = NULL;

	while ((peer = cv_peers_next(device->peers, peer))) {
		uint32_t seconds = peer->timers.persistent_s;

		if (!seconds)
			continue;
		cv_timers_set_persistent(&peer->timers, seconds, now);
		cv_device_send_keepalive(device, peer, now);
		cv_device_plan(device, peer);
	}
}
