/*
 * load: the supers of one TUN read, checked, routed and grouped by peer.
 *
 * All segments of a super share a destination, so it is routed once, before it is cut, and dropped
 * here if it cannot go on. Groups keep the order of their supers.
 */
#include <errno.h>
#include <sys/socket.h>

#include "stages.h"

/* ICMP answers a second, and at once. As little as will tell a program what is wrong; not tuned. */
enum {
	ICMP_PER_S = 100,
	ICMP_BURST = 20,
};

static bool may_answer(struct cv_outbound *out, cv_time now)
{
	cv_time since = now - out->icmp_refilled;

	if (since >= CV_NS_PER_S / ICMP_PER_S) {
		cv_time gained = since / (CV_NS_PER_S / ICMP_PER_S);

		out->icmp_tokens = gained + out->icmp_tokens > ICMP_BURST
					   ? ICMP_BURST
					   : out->icmp_tokens + (unsigned)gained;
		out->icmp_refilled = now;
	}
	return out->icmp_n < CV_PATH_ICMP_MAX && out->icmp_tokens;
}

/* That it is too big for the mtu, or unreachable where that is 0. From the destination itself: a
 * packet from an address of this host would be no answer but a martian, and be dropped. */
static void answer(struct cv_path *path, const struct cv_split *split, uint32_t mtu, cv_time now)
{
	struct cv_outbound *out = path->out;
	struct cv_icmp_answer *answer = &out->icmp[out->icmp_n];
	const struct cv_addr *from = &split->ip.dst;
	size_t len;

	if (!may_answer(out, now))
		return;
	len = mtu ? cv_icmp_too_big(split->data, split->ip.len, from, mtu, answer->data)
		  : cv_icmp_unreachable(split->data, split->ip.len, from, answer->data);
	answer->len = (uint16_t)len;
	if (len) {
		out->icmp_n++;
		out->icmp_tokens--;
		path->counts.icmp_sent++;
	}
}

/* Stable grouping: peers in order of first appearance, each one's supers in their order. */
static void group_by_peer(struct cv_outbound *out)
{
	bool placed[CV_PATH_SUPERS_MAX] = { false };
	size_t m = 0;

	for (size_t i = 0; i < out->n; i++) {
		if (placed[i])
			continue;
		for (size_t j = i; j < out->n; j++) {
			if (out->peers[j] != out->peers[i])
				continue;
			placed[j] = true;
			out->order[m++] = (uint8_t)j;
		}
	}
}

static bool may_be_fragmented(const struct cv_split *split)
{
	const struct cv_ip4 *ip = (const struct cv_ip4 *)split->data;

	return split->ip.family == AF_INET && !(cv_be16_get(ip->frag) & CV_IP4_DF);
}

/*
 * Something is longer than the path carries. TCP is cut, and nobody need be told. What may be
 * fragmented on its way, IPv6 packets that every link carries, and TCP with a wrong checksum, which
 * the other end is to see as it is, go on: the datagram around them may be fragmented.
 *
 * Return: false when it was dropped.
 */
static bool make_fit(struct cv_path *path, struct cv_split *split, uint32_t mtu, cv_time now)
{
	bool v6 = split->ip.family == AF_INET6;

	if (may_be_fragmented(split) || cv_split_shrink(split, mtu) != -EMSGSIZE)
		return true;
	if (v6 && mtu < CV_IP6_MTU_MIN)
		mtu = CV_IP6_MTU_MIN;
	if (cv_split_longest(split) <= mtu)
		return true;
	cv_drops_add(&path->drops, CV_DROP_TOO_BIG, split->segs);
	answer(path, split, mtu, now);
	return false;
}

/* Said once, counted each time. */
static void drop_own(struct cv_path *path, struct cv_peer *peer, uint32_t segs)
{
	cv_drops_add(&path->drops, CV_DROP_LOOP, segs);
	if (!__atomic_exchange_n(&peer->loops, true, __ATOMIC_RELAXED))
		cv_path_wish(path, peer, CV_WISH_TELL_LOOP);
}

void cv_path_load(struct cv_path *path, const struct cv_super *supers, size_t n, cv_time now)
{
	struct cv_outbound *out = path->out;

	out->n = out->next = 0;
	for (size_t i = 0; i < n; i++) {
		struct cv_split *split = &out->splits[out->n];
		int r = cv_split_begin(split, &supers[i]);
		uint32_t mtu;

		if (r < 0) {
			cv_drops_add(&path->drops,
				     r == -EPROTO ? CV_DROP_NOT_IP : CV_DROP_VNET_HEADER, 1);
			continue;
		}
		path->counts.out_supers++;
		out->peers[out->n] = cv_routes_lookup(path->plane->routes, &split->ip.dst);
		if (!out->peers[out->n]) {
			cv_drops_add(&path->drops, CV_DROP_NO_PEER, split->segs);
			answer(path, split, 0, now);
			continue;
		}
		if (cv_own_came_back(path, split, out->peers[out->n], now)) {
			drop_own(path, out->peers[out->n], split->segs);
			continue;
		}
		/* Not the TUN's: the kernel knows that one, and a change of it before we do. */
		mtu = cv_peer_mtu(out->peers[out->n], 0);
		if (mtu && cv_split_longest(split) > mtu && !make_fit(path, split, mtu, now))
			continue;
		out->n++;
	}
	group_by_peer(out);
}

size_t cv_path_icmp(struct cv_path *path, const struct cv_icmp_answer **ret_answers)
{
	size_t n = path->out->icmp_n;

	*ret_answers = path->out->icmp;
	path->out->icmp_n = 0;
	return n;
}
