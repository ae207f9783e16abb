/*
 * open: from a batch of data messages to packets that may enter the machine.
 *
 * The order is the protocol's, and each step works on what the one before left over:
 * tag -> replay, in order of arrival -> only now the peer is believed: it has moved (roaming), its
 * session lives (timers, confirmation, rekey) -> keepalives and frames end here -> the inner packet
 * is whole
 * -> its ECN mark -> its source belongs to this peer by the longest match over all peers -> merge.
 *
 * The middle part is done once per run of datagrams of one keypair, not per packet.
 * Source: white paper, section 5.4.6 and 6; kernel receive.c for the order.
 */
#include "internal.h"
#include "stages.h"

/* Rekey when a session that we began would end before KEEPALIVE and REKEY timeouts have passed:
 * 180 - 10 - 5 s. Kernel: keep_key_fresh() of receive.c. */
enum { LASTMINUTE_S = CV_REJECT_AFTER_TIME_S - CV_KEEPALIVE_TIMEOUT_S - CV_REKEY_TIMEOUT_S };

/* What one run brought. */
struct run {
	const struct cv_train *newest; /* train of the last accepted datagram */
	uint64_t bytes;                /* UDP payload of accepted datagrams */
	bool suite;                    /* some under keys of another suite */
	bool data;                     /* not only keepalives and frames */
};

/* Replay check for arrivals [first, end) of one keypair. Clears job->ok of what was refused, so
 * that ok means "authentic and new" from here on. */
static void accept_run(struct cv_path *path, size_t first, size_t end, struct run *ret_run)
{
	struct cv_inbound *in = path->in;
	struct cv_keypair *keypair = in->arrivals[first].keypair;
	uint64_t failed = 0, replayed = 0;

	*ret_run = (struct run){ 0 };
	pthread_spin_lock(&keypair->replay_lock);
	for (size_t i = first; i < end; i++) {
		struct cv_aead_job *job = &in->jobs[i];

		if (!job->ok) {
			failed++;
			continue;
		}
		if (!cv_replay_accept(&keypair->replay, job->counter)) {
			job->ok = false;
			replayed++;
			continue;
		}
		ret_run->newest = in->arrivals[i].train;
		ret_run->bytes +=
			CV_DATA_HEADER_SIZE + job->len + cv_suite_tag_size(job->key->suite);
		ret_run->suite |= job->key != &keypair->receive;
		ret_run->data |= job->len > 0 && !cv_frame_is(job->text, job->len);
	}
	pthread_spin_unlock(&keypair->replay_lock);
	if (failed)
		cv_drops_add(&path->drops, CV_DROP_AUTH_FAILED, failed);
	if (replayed)
		cv_drops_add(&path->drops, CV_DROP_REPLAY, replayed);
}

/* The peer was heard under this keypair. */
static void believe(struct cv_path *path, const struct cv_arrival *arrival, const struct run *run,
		    cv_time now)
{
	struct cv_keypair *keypair = arrival->keypair;
	struct cv_peer *peer = arrival->peer;
	bool plan = false;

	cv_peer_roam(peer, &run->newest->remote, &run->newest->local);
	__atomic_fetch_add(&peer->rx_bytes, run->bytes, __ATOMIC_RELAXED);
	if (!__atomic_load_n(&keypair->confirmed, __ATOMIC_RELAXED) &&
	    !__atomic_exchange_n(&keypair->confirmed, true, __ATOMIC_RELAXED) &&
	    cv_peer_confirm_keypair(peer, keypair))
		cv_path_wish(path, peer, CV_WISH_CONFIRM);

	/* The peer has the keys of the suite: from now on we seal under them as well. */
	if (run->suite && !cv_rcu_read(&keypair->sealing))
		cv_rcu_publish(&keypair->sealing, cv_rcu_read(&keypair->suite));

	if (keypair->initiator && now - keypair->birth >= LASTMINUTE_S * CV_NS_PER_S &&
	    cv_rcu_read(&peer->current) == keypair &&
	    !__atomic_exchange_n(&keypair->asked_lastminute, true, __ATOMIC_RELAXED))
		cv_path_wish(path, peer, CV_WISH_HANDSHAKE);

	cv_timers_any_received(&peer->timers, now);
	if (run->data)
		plan = cv_timers_data_received(&peer->timers, now);
	if (plan)
		cv_path_wish(path, peer, CV_WISH_PLAN);
}

/* The packet inside one authentic, new message: check it and hand it on. `owner` remembers who
 * owns the last source, since runs of a flow share it. */
struct owner {
	struct cv_addr src;
	struct cv_peer *peer;
};

static void set_frame_aside(struct cv_path *path, size_t i)
{
	struct cv_inbound *in = path->in;

	path->counts.in_frames++;
	in->frames[in->frames_n++] = (struct cv_arrived_frame){
		.text = in->batch.pkt[i].data,
		.len = in->batch.pkt[i].len,
		.session = in->arrivals[i].keypair->local_index,
	};
}

/* What comes in says how long the segments may be that go back to the peer. */
static void clamp_mss(const struct cv_path *path, const struct cv_peer *peer, uint8_t *packet,
		      const struct cv_ip *ip)
{
	uint32_t tun_mtu = __atomic_load_n(&path->plane->mtu, __ATOMIC_RELAXED);

	cv_tcp_clamp_mss(packet, ip, cv_peer_mtu(peer, tun_mtu));
}

static void deliver(struct cv_path *path, size_t i, struct owner *owner)
{
	struct cv_inbound *in = path->in;
	struct cv_pkt *pkt = &in->batch.pkt[i];
	struct cv_ip ip;

	if (!pkt->len) {
		path->counts.in_keepalives++;
		return;
	}
	if (cv_frame_is(pkt->data, pkt->len)) {
		set_frame_aside(path, i);
		return;
	}
	if (cv_ip_parse(pkt->data, pkt->len, &ip) < 0) {
		cv_drops_add(&path->drops, CV_DROP_INNER_NOT_IP, 1);
		return;
	}
	pkt->len = ip.len;
	if (!owner->peer || !cv_addr_equal(&owner->src, &ip.src)) {
		owner->src = ip.src;
		owner->peer = cv_routes_lookup(path->plane->routes, &ip.src);
	}
	if (owner->peer != in->arrivals[i].peer) {
		cv_drops_add(&path->drops, CV_DROP_SOURCE_NOT_ALLOWED, 1);
		return;
	}
	if ((pkt->tos & CV_ECN_MASK) == CV_ECN_CE) {
		if (!cv_ecn_decapsulate(pkt->data, pkt->tos)) {
			cv_drops_add(&path->drops, CV_DROP_ECN_INVALID, 1);
			return;
		}
		ip.tos = cv_ip_tos(pkt->data);
	}
	if (cv_tcp_may_be_syn(pkt->data, &ip))
		clamp_mss(path, owner->peer, pkt->data, &ip);
	path->counts.in_pkts++;
	path->counts.in_bytes += pkt->len;
	cv_merge_add(in->merge, pkt, &ip);
}

void cv_open(struct cv_path *path, cv_time now)
{
	struct cv_inbound *in = path->in;
	struct owner owner = { 0 };
	size_t n = in->batch.n;

	in->frames_n = 0;
	path->open_burst(path, in->jobs, n);
	for (size_t first = 0, end; first < n; first = end) {
		struct run run;

		for (end = first + 1; end < n; end++)
			if (in->arrivals[end].keypair != in->arrivals[first].keypair)
				break;
		accept_run(path, first, end, &run);
		if (!run.newest)
			continue;
		believe(path, &in->arrivals[first], &run, now);
		for (size_t i = first; i < end; i++)
			if (in->jobs[i].ok)
				deliver(path, i, &owner);
	}
}
