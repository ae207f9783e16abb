/*
 * own: a datagram of ours that the host's routes led back into the tunnel.
 *
 * Sealed once more it would come back once more, longer each time, for ever. It is known by the
 * index it carries: a data message for a peer, in a packet that is routed to that very peer. A
 * datagram for another peer may pass: that is a tunnel inside a tunnel. Only UDP whose first four
 * bytes are a message type is looked at, once a super. A fragment of such a datagram that has no
 * UDP header is not known and goes one round more; what it becomes is.
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
		      struct cv_peer *peer)
{
	struct cv_message_data message; /* an initiation and a response have their sender there */
	uint32_t len;
	const uint8_t *payload = payload_of(split, &len);

	if (!payload || len < sizeof(message))
		return false;
	memcpy(&message, payload, sizeof(message));
	switch (cv_message_type(payload, len)) {
	case CV_MESSAGE_DATA:
		return is_for_session(peer, cv_le32_get(message.receiver_index));
	case CV_MESSAGE_INITIATION:
	case CV_MESSAGE_RESPONSE:
		return is_own_handshake(path, peer, cv_le32_get(message.receiver_index));
	default:
		return false;
	}
}
