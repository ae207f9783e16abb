/*
 * outbound: tun -> load -> split -> seal -> train -> udp.
 *
 * How it works. A load is what one TUN read brought: one super of many segments, or many small
 * packets, checked, routed and grouped by peer (load.c), because a peer's datagrams must lie
 * together to become a train. For each group endpoint, keypair and a range of nonces are taken
 * once; segments are cut straight to their final place in the arena, sealed as one burst over all
 * groups, and described as trains. What has no session goes to the peer's stage.
 *
 * The work can stop between any two segments when arena, batch or trains are full; a load is
 * finished by calling again after a send.
 */
#include <string.h>

#include "internal.h"
#include "stages.h"

void cv_path_wish_handshake(struct cv_path *path, struct cv_peer *peer, cv_time now)
{
	if (!cv_peer_initiated_lately(peer, now))
		cv_path_wish(path, peer, CV_WISH_HANDSHAKE);
}

/* How many of a super's segments there is room for. Trains are counted as if each segment needed
 * its own, which is right for the worst case and far from binding in the usual one. */
static uint32_t room_for(const struct cv_outbound *out, const struct cv_split *split,
			 size_t arena_used, size_t pkts)
{
	uint32_t segs = split->segs - split->next;
	size_t arena =
		(CV_PATH_ARENA_SIZE - arena_used) / cv_seal_room(split->header + split->size);
	size_t batch = CV_BATCH_MAX - out->jobs_n - pkts;
	size_t trains = CV_PATH_TRAINS_MAX - out->trains_n - pkts;

	if (out->trains_n + pkts > CV_PATH_TRAINS_MAX)
		trains = 0;
	if (segs > arena)
		segs = (uint32_t)arena;
	if (segs > batch)
		segs = (uint32_t)batch;
	return segs > trains ? (uint32_t)trains : segs;
}

static uint32_t mtu_of(const struct cv_path *path, const struct cv_peer *peer)
{
	return cv_peer_mtu(peer, __atomic_load_n(&path->plane->mtu, __ATOMIC_RELAXED));
}

/* Write the next segment. What the TUN gave as one packet may be a SYN, which says an MSS. */
static uint32_t write_segment(struct cv_split *split, uint32_t mtu, uint8_t *out)
{
	bool single = split->gso == VIRTIO_NET_HDR_GSO_NONE;
	uint32_t len = cv_split_next(split, out);

	if (len && single && cv_tcp_may_be_syn(out, &split->ip))
		cv_tcp_clamp_mss(out, &split->ip, mtu);
	return len;
}

/* Cut up to n segments of the group that begins at out->next into the arena, under the nonces
 * from first on. */
static void cut(struct cv_path *path, const struct cv_destination *to,
		const struct cv_keypair *keypair, uint64_t first, uint32_t n)
{
	struct cv_outbound *out = path->out;
	uint32_t mtu = mtu_of(path, to->peer);
	uint64_t bytes = 0, tx_bytes = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct cv_split *split = &out->splits[out->order[out->next]];
		uint8_t *datagram = out->arena + out->used;
		uint32_t len = write_segment(split, mtu, datagram + CV_HEADROOM);
		uint32_t size = cv_seal_add(out, keypair, first + i, datagram, len, mtu);

		cv_train_add(out, to, datagram, size, cv_ecn_encapsulate(split->ip.tos));
		out->used += size;
		bytes += len;
		tx_bytes += size;
		if (split->next == split->segs)
			out->next++;
	}
	path->counts.out_pkts += n;
	path->counts.out_bytes += bytes;
	__atomic_fetch_add(&to->peer->tx_bytes, tx_bytes, __ATOMIC_RELAXED);
}

/* The session grew old, or will run out of numbers: ask for the next one, keep using this one. */
static void keep_fresh(struct cv_path *path, struct cv_peer *peer, const struct cv_keypair *keypair,
		       uint64_t counter, cv_time now)
{
	if (cv_keypair_is_old(keypair, counter, now))
		cv_path_wish_handshake(path, peer, now);
}

static void tell_sent(struct cv_path *path, struct cv_peer *peer, cv_time now)
{
	if (cv_timers_data_sent(&peer->timers, now))
		cv_path_wish(path, peer, CV_WISH_PLAN);
	cv_timers_any_sent(&peer->timers, now);
}

/* Put the rest of the super at out->next on its peer's stage, unless a session came up meanwhile.
 * Return: false when it did. The segment is built in the free part of the arena. */
static bool stage(struct cv_path *path, struct cv_peer *peer, cv_time now)
{
	struct cv_outbound *out = path->out;
	struct cv_split *split = &out->splits[out->order[out->next]];
	const struct cv_keypair *keypair;
	uint8_t *scratch = out->arena + out->used;
	uint32_t mtu = mtu_of(path, peer);
	uint32_t len, n = 0;

	cv_stage_lock(&peer->stage);
	keypair = cv_rcu_read(&peer->current);
	if (keypair && cv_keypair_can_send(keypair, now)) {
		cv_stage_unlock(&peer->stage);
		return false;
	}
	while ((len = write_segment(split, mtu, scratch))) {
		cv_stage_push(&peer->stage, path->plane->pool, scratch, len, &path->drops);
		n++;
	}
	cv_stage_unlock(&peer->stage);
	path->counts.staged_pkts += n;
	out->next++;
	cv_path_wish_handshake(path, peer, now);
	return true;
}

/* Where this peer is. A peer that was never heard of and has no Endpoint cannot be sent to. */
static bool find_destination(struct cv_peer *peer, cv_time now, struct cv_destination *ret_to)
{
	ret_to->peer = peer;
	return cv_peer_endpoint(peer, now, &ret_to->remote, &ret_to->local, &ret_to->plain);
}

/* End of the group that begins at out->next. */
static size_t group_end(const struct cv_outbound *out)
{
	size_t end = out->next + 1;

	while (end < out->n && out->peers[out->order[end]] == out->peers[out->order[out->next]])
		end++;
	return end;
}

/* Segments of the group [out->next, end) that fit, in order. */
static uint32_t group_room(const struct cv_outbound *out, size_t end)
{
	size_t used = out->used;
	uint32_t total = 0;

	for (size_t k = out->next; k < end; k++) {
		const struct cv_split *split = &out->splits[out->order[k]];
		uint32_t left = split->segs - split->next;
		uint32_t fit = room_for(out, split, used, total);

		total += fit;
		used += (size_t)fit * cv_seal_room(split->header + split->size);
		if (fit < left)
			break;
	}
	return total;
}

/* Cut as much of the group [out->next, end) as there is room for. false: none at all. */
static bool outbound_group(struct cv_path *path, size_t end, cv_time now)
{
	struct cv_outbound *out = path->out;
	struct cv_peer *peer = out->peers[out->order[out->next]];
	struct cv_keypair *keypair = cv_rcu_read(&peer->current);
	struct cv_destination to;
	uint64_t first;
	uint32_t n;

	if (!find_destination(peer, now, &to)) {
		for (; out->next < end; out->next++) {
			const struct cv_split *split = &out->splits[out->order[out->next]];

			cv_drops_add(&path->drops, CV_DROP_NO_ENDPOINT, split->segs - split->next);
		}
		return true;
	}
	/* What waited for the session goes first; control may be about to send it as well. */
	if (keypair && !cv_stage_is_empty(&peer->stage) && !cv_path_unstage(path, peer, now))
		return false;
	n = group_room(out, end);
	if (!n)
		return false;
	if (!keypair || cv_keypair_take(keypair, n, now, &first) < 0) {
		stage(path, peer, now);
		return true;
	}
	cut(path, &to, keypair, first, n);
	tell_sent(path, peer, now);
	keep_fresh(path, peer, keypair, first + n, now);
	return true;
}

bool cv_path_outbound(struct cv_path *path, cv_time now)
{
	struct cv_outbound *out = path->out;
	bool room = true;

	while (room && out->next < out->n)
		room = outbound_group(path, group_end(out), now);
	cv_seal_burst(path);
	return room;
}

/* Room for one packet of any size. */
static bool has_room(const struct cv_outbound *out)
{
	return CV_PATH_ARENA_SIZE - out->used >= cv_seal_room(CV_IP_MAX) &&
	       out->jobs_n < CV_BATCH_MAX && out->trains_n < CV_PATH_TRAINS_MAX;
}

/* Seal what lies at the end of the arena, its len bytes behind the headroom; padded to no more than
 * the mtu. */
static void seal_one(struct cv_path *path, const struct cv_destination *to,
		     const struct cv_keypair *keypair, uint64_t counter, uint32_t len, uint8_t tos,
		     uint32_t mtu)
{
	struct cv_outbound *out = path->out;
	uint8_t *datagram = out->arena + out->used;
	uint32_t size = cv_seal_add(out, keypair, counter, datagram, len, mtu);

	cv_train_add(out, to, datagram, size, tos);
	out->used += size;
	__atomic_fetch_add(&to->peer->tx_bytes, size, __ATOMIC_RELAXED);
}

/* Take staged packets one by one under the lock; a packet for which the session has no number left
 * would be lost, so the number is taken first. */
static bool unstage_all(struct cv_path *path, const struct cv_destination *to,
			struct cv_keypair *keypair, cv_time now)
{
	struct cv_outbound *out = path->out;
	uint32_t mtu = mtu_of(path, to->peer);
	uint64_t counter;

	while (to->peer->stage.pkts) {
		int len;

		if (!has_room(out))
			return false;
		if (cv_keypair_take(keypair, 1, now, &counter) < 0)
			return true;
		len = cv_stage_pop(&to->peer->stage, path->plane->pool,
				   out->arena + out->used + CV_HEADROOM, CV_IP_MAX);
		seal_one(path, to, keypair, counter, (uint32_t)len,
			 cv_ecn_encapsulate(cv_ip_tos(out->arena + out->used + CV_HEADROOM)), mtu);
		path->counts.unstaged_pkts++;
		path->counts.out_pkts++;
		path->counts.out_bytes += (uint32_t)len;
	}
	return true;
}

bool cv_path_unstage(struct cv_path *path, struct cv_peer *peer, cv_time now)
{
	struct cv_keypair *keypair = cv_rcu_read(&peer->current);
	struct cv_destination to;
	size_t jobs = path->out->jobs_n;
	bool all;

	if (!keypair || !find_destination(peer, now, &to))
		return true;
	cv_stage_lock(&peer->stage);
	all = unstage_all(path, &to, keypair, now);
	cv_stage_unlock(&peer->stage);
	if (path->out->jobs_n > jobs)
		tell_sent(path, peer, now);
	cv_seal_burst(path);
	return all;
}

/* Seal one message that is no data of users, of size bytes if it is shorter than that: the timers
 * expect no answer to it. */
static bool seal_own(struct cv_path *path, struct cv_peer *peer, struct cv_keypair *keypair,
		     const struct cv_frame *frame, uint32_t size, cv_time now)
{
	struct cv_outbound *out = path->out;
	uint32_t mtu = size ? size : mtu_of(path, peer);
	uint8_t *text;
	struct cv_destination to;
	uint64_t counter;
	size_t len = 0;

	if (!keypair || !find_destination(peer, now, &to) || !has_room(out) ||
	    cv_keypair_take(keypair, 1, now, &counter) < 0)
		return false;
	text = out->arena + out->used + CV_HEADROOM;
	if (frame)
		len = cv_frame_write(frame, text);
	if (len < size) {
		memset(text + len, 0, size - len);
		len = size;
	}
	seal_one(path, &to, keypair, counter, (uint32_t)len, 0, mtu);
	cv_seal_burst(path);
	/* A frame is no keepalive: behind a NAT that forgot us the next one tells where we are. */
	if (!frame)
		cv_timers_any_sent(&peer->timers, now);
	keep_fresh(path, peer, keypair, counter, now);
	return true;
}

bool cv_path_keepalive(struct cv_path *path, struct cv_peer *peer, cv_time now)
{
	bool sealed = seal_own(path, peer, cv_rcu_read(&peer->current), NULL, 0, now);

	path->counts.out_keepalives += sealed;
	return sealed;
}

bool cv_path_frame(struct cv_path *path, struct cv_peer *peer, struct cv_keypair *keypair,
		   const struct cv_frame *frame, uint32_t size, cv_time now)
{
	bool sealed = seal_own(path, peer, keypair, frame, size, now);

	path->counts.out_frames += sealed;
	return sealed;
}

size_t cv_path_trains(struct cv_path *path, struct cv_train **ret_trains)
{
	*ret_trains = path->out->trains;
	return path->out->trains_n;
}

void cv_path_sent(struct cv_path *path, size_t n, cv_time now)
{
	/* How long an endpoint gets plain datagrams before UDP_SEGMENT is tried again. A path that
	 * refuses it costs one failed call per minute then. Not tuned. */
	enum { PLAIN_S = 60 };
	struct cv_outbound *out = path->out;

	for (size_t i = 0; i < n; i++) {
		struct cv_peer *peer = out->trains[i].owner;

		if (!peer)
			continue;
		if (out->trains[i].source_refused)
			cv_peer_clear_source(peer);
		if (out->trains[i].gso_refused)
			cv_peer_set_plain(peer, now + PLAIN_S * CV_NS_PER_S);
	}
	out->trains_n -= n;
	if (!out->trains_n) {
		out->used = 0;
		return;
	}
	memmove(out->trains, out->trains + n, out->trains_n * sizeof(out->trains[0]));
	for (size_t i = 0; i < out->trains_n; i++)
		out->trains[i].owner = NULL;
}
