/*
 * Messages 1 to 3 at the control thread: who speaks, may he, and what is the answer.
 *
 * How it works. Workers pass every handshake message on unread, through bounded rings. Control
 * takes them in turn from all rings. mac1 proves that the sender knows our public key and costs a
 * hash. Who sends more than his share must show with mac2 that he receives at his address (else he
 * gets a cookie); and so must everyone while we are under load, that is while more handshakes come
 * in than a turn does. Then each address has a rate as well. Only then come the costly steps. A
 * failed message changes nothing and is counted.
 *
 * Source: white paper, sections 5.3, 5.4 and 6; kernel receive.c, wg_receive_handshake_packet().
 */
#include <errno.h>
#include <string.h>

#include <convoy/crypto/hash.h>
#include <convoy/crypto/random.h>
#include <convoy/log/log.h>
#include <convoy/loop/loop.h>

#include "internal.h"

enum {
	/* Type of service of messages 1 and 2: AF41 and ECT(0) off, as the kernel (0x88). */
	HANDSHAKE_TOS = 0x88,
	/* How long a moment of load is remembered. Kernel: wg_cookie.c, one second. */
	LOAD_STICKS_S = 1,
};

void cv_device_init_limits(struct cv_device *device)
{
	uint8_t hash_key[CV_SIPHASH_KEY_SIZE];

	cv_random_bytes(hash_key, sizeof(hash_key));
	cv_ratelimit_init(&device->proven, device->proven_slots, CV_DEVICE_LIMIT_SLOTS,
			  CV_DEVICE_PROVEN_PER_S, CV_DEVICE_PROVEN_BURST, hash_key);
	cv_ratelimit_init(&device->unproven, device->unproven_slots, CV_DEVICE_LIMIT_SLOTS,
			  CV_DEVICE_UNPROVEN_PER_S, CV_DEVICE_UNPROVEN_BURST, hash_key);
	cv_random_bytes(device->answered.hash_key, sizeof(device->answered.hash_key));
}

static void drop(struct cv_device *device, enum cv_drop reason)
{
	cv_drops_add(&device->path.drops, reason, 1);
}

/* To where the peer is. Return: 0 or -errno. */
static int send_train(struct cv_device *device, struct cv_peer *peer, struct cv_train *train,
		      cv_time now)
{
	int r;

	if (!cv_peer_endpoint(peer, now, &train->remote, &train->local, &train->plain))
		return -EDESTADDRREQ;
	r = cv_udp_send_one(&device->udp, train);
	if (r < 0) {
		drop(device, CV_DROP_HANDSHAKE_SEND);
		return r;
	}
	__atomic_fetch_add(&peer->tx_bytes, train->len, __ATOMIC_RELAXED);
	if (train->source_refused)
		cv_peer_clear_source(peer);
	return 0;
}

/* Send a handshake message. That may fail: the timers go on regardless. */
static void send_to_peer(struct cv_device *device, struct cv_peer *peer, void *message, size_t len,
			 cv_time now)
{
	struct cv_train train = {
		.data = message,
		.len = (uint32_t)len,
		.seg_size = (uint16_t)len,
		.segs = 1,
		.tos = HANDSHAKE_TOS,
	};

	cv_cookie_stamp(peer->handshake, message, len, now);
	__atomic_store_n(&peer->last_initiation, now, __ATOMIC_RELAXED);
	cv_timers_any_sent(&peer->timers, now);
	peer->last_send_error = send_train(device, peer, &train, now);
}

static cv_time jitter(void)
{
	return cv_random_below(CV_REKEY_TIMEOUT_JITTER_MS + 1) * CV_NS_PER_MS;
}

void cv_device_initiate(struct cv_device *device, struct cv_peer *peer, bool is_retry, cv_time now)
{
	struct cv_message_initiation message;
	struct cv_index_entry *entry;
	uint8_t ephemeral[CV_NOISE_KEY_SIZE];
	int r;

	if (!is_retry)
		cv_timers_restart_attempts(&peer->timers);
	if (!device->up || !peer->handshake->has_static_static)
		return; /* without it no handshake succeeds: we are nobody, or the peer's key is */
	if (cv_peer_initiated_lately(peer, now)) {
		if (is_retry) /* or the chain of retries would end here */
			cv_timers_initiation_sent(&peer->timers, now, jitter());
		return;
	}
	entry = cv_session_enter_index(device, peer);
	if (!entry)
		return;
	cv_random_bytes(ephemeral, sizeof(ephemeral));
	r = cv_noise_create_initiation(peer->handshake, device->self, ephemeral, entry->index,
				       cv_clock_wall(), &message);
	cv_wipe(ephemeral, sizeof(ephemeral));
	if (r < 0) {
		cv_session_leave_index(device, entry);
		return;
	}
	cv_session_leave_index(device, peer->handshake_entry);
	peer->handshake_entry = entry;
	send_to_peer(device, peer, &message, sizeof(message), now);
	cv_timers_initiation_sent(&peer->timers, now, jitter());
	cv_device_plan(device, peer);
	device->counts.initiations_sent++;
}

/* The peer was authentically heard in a handshake message. */
static void heard(struct cv_peer *peer, const struct cv_ring_message *message, cv_time now)
{
	cv_peer_roam(peer, &message->remote, &message->local);
	cv_timers_any_received(&peer->timers, now);
	__atomic_fetch_add(&peer->rx_bytes, message->len, __ATOMIC_RELAXED);
}

static void log_session(const struct cv_peer *peer, const char *role)
{
	struct cv_key key;
	char text[CV_KEY_BASE64_LEN + 1];

	memcpy(key.b, peer->public_key, sizeof(key.b));
	/* A peer may begin a new one CV_INITIATIONS_PER_SECOND. */
	CV_LOG_LIMITED(CV_LOG_DEBUG, "peer %.8s...: new session, we are the %s",
		       cv_key_to_base64(&key, text), role);
}

static void respond(struct cv_device *device, struct cv_peer *peer, cv_time now)
{
	struct cv_message_response response;
	struct cv_index_entry *entry = cv_session_enter_index(device, peer);
	uint8_t ephemeral[CV_NOISE_KEY_SIZE];
	int r;

	if (!entry)
		return;
	cv_random_bytes(ephemeral, sizeof(ephemeral));
	r = cv_noise_create_response(peer->handshake, ephemeral, entry->index, &response);
	cv_wipe(ephemeral, sizeof(ephemeral));
	if (r < 0) {
		cv_session_leave_index(device, entry);
		drop(device, CV_DROP_HANDSHAKE_INVALID);
		return;
	}
	/* The peer may use the new keypair as soon as it has the response: publish first. */
	if (cv_session_begin(device, peer, entry, now) < 0)
		return;
	send_to_peer(device, peer, &response, sizeof(response), now);
	device->counts.responses_sent++;
	log_session(peer, "responder");
}

static void receive_initiation(struct cv_device *device, const struct cv_ring_message *message,
			       cv_time now)
{
	const struct cv_message_initiation *initiation = (const void *)message->data;
	struct cv_noise_peek peek;
	struct cv_peer *peer;
	int r = cv_noise_peek_initiation(device->self, initiation, &peek);

	if (r < 0) {
		drop(device, CV_DROP_HANDSHAKE_INVALID);
		return;
	}
	peer = cv_peers_find(device->peers, peek.remote_static);
	if (peer)
		r = cv_noise_consume_initiation(peer->handshake, initiation, &peek, now);
	cv_wipe(&peek, sizeof(peek));
	if (!peer) {
		drop(device, CV_DROP_HANDSHAKE_PEER);
		return;
	}
	if (r < 0) {
		drop(device, r == -EALREADY ? CV_DROP_HANDSHAKE_REPLAY
			     : r == -EBUSY  ? CV_DROP_HANDSHAKE_FLOOD
					    : CV_DROP_HANDSHAKE_INVALID);
		return;
	}
	/* Our own initiation, if one was under way, was overwritten: its index means nothing now.
	 */
	cv_session_leave_index(device, peer->handshake_entry);
	peer->handshake_entry = NULL;
	heard(peer, message, now);
	respond(device, peer, now);
	cv_device_plan(device, peer);
}

static void receive_response(struct cv_device *device, const struct cv_ring_message *message,
			     cv_time now)
{
	const struct cv_message_response *response = (const void *)message->data;
	struct cv_index_entry *entry =
		cv_index_lookup(device->plane.index, cv_le32_get(response->receiver_index));
	struct cv_peer *peer = entry ? entry->peer : NULL;
	int r;

	if (!peer || entry != peer->handshake_entry) {
		drop(device, CV_DROP_HANDSHAKE_INDEX);
		return;
	}
	r = cv_noise_consume_response(peer->handshake, device->self, response);
	if (r < 0) {
		drop(device, r == -EPROTO ? CV_DROP_HANDSHAKE_INDEX : CV_DROP_HANDSHAKE_INVALID);
		return;
	}
	peer->handshake_entry = NULL;
	heard(peer, message, now);
	if (cv_session_begin(device, peer, entry, now) == 0) {
		cv_device_handshake_complete(device, peer);
		/* The responder cannot talk before it has heard us under the new keys. */
		cv_device_send_keepalive(device, peer, now);
		cv_device_say_hello(device, peer, now);
		log_session(peer, "initiator");
	}
	cv_device_plan(device, peer);
}

static void receive_cookie(struct cv_device *device, const struct cv_ring_message *message,
			   cv_time now)
{
	const struct cv_message_cookie *cookie = (const void *)message->data;
	struct cv_index_entry *entry =
		cv_index_lookup(device->plane.index, cv_le32_get(cookie->receiver_index));
	int r = entry ? cv_cookie_consume_reply(entry->peer->handshake, cookie, now) : -EPROTO;

	if (r < 0)
		drop(device, r == -EPROTO ? CV_DROP_HANDSHAKE_INDEX : CV_DROP_HANDSHAKE_INVALID);
}

static const uint8_t *next_nonce(struct cv_device *device)
{
	if (!device->nonces_left) {
		cv_random_bytes(device->nonces, sizeof(device->nonces));
		device->nonces_left = CV_DEVICE_NONCES;
	}
	return device->nonces[--device->nonces_left];
}

static void send_cookie(struct cv_device *device, const struct cv_ring_message *message)
{
	struct cv_message_cookie reply;
	struct cv_train train = {
		.data = (uint8_t *)&reply,
		.len = sizeof(reply),
		.seg_size = sizeof(reply),
		.segs = 1,
		.remote = message->remote,
		.local = message->local,
	};

	cv_cookie_create_reply(device->cookies, device->self, message->data, message->len,
			       &message->remote, next_nonce(device), &reply);
	if (cv_udp_send_one(&device->udp, &train) < 0)
		drop(device, CV_DROP_HANDSHAKE_SEND);
	else
		device->counts.cookies_sent++;
}

static void refresh_cookie_secret(struct cv_device *device, cv_time now)
{
	uint8_t random[32];

	if (!cv_cookie_secret_is_stale(device->cookies, now))
		return;
	cv_random_bytes(random, sizeof(random));
	cv_cookie_set_secret(device->cookies, random, now);
	cv_wipe(random, sizeof(random));
}

/* Whether the sender of a message 1 or 2 shows with mac2 that he receives at his address. */
static bool is_proven(const struct cv_device *device, const struct cv_ring_message *message)
{
	return cv_cookie_has_mac2(message->data, message->len) &&
	       cv_cookie_mac2_ok(device->cookies, message->data, message->len, &message->remote);
}

/* Whether a message 1 or 2 may cost us a handshake's work; answers it with a cookie if not yet. */
static bool admit(struct cv_device *device, const struct cv_ring_message *message, bool loaded,
		  cv_time now)
{
	const struct cv_addr *source = &message->remote.addr;

	if (!cv_cookie_mac1_ok(device->self, message->data, message->len)) {
		drop(device, CV_DROP_HANDSHAKE_MAC);
		return false;
	}
	refresh_cookie_secret(device, now);
	if (is_proven(device, message)) {
		if (!loaded || cv_ratelimit_allow(&device->proven, source, now))
			return true;
		drop(device, CV_DROP_HANDSHAKE_RATE);
		return false;
	}
	if (!loaded && cv_ratelimit_allow(&device->unproven, source, now))
		return true;
	drop(device, CV_DROP_HANDSHAKE_COOKIE);
	send_cookie(device, message);
	cv_lately_add(&device->answered, &message->remote, now);
	return false;
}

/* Return: whether it cost us a handshake's work. */
static bool receive(struct cv_device *device, const struct cv_ring_message *message, bool loaded,
		    cv_time now)
{
	int type;

	if (message->is_frame) {
		cv_device_receive_frame(device, message, now);
		return false;
	}
	type = cv_message_type(message->data, message->len);
	if (type == CV_MESSAGE_COOKIE)
		receive_cookie(device, message, now);
	else if (!admit(device, message, loaded, now))
		return false;
	else if (type == CV_MESSAGE_INITIATION)
		receive_initiation(device, message, now);
	else
		receive_response(device, message, now);
	return true;
}

static void begin_load(struct cv_device *device, cv_time now)
{
	device->loaded_until = now + LOAD_STICKS_S * CV_NS_PER_S;
	device->crowd = 0;
}

/* Remember it when a turn leaves many behind: more handshakes come in than we can do. */
static void note_load(struct cv_device *device, cv_time now)
{
	uint32_t waiting = 0;

	for (size_t i = 0; i < device->n_workers; i++)
		waiting += cv_ring_count(&device->workers[i].ring);
	if (waiting >= CV_DEVICE_LOAD_MESSAGES)
		begin_load(device, now);
}

void cv_device_receive_handshakes(struct cv_device *device, cv_time now)
{
	unsigned handshakes = CV_DEVICE_HANDSHAKES_TURN, messages = CV_DEVICE_MESSAGES_TURN;
	const bool loaded = now < device->loaded_until;
	bool any = true;

	while (any && handshakes && messages) {
		any = false;
		for (size_t i = 0; i < device->n_workers && handshakes && messages; i++) {
			struct cv_ring *ring = &device->workers[i].ring;
			const struct cv_ring_message *message = cv_ring_first(ring);

			if (!message)
				continue;
			if (device->up)
				handshakes -= receive(device, message, loaded, now);
			device->crowd++;
			cv_ring_pop(ring);
			any = true;
			messages--;
		}
	}
	device->messages_left = any;
	if (!handshakes)
		note_load(device, now);
	else if (loaded && device->crowd >= CV_DEVICE_LOAD_STAYS)
		begin_load(device, now);
}
