/*
 * load: the supers of one TUN read, checked, routed and grouped by peer.
 *
 * All segments of a super share a destination, so it is routed once, before it is cut, and dropped
 * here if it cannot go on. Groups keep the order of their supers.
 */
#include <errno.h>

#include "stages.h"

/* ICMP answers a second, and at once. As little as will tell a program what is wrong; not tuned. */
enum {
	ICMP_PER_S = 100,
	ICMP_BURST = 20,
};

/* From the destination itself: a packet from an address of this host would be no answer but a
 * martian, and be dropped. */
static void answer_unreachable(struct cv_path *path, const struct cv_split *split, cv_time now)
{
	struct cv_outbound *out = path->out;
	struct cv_icmp_answer *answer = &out->icmp[out->icmp_n];
	cv_time since = now - out->icmp_refilled;

	if (since >= CV_NS_PER_S / ICMP_PER_S) {
		cv_time gained = since / (CV_NS_PER_S / ICMP_PER_S);

		out->icmp_tokens = gained + out->icmp_tokens > ICMP_BURST
					   ? ICMP_BURST
					   : out->icmp_tokens + (unsigned)gained;
		out->icmp_refilled = now;
	}
	if (out->icmp_n == CV_PATH_ICMP_MAX || !out->icmp_tokens)
		return;
	answer->len = (uint16_t)cv_icmp_unreachable(split->data, split->ip.len, &split->ip.dst,
						    answer->data);
	if (answer->len) {
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

		if (r < 0) {
			cv_drops_add(&path->drops,
				     r == -EPROTO ? CV_DROP_NOT_IP : CV_DROP_VNET_HEADER, 1);
			continue;
		}
		path->counts.out_supers++;
		out->peers[out->n] = cv_routes_lookup(path->plane->routes, &split->ip.dst);
		if (!out->peers[out->n]) {
			cv_drops_add(&path->drops, CV_DROP_NO_PEER, split->segs);
			answer_unreachable(path, split, now);
			continue;
		}
		if (cv_own_came_back(path, split, out->peers[out->n], now)) {
			drop_own(path, out->peers[out->n], split->segs);
			continue;
		}
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
