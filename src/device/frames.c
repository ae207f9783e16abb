/*
 * Frames at the control thread: who is a Convoy, and what follows from it.
 *
 * How it works. When a session that we began is there we say hello inside of it, once; a Convoy
 * answers, everybody else drops what is no IP packet. Workers set frames aside, authentic and new,
 * and pass them on through the rings of handshake messages. peer/extension.h decides, this file
 * acts.
 *
 * A suite is taken up in three steps, so that nobody seals what the other cannot open: the answer
 * comes from who can open already, the first message under the suite from who has the answer. Until
 * then, and in what is late, WireGuard's own suite goes on; both open.
 *
 * A frame is never data: no timer expects an answer to it, so a peer that does not
 * understand it costs one message a session.
 *
 * Source: conf/convoy-wire.md.
 */
#include <errno.h>

#include <convoy/crypto/secret.h>
#include <convoy/log/log.h>
#include <convoy/noise/suite.h>
#include <convoy/peer/rcu.h>

#include "internal.h"

bool cv_device_say(struct cv_device *device, struct cv_peer *peer, struct cv_keypair *keypair,
		   const struct cv_frame *frame, uint32_t size, cv_time now)
{
	if (!cv_path_frame(&device->path, peer, keypair, frame, size, now))
		return false;
	cv_device_flush(device, now);
	return true;
}

void cv_device_say_hello(struct cv_device *device, struct cv_peer *peer, cv_time now)
{
	const struct cv_frame hello = { .kind = CV_FRAME_HELLO, .offer = device->offer };
	struct cv_endpoint where;
	struct cv_source source;
	bool plain;

	if (!cv_peer_endpoint(peer, now, &where, &source, &plain))
		return;
	if (cv_extension_greets(&peer->extension, &where))
		cv_device_say(device, peer, cv_rcu_read(&peer->current), &hello, 0, now);
	cv_device_mind_probes(peer);
}

void cv_device_say_goodbye(struct cv_device *device, cv_time now)
{
	const struct cv_frame goodbye = { .kind = CV_FRAME_GOODBYE };
	struct cv_peer *peer = NULL;

	while ((peer = cv_peers_next(device->peers, peer)))
		if (peer->extension.state == CV_EXTENSION_CONVOY && !peer->extension.off)
			cv_device_say(device, peer, cv_rcu_read(&peer->current), &goodbye, 0, now);
}

/* The session means nothing to the peer any more: what is sent from now on asks for a new one. An
 * older session that ends late, or one that is being replaced already by either end, changes
 * nothing: the peer may have been started anew. */
static void end_session(struct cv_device *device, struct cv_peer *peer,
			const struct cv_keypair *keypair, cv_time now)
{
	uint32_t persistent_s = peer->timers.persistent_s;

	if (!cv_peer_keypair_is_last(peer, keypair) || cv_timers_is_trying(&peer->timers))
		return;
	cv_log_debug("%s: a peer stopped, its session ends", device->iface.name);
	cv_session_clear(device, peer);
	/* The next one need not wait for REKEY_TIMEOUT. */
	__atomic_store_n(&peer->last_initiation, 0, __ATOMIC_RELAXED);
	cv_timers_stop(&peer->timers);
	cv_timers_set_persistent(&peer->timers, persistent_s, now);
	cv_device_plan(device, peer);
}

/* Keys of a suite for this session, which open from now on. Return: 0 or -errno. */
static int take_up_suite(struct cv_device *device, struct cv_keypair *keypair, enum cv_suite suite)
{
	struct cv_suite_keys *keys = cv_vault_take(&device->suites);
	int r = keys ? cv_suite_derive(keypair, &device->path.aead, suite, keys) : -ENOMEM;

	if (r < 0) {
		cv_vault_return(keys);
		return r;
	}
	cv_wipe(keypair->exporter, sizeof(keypair->exporter));
	cv_keypair_bound(keypair, cv_suite_messages_max(suite, device->iface.mtu));
	cv_rcu_publish(&keypair->suite, keys);
	return 0;
}

/* Choose, be ready to open, and only then tell. What the peer then seals under the suite tells the
 * worker that gets it that we may as well. A second hello of a session gets the first one's answer.
 */
static void answer(struct cv_device *device, struct cv_peer *peer, struct cv_keypair *keypair,
		   const struct cv_suite_offer *offer, cv_time now)
{
	struct cv_frame frame = { .kind = CV_FRAME_ANSWER };
	enum cv_suite suite = cv_suite_choose(&device->offer, offer);

	if (!keypair->suite && suite != CV_SUITE_CHACHA20_POLY1305)
		take_up_suite(device, keypair, suite);
	if (keypair->suite)
		frame.suite = keypair->suite->send.key.suite;
	cv_device_say(device, peer, keypair, &frame, 0, now);
}

/* The peer is ready to open: seal under the suite, and at once, for it waits for that. */
static int begin_suite(struct cv_device *device, struct cv_peer *peer, struct cv_keypair *keypair,
		       enum cv_suite suite, cv_time now)
{
	int r;

	if (suite == CV_SUITE_CHACHA20_POLY1305 || keypair->suite)
		return 0;
	if (!device->offer.cost_ns[suite])
		return -EBADMSG;
	r = take_up_suite(device, keypair, suite);
	if (r < 0)
		return r;
	cv_rcu_publish(&keypair->sealing, keypair->suite);
	cv_device_send_keepalive(device, peer, now);
	return 0;
}

static int heed(struct cv_device *device, const struct cv_index_entry *entry,
		const struct cv_frame *frame, const struct cv_ring_message *message, cv_time now)
{
	struct cv_peer *peer = entry->peer;

	switch (frame->kind) {
	case CV_FRAME_HELLO:
		answer(device, peer, entry->keypair, &frame->offer, now);
		return 0;
	case CV_FRAME_ANSWER:
		return begin_suite(device, peer, entry->keypair, frame->suite, now);
	case CV_FRAME_GOODBYE:
		end_session(device, peer, entry->keypair, now);
		return 0;
	case CV_FRAME_GRANT:
		return cv_device_heed_grant(device, peer, &frame->grant, now);
	case CV_FRAME_PROBE:
		return cv_device_receive_probe(device, entry, frame, message->size, message->when,
					       now);
	case CV_FRAME_ECHO:
		cv_device_receive_echo(device, entry, frame, message->when);
		return 0;
		break;
	case CV_FRAME_REQUEST:
		return cv_device_hear_request(device, peer, now);
	}
	return -ENOTSUP;
}

/* From a peer that is no other's. Return: 0 or -errno. */
static int receive(struct cv_device *device, const struct cv_index_entry *entry,
		   const struct cv_frame *frame, const struct cv_ring_message *message, cv_time now)
{
	struct cv_peer *peer = entry->peer; /* entry may end here */
	bool probes;
	int r;

	if (!cv_extension_heard(&peer->extension))
		return -ENOTSUP;
	probes = cv_device_mind_probes(peer);
	r = heed(device, entry, frame, message, now);
	if (probes && frame->kind != CV_FRAME_GOODBYE)
		cv_device_probe(device, peer, now);
	return r;
}

void cv_device_receive_frame(struct cv_device *device, const struct cv_ring_message *message,
			     cv_time now)
{
	const struct cv_index_entry *entry = cv_index_lookup(device->plane.index, message->session);
	struct cv_frame frame;
	int r = cv_frame_parse(message->data, message->len, &frame);

	if (!entry || !entry->keypair) { /* the session ended while the frame was in the ring */
		cv_drops_add(&device->path.drops, CV_DROP_UNKNOWN_INDEX, 1);
		return;
	}
	if (r == 0)
		r = receive(device, entry, &frame, message, now);
	if (r < 0)
		cv_drops_add(&device->path.drops,
			     r == -ENOTSUP ? CV_DROP_FRAME_UNWANTED
			     : r == -EBUSY ? CV_DROP_FRAME_RATE
					   : CV_DROP_FRAME_INVALID,
			     1);
}
