/*
 * own: a datagram of ours that the host's routes led back into the tunnel.
 *
 * Sealed once more it would come back once more, longer each time, for ever. It is known by the
 * index it carries: a data message for a peer, in a packet that is routed to that very peer. A
 * datagram for another peer may pass: that is a tunnel inside a tunnel; but not when the way of
 * that one leads back to the first. So each peer remembers whose datagrams went into it last, and a
 * ring is one that was seen whole a moment ago: what AllowedIPs alone say proves nothing about
 * routes.
 *
 * Only UDP whose first four bytes are a message type is looked at, once a super. A fragment of such
 * a datagram that has no UDP header is not known and goes one round more; what it becomes is.
 */
#include <netinet/in.h>
#include <string.h>

#include <convoy/noise/message.h>
#include <convoy/packet/ip.h>

#include "internal.h"
#include "stages.h"

static bool is_for_session(struct cv_peer *peer, uint32_t remote_index)
{
	const struct cv_keypair *keypair = cv_rcu_read(&peer->current);

	return keypair && keypair->remote_index == remote_index;
}

static uint32_t seconds(cv_time now)
{
	return (uint32_t)(now / CV_NS_PER_S);
}

static void note_carried(struct cv_peer *carrier, uint32_t remote_index, cv_time now)
{
	uint64_t note = (uint64_t)remote_index << 32 | seconds(now);

	if (__atomic_load_n(&carrier->carried, __ATOMIC_RELAXED) != note)
		__atomic_store_n(&carrier->carried, note, __ATOMIC_RELAXED);
}

/* Into whom the host's routes led the peer's datagrams a moment ago; NULL: out of the tunnel. */
static struct cv_peer *carrier_of(const struct cv_path *path, struct cv_peer *peer, cv_time now)
{
	const struct cv_keypair *keypair = cv_rcu_read(&peer->current);
	struct cv_endpoint remote;
	struct cv_peer *carrier;
	struct cv_source local;
	uint64_t note;
	bool plain;

	if (!keypair || !cv_peer_endpoint(peer, now, &remote, &local, &plain))
		return NULL;
	carrier = cv_routes_lookup(path->plane->routes, &remote.addr);
	if (!carrier)
		return NULL;
	note = __atomic_load_n(&carrier->carried, __ATOMIC_RELAXED);
	if (note >> 32 != keypair->remote_index || seconds(now) - (uint32_t)note > 1)
		return NULL;
	return carrier;
}

/* Whether a datagram of the session with this index, carried by `carrier`, comes back to it. */
static bool is_ring(const struct cv_path *path, struct cv_peer *carrier, uint32_t remote_index,
		    cv_time now)
{
	enum { PEERS_MAX = 8 }; /* of a ring. Not tuned. */

	note_carried(carrier, remote_index, now);
	for (int i = 1; i < PEERS_MAX && carrier; i++) {
		carrier = carrier_of(path, carrier, now);
		if (carrier && is_for_session(carrier, remote_index))
			return true;
	}
	return false;
}

static bool is_own_handshake(const struct cv_path *path, const struct cv_peer *peer,
			     uint32_t local_index)
{
	const struct cv_index_entry *entry = cv_index_lookup(path->plane->index, local_index);

	return entry && entry->peer == peer;
}

/* What follows the UDP header; NULL when there is none. The kernel puts no extension header but
 * that of a fragment before it, and behind a fragment's offset lies no UDP header. */
static const uint8_t *payload_of(const struct cv_split *split, uint32_t *ret_len)
{
	struct cv_ip6_walk walk = { split->ip.protocol, split->ip.l4 };
	const uint8_t *data = split->data;
	uint32_t begin;

	if (split->ip.family == AF_INET6 && walk.protocol == IPPROTO_FRAGMENT) {
		begin = cv_ip6_extension_len(&walk, data, split->ip.len);
		walk = (struct cv_ip6_walk){ begin ? data[walk.at] : IPPROTO_NONE,
					     walk.at + begin };
	}
	begin = walk.at + (uint32_t)sizeof(struct cv_udp_header);
	if (walk.protocol != IPPROTO_UDP || split->ip.len < begin)
		return NULL;
	*ret_len = split->ip.len - begin;
	return data + begin;
}

bool cv_own_came_back(const struct cv_path *path, const struct cv_split *split,
		      struct cv_peer *peer, cv_time now)
{
	struct cv_message_data message; /* an initiation and a response have their sender there */
	uint32_t len, index;
	const uint8_t *payload = payload_of(split, &len);

	if (!payload || len < sizeof(message))
		return false;
	memcpy(&message, payload, sizeof(message));
	index = cv_le32_get(message.receiver_index);
	switch (cv_message_type(payload, len)) {
	case CV_MESSAGE_DATA:
		return is_for_session(peer, index) || is_ring(path, peer, index, now);
	case CV_MESSAGE_INITIATION:
	case CV_MESSAGE_RESPONSE:
		return is_own_handshake(path, peer, index);
	default:
		return false;
	}
}
