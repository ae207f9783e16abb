/*
 * Probes at the control thread: what the path to another Convoy is like while data flows.
 *
 * How it works. Messages of a session are numbered, so each end knows what it lost of them, and
 * only has to tell the other. That is what a probe does once a second, and its echo: both carry
 * what their sender received, and its clock. Workers arm the timer with the data that they send or
 * receive, so nothing is said while nothing flows.
 *
 * Source: conf/convoy-wire.md, "Path".
 */
#include <errno.h>
#include <stdlib.h>

#include <convoy/peer/rcu.h>

#include "internal.h"

bool cv_device_mind_probes(struct cv_peer *peer)
{
	const struct cv_extension *extension = &peer->extension;
	bool answers = !extension->off && extension->state == CV_EXTENSION_CONVOY;
	bool answered = peer->timers.probes;

	if (answers && !peer->probing)
		peer->probing = calloc(1, sizeof(*peer->probing));
	if (extension->off || extension->state == CV_EXTENSION_FOREIGN) {
		free(peer->probing);
		peer->probing = NULL;
		cv_peer_set_mtu(peer, 0);
	}
	cv_timers_set_probes(&peer->timers, answers && peer->probing);
	return !answered && peer->timers.probes;
}

static uint32_t clock_us(cv_time now)
{
	return (uint32_t)(now / (CV_NS_PER_S / 1000000));
}

static struct cv_received received(const struct cv_peer *peer, struct cv_keypair *keypair)
{
	struct cv_messages came = cv_keypair_received(keypair);

	return (struct cv_received){ came.accepted, came.expected,
				     cv_quality_jitter_us(&peer->probing->quality) };
}

/* What a probe or an echo of the peer's tells of the path, beside its own time. */
static void learn(const struct cv_index_entry *entry, const struct cv_frame *frame, cv_time when)
{
	struct cv_quality *quality = &entry->peer->probing->quality;
	struct cv_keypair *keypair = entry->keypair;
	uint64_t sent = __atomic_load_n(&keypair->send_counter, __ATOMIC_RELAXED);
	struct cv_tally sums;

	cv_quality_heard(quality, frame->mark.clock_us, when);
	cv_quality_told(quality, &frame->received, sent, &keypair->told);
	sums = cv_peer_tally(entry->peer, when);
	cv_quality_count(quality, &sums);
}

static void await_echo(struct cv_device *device, struct cv_peer *peer)
{
	cv_time due = cv_probing_due(peer->probing),
		search = cv_pmtu_deadline(&peer->probing->pmtu);

	cv_timers_expect_echo(&peer->timers, search < due ? search : due);
	cv_device_plan(device, peer);
}

/* Seal a probe; what is above the size that every path carries arrives whole or not at all. Return:
 * 0 or -errno. */
static int send_probe(struct cv_device *device, struct cv_peer *peer, struct cv_keypair *keypair,
		      const struct cv_frame *probe, uint32_t size, cv_time now)
{
	struct cv_train *train;
	int r;

	if (size <= CV_PMTU_BASE)
		return cv_device_say(device, peer, keypair, probe, size, now) ? 0 : -ENOTCONN;
	if (!cv_path_frame(&device->path, peer, keypair, probe, size, now))
		return -ENOTCONN;
	cv_path_trains(&device->path, &train);
	r = cv_udp_send_whole(&device->udp, train);
	if (r < 0 && r != -EMSGSIZE) /* which is no loss but an answer */
		cv_drops_add(&device->path.drops,
			     r == -ENOBUFS || r == -EAGAIN ? CV_DROP_SEND_NOBUFS
							   : CV_DROP_SEND_REFUSED,
			     1);
	cv_path_sent(&device->path, 1, now);
	return r;
}

int cv_device_send_probe(struct cv_device *device, struct cv_peer *peer, uint32_t size, cv_time now)
{
	struct cv_keypair *keypair = cv_rcu_read(&peer->current);
	struct cv_probing *probing = peer->probing;
	struct cv_frame probe = {
		.kind = CV_FRAME_PROBE,
		.mark = { probing->next, clock_us(now) },
	};
	int r;

	if (!keypair)
		return -ENOTCONN;
	if (size < CV_PROBE_SIZE_MIN)
		size = CV_PROBE_SIZE_MIN;
	probe.received = received(peer, keypair);
	r = send_probe(device, peer, keypair, &probe, size, now);
	if (r == 0)
		cv_probing_sent(probing, (uint16_t)size, now);
	return r;
}

void cv_device_probe(struct cv_device *device, struct cv_peer *peer, cv_time now)
{
	if (!peer->probing)
		return;
	cv_device_confirm_mtu(device, peer, now);
	await_echo(device, peer);
}

int cv_device_receive_probe(struct cv_device *device, const struct cv_index_entry *entry,
			    const struct cv_frame *probe, uint32_t size, cv_time when, cv_time now)
{
	struct cv_probing *probing = entry->peer->probing;
	struct cv_frame echo = {
		.kind = CV_FRAME_ECHO,
		.mark = { probe->mark.number, clock_us(now) },
		.probed = (uint16_t)size,
	};

	/* An echo has never more bytes than what it answers. */
	if (size < CV_PROBE_SIZE_MIN || !probing || !cv_probing_may_echo(probing, now))
		return -ENOTSUP;
	learn(entry, probe, when);
	echo.received = received(entry->peer, entry->keypair);
	cv_device_say(device, entry->peer, entry->keypair, &echo, 0, now);
	return 0;
}

void cv_device_receive_echo(struct cv_device *device, const struct cv_index_entry *entry,
			    const struct cv_frame *echo, cv_time when)
{
	struct cv_peer *peer = entry->peer;
	struct cv_probe probe;

	if (!peer->probing ||
	    !cv_probing_echoed(peer->probing, echo->mark.number, echo->probed, when, &probe))
		return;
	learn(entry, echo, when);
	cv_pmtu_echoed(&peer->probing->pmtu, echo->probed);
	cv_device_search(device, peer, when);
	await_echo(device, peer);
}

void cv_device_give_up_probes(struct cv_device *device, struct cv_peer *peer, cv_time now)
{
	struct cv_probe probe;

	if (!peer->probing)
		return;
	while (cv_probing_give_up(peer->probing, now, &probe))
		;
	cv_device_search(device, peer, now);
	await_echo(device, peer);
}
