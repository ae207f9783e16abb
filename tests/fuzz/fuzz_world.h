/*
 * A live device without descriptors but one, threads and clocks, and who speaks to it.
 *
 * The device is the daemon's own: control's half of it as it stands in src/device, and the path of
 * a worker. What a worker's thread does between the two is done here. What the device sends lands
 * in world.sent; randomness comes out of the input's hash, time is what the input says.
 */
#pragma once

#include <errno.h>
#include <netinet/in.h>

#include <sodium.h>

#include <convoy/crypto/init.h>
#include <convoy/device/handover.h>
#include <convoy/log/log.h>

#include "device/internal.h"
#include "fuzz.h"
#include "io/internal.h"

enum {
	WIRE_MAX = 2048,  /* bytes of a datagram */
	SENT_MAX = 2048,  /* datagrams of an input */
	SESSIONS_MAX = 8, /* that the far side keeps */
	TUN_MTU = 1420,
	WALL_S = 1700000000,
	OTHER_PORT = 3, /* of another peer: what goes there is not the far side's */
};

struct datagram {
	uint32_t len;
	struct cv_endpoint to;
	uint8_t bytes[WIRE_MAX];
};

/* What is beyond WireGuard in a session of the far side's. */
struct far_suite {
	struct cv_suite_keys keys;
	bool derived;
	enum cv_suite agreed; /* the device opens what is under it */
	bool switched;        /* and seals with it */
	bool greeted, asked;  /* hellos: one of the device's came, the device took one */
};

/* The far side of one tunnel: an honest one, made of the same handshake as we. */
struct far {
	struct cv_identity self;
	struct cv_handshake handshake;
	struct cv_endpoint at;
	uint32_t indices;
	bool asked;   /* an initiation of the device's was taken and is not answered yet */
	bool garbled; /* somebody may have changed an index of ours on the way: no key covers it */
	struct cv_keypair sessions[SESSIONS_MAX];
	struct far_suite suites[SESSIONS_MAX]; /* of these */
	size_t n_sessions;                     /* ever; the last SESSIONS_MAX of them are kept */
	uint64_t next_counter[SESSIONS_MAX];   /* of what the device sends under it */
	size_t answers;                        /* to hellos */
	struct cv_frame echo;                  /* that is to come */
	size_t requests, grants;               /* heeded, and heard */
	struct {
		uint32_t number;
		uint16_t size;
	} probes[CV_PROBES_OUT]; /* of the device's, by number */
};

static struct {
	struct cv_device device;
	struct cv_worker worker;
	struct cv_peer *peer, *bystander;
	cv_time now;
	int64_t wall_ns;
	int send_error; /* of every send, 0: none */
	bool stops;     /* the device says goodbye */
	bool gives;     /* it has something to hand over: world_gift */
	struct datagram sent[SENT_MAX];
	size_t n_sent;
	uint64_t sent_bytes;
} world;

/* The longest of its kind. */
static const struct cv_grant world_gift = {
	.address4 = { { AF_INET, { 10, 1, 0, 7 } }, 16 },
	.address6 = { { AF_INET6, { 0xfd, 1, [15] = 7 } }, 64 },
	.mtu = 1380,
	.dns_n = CV_GRANT_DNS_MAX,
	.routes_n = CV_GRANT_ROUTES_MAX,
	.dns = { { AF_INET6, { 0xfd, 2 } },
		 { AF_INET6, { 0xfd, 3 } },
		 { AF_INET, { 9, 9, 9, 9 } } },
	.routes = { { { AF_INET6, { 0 } }, 0 },
		    { { AF_INET6, { 0xfd } }, 8 },
		    { { AF_INET6, { 0xfe } }, 8 },
		    { { AF_INET6, { 0xfa } }, 8 },
		    { { AF_INET6, { 0xfb } }, 8 },
		    { { AF_INET, { 0 } }, 0 },
		    { { AF_INET, { 10 } }, 8 },
		    { { AF_INET, { 11 } }, 8 } },
};

/* What is random here depends on the input and on nothing else. */
static uint64_t random_state;

static uint32_t random_number(void)
{
	uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	return (uint32_t)((z ^ z >> 27) >> 32);
}

static void random_fill(void *const bytes, const size_t n)
{
	for (size_t i = 0; i < n; i++)
		((uint8_t *)bytes)[i] = (uint8_t)random_number();
}

static const char *random_name(void)
{
	return "of the input";
}

/* The clock. */
cv_time cv_clock_boot(cv_time time);

cv_time cv_clock_now(void)
{
	return world.now;
}

int64_t cv_clock_wall(void)
{
	return world.wall_ns;
}

cv_time cv_clock_boot(cv_time time)
{
	return time;
}

static struct cv_endpoint endpoint_of(const struct sockaddr_in *name)
{
	struct cv_endpoint endpoint = { .addr.family = AF_INET, .port = ntohs(name->sin_port) };

	memcpy(endpoint.addr.b, &name->sin_addr, 4);
	return endpoint;
}

/* In the place of sendmmsg(2). */
static int world_send(int fd, struct mmsghdr *msgs, unsigned n, int flags)
{
	if (world.send_error) {
		errno = world.send_error;
		return -1;
	}
	for (unsigned i = 0; i < n; i++) {
		const struct iovec *iov = msgs[i].msg_hdr.msg_iov;
		struct datagram *datagram = &world.sent[world.n_sent];

		must(world.n_sent < SENT_MAX && iov->iov_len <= WIRE_MAX);
		datagram->len = (uint32_t)iov->iov_len;
		datagram->to = endpoint_of(msgs[i].msg_hdr.msg_name);
		memcpy(datagram->bytes, iov->iov_base, iov->iov_len);
		world.sent_bytes += datagram->len;
		world.n_sent++;
		msgs[i].msg_len = datagram->len;
	}
	return (int)n;
}

/* Once for all inputs. */
static inline void world_open(const uint8_t private_key[32])
{
	static struct randombytes_implementation source = {
		.implementation_name = random_name,
		.random = random_number,
		.buf = random_fill,
	};
	struct cv_device *device = &world.device;
	const uint8_t hash_key[16] = { 1 };

	must(randombytes_set_implementation(&source) == 0 && cv_crypto_init() == 0);
	cv_log_set_level(CV_LOG_SILENT);
	cv_vault_init(&device->secrets, sizeof(struct cv_identity));
	cv_vault_init(&device->keypairs, sizeof(struct cv_keypair));
	cv_vault_init(&device->suites, sizeof(struct cv_suite_keys));
	device->self = cv_vault_take(&device->secrets);
	device->cookies = cv_vault_take(&device->secrets);
	must(device->self && device->cookies);
	cv_identity_init(device->self, private_key);
	device->peers = cv_peers_new(hash_key);
	device->plane.routes = cv_routes_new(&device->graveyard);
	device->plane.pool = cv_stage_pool_new();
	device->plane.mtu = TUN_MTU;
	cv_wishes_init(&device->plane.wishes);
	must(device->peers && device->plane.routes && device->plane.pool);
	must(cv_path_init(&device->path, &device->plane, NULL) == 0);
	must(cv_path_init(&world.worker.path, &device->plane, NULL) == 0);
	/* A socket for its options only: a probe sets some. */
	device->udp = (struct cv_udp){ .fd4 = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0),
				       .fd6 = -1,
				       .sendmmsg = world_send };
	must(device->udp.fd4 >= 0);
	device->udp.scratch = calloc(1, sizeof(*device->udp.scratch));
	world.worker.ring.slots = calloc(CV_RING_SLOTS, sizeof(*world.worker.ring.slots));
	must(device->udp.scratch && world.worker.ring.slots);
	device->workers = &world.worker;
	device->n_workers = 1;
	device->up = true;
}

static inline struct cv_peer *world_add_peer(const uint8_t public_key[32], uint8_t net,
					     const struct cv_endpoint *at)
{
	const struct cv_prefix prefix = { { AF_INET, { 10, net } }, 16 };
	struct cv_key key;
	struct cv_peer *peer;

	memcpy(key.b, public_key, sizeof(key.b));
	must(cv_device_add_peer(&world.device, &key, &peer) == 0);
	must(cv_routes_insert(world.device.plane.routes, &prefix, peer) == 0);
	cv_peer_set_endpoint(peer, at);
	return peer;
}

/* As it was before the first input, without peers. */
static inline void world_reset(uint64_t seed)
{
	struct cv_device *device = &world.device;
	struct cv_peer *peer;
	uint32_t bits;

	random_state = seed;
	while ((peer = cv_peers_next(device->peers, NULL)))
		cv_device_remove_peer(device, peer);
	cv_graveyard_bury(&device->graveyard);
	while (cv_wishes_take(&device->plane.wishes, &bits))
		;
	must(device->keypairs.taken == 0 && device->suites.taken == 0);
	/* An entry that was left in it is a leak now. */
	if (device->plane.index)
		cv_index_free(device->plane.index);
	device->plane.index = cv_index_new(64);
	must(device->plane.index);
	cv_device_init_limits(device);
	device->nonces_left = 0;
	memset(device->cookies, 0, sizeof(*device->cookies));
	memset(&device->counts, 0, sizeof(device->counts));
	memset(&device->path.drops, 0, sizeof(device->path.drops));
	memset(&device->path.counts, 0, sizeof(device->path.counts));
	memset(&world.worker.path.drops, 0, sizeof(device->path.drops));
	memset(&world.worker.path.counts, 0, sizeof(device->path.counts));
	device->loaded_until = 0;
	world.now = 1000 * CV_NS_PER_S;
	world.wall_ns = WALL_S * CV_NS_PER_S;
	world.send_error = 0;
	world.n_sent = world.sent_bytes = 0;
}

/* Control does what there is to do. Twice: what a timer's keepalive wishes is granted by the turn
 * that follows. */
static inline void world_turn(void)
{
	cv_device_turn(&world.device, world.now);
	cv_device_turn(&world.device, world.now);
}

static inline struct cv_ring_message *world_slot(size_t len)
{
	struct cv_ring_message *slot = cv_ring_free_slot(&world.worker.ring, true);

	must(slot && len <= CV_RING_MESSAGE_MAX);
	slot->len = (uint16_t)len;
	return slot;
}

/* What the worker sets aside for control. */
static inline void world_pass(const struct cv_inbound_step *step, const struct cv_train *train)
{
	struct cv_ring_message *slot;

	for (size_t i = 0; i < step->handshakes_n; i++) {
		slot = world_slot(step->handshakes[i].len);
		slot->is_frame = false;
		slot->remote = train->remote;
		slot->local = train->local;
		memcpy(slot->data, step->handshakes[i].data, slot->len);
		cv_ring_push(&world.worker.ring);
	}
	for (size_t i = 0; i < step->frames_n; i++) {
		uint32_t len = step->frames[i].len;

		slot = world_slot(len < CV_FRAME_MAX ? len : CV_FRAME_MAX);
		slot->is_frame = true;
		slot->session = step->frames[i].session;
		slot->size = len;
		slot->when = world.now;
		memcpy(slot->data, step->frames[i].text, slot->len);
		cv_ring_push(&world.worker.ring);
	}
}

/* A packet inside, as it came out of the tunnel. */
typedef void world_take(const uint8_t *packet, uint32_t len);

/* A datagram arrives: what worker and control do until both have nothing to do. */
static inline void world_receive(const uint8_t *bytes, size_t len, const struct cv_endpoint *from,
				 world_take *take)
{
	struct cv_worker *worker = &world.worker;
	struct cv_train train = {
		.data = exact(bytes, len),
		.len = (uint32_t)len,
		.seg_size = (uint16_t)len,
		.segs = 1,
		.remote = *from,
		.local = { .addr = { AF_INET, { 192, 0, 2, 1 } } },
	};
	struct cv_pkt *pkts[CV_BATCH_MAX];
	struct cv_inbound_step step;

	cv_path_receive(&worker->path, &train, 1);
	while (cv_path_inbound(&worker->path, (struct cv_merge_offloads){ true, true }, world.now,
			       &step)) {
		for (size_t g = 0; g < step.gathers_n; g++) {
			must(cv_path_unmerge(&worker->path, g, pkts) == 1);
			take(pkts[0]->data, pkts[0]->len);
		}
		world_pass(&step, &train);
	}
	world_turn();
	free(train.data);
}

/* A packet comes from the TUN. */
static inline void world_tun(uint8_t *packet, uint32_t len)
{
	struct cv_path *path = &world.worker.path;
	struct cv_super super = { .data = packet, .len = len };
	struct cv_train *trains;
	size_t n, sent;
	int fd;

	cv_path_load(path, &super, 1, world.now);
	must(cv_path_outbound(path, world.now));
	n = cv_path_trains(path, &trains);
	if (n)
		cv_udp_send(&world.device.udp, trains, n, &path->drops, &sent, &fd);
	cv_path_sent(path, n, world.now);
	world_turn();
}

static inline uint64_t drops_sum(const struct cv_drops *drops)
{
	uint64_t sum = 0;

	for (int i = 0; i < CV_DROP_COUNT; i++)
		sum += drops->count[i];
	return sum;
}

/* The far side --------------------------------------------------------------------------- */

static inline struct cv_keypair *far_new_session(struct far *far)
{
	struct cv_keypair *keypair = &far->sessions[far->n_sessions % SESSIONS_MAX];

	if (far->n_sessions >= SESSIONS_MAX)
		pthread_spin_destroy(&keypair->replay_lock);
	memset(keypair, 0, sizeof(*keypair));
	memset(&far->suites[far->n_sessions % SESSIONS_MAX], 0, sizeof(far->suites[0]));
	far->next_counter[far->n_sessions % SESSIONS_MAX] = 0;
	must(cv_noise_begin_session(&far->handshake, world.now, keypair) == 0);
	far->n_sessions++;
	return keypair;
}

static inline void far_close(struct far *far)
{
	for (size_t i = 0; i < far->n_sessions && i < SESSIONS_MAX; i++)
		pthread_spin_destroy(&far->sessions[i].replay_lock);
	far->n_sessions = 0;
}

/* A message 1 to the device. */
static inline size_t far_initiate(struct far *far, uint8_t *out)
{
	uint8_t ephemeral[32];

	random_fill(ephemeral, sizeof(ephemeral));
	must(cv_noise_create_initiation(&far->handshake, &far->self, ephemeral, ++far->indices,
					world.wall_ns, (void *)out) == 0);
	cv_cookie_stamp(&far->handshake, out, sizeof(struct cv_message_initiation), world.now);
	far->asked = false;
	return sizeof(struct cv_message_initiation);
}

/* Message 2, when the device has asked. Return: 0 when it has not. */
static inline size_t far_respond(struct far *far, uint8_t *out)
{
	uint8_t ephemeral[32];

	if (!far->asked)
		return 0;
	far->asked = false;
	random_fill(ephemeral, sizeof(ephemeral));
	must(cv_noise_create_response(&far->handshake, ephemeral, ++far->indices, (void *)out) ==
	     0);
	cv_cookie_stamp(&far->handshake, out, sizeof(struct cv_message_response), world.now);
	far_new_session(far);
	return sizeof(struct cv_message_response);
}

/* Message 3 that answers a message of the device's. */
static inline size_t far_cookie(struct far *far, const struct datagram *answered, uint8_t *out)
{
	struct cv_cookie_checker checker = { .has_secret = true, .birth = world.now };
	uint8_t nonce[24];

	random_fill(nonce, sizeof(nonce));
	random_fill(checker.secret, sizeof(checker.secret));
	cv_cookie_create_reply(&checker, &far->self, answered->bytes, answered->len, &answered->to,
			       nonce, (void *)out);
	return sizeof(struct cv_message_cookie);
}

/* The keys of the other suite, of a session that is kept: anybody who has one has them. */
static inline const struct cv_suite_keys *far_suite_keys(struct far *far, size_t slot,
							 const struct cv_aead *aead)
{
	struct far_suite *suite = &far->suites[slot];

	if (!suite->derived)
		must(cv_suite_derive(&far->sessions[slot], aead, CV_SUITE_AES256_GCM,
				     &suite->keys) == 0);
	suite->derived = true;
	return &suite->keys;
}

/* Message 4 with text that lies at out + 16, under a session counted back from the last. Return: 0
 * when there is none. */
static inline size_t far_seal(struct far *far, size_t back, enum cv_suite suite,
			      struct cv_aead *aead, uint32_t len, uint8_t *out)
{
	struct cv_keypair *keypair;
	struct cv_message_data header = { .type = cv_le32_of(cv_message_data_type(suite)) };
	struct cv_aead_job job = { .text = out + 16, .len = len };
	size_t slot = (far->n_sessions - 1 - back) % SESSIONS_MAX;

	if (back >= far->n_sessions || back >= SESSIONS_MAX)
		return 0;
	keypair = &far->sessions[slot];
	job.key = suite ? &far_suite_keys(far, slot, aead)->send.key : &keypair->send;
	job.counter = keypair->send_counter++;
	header.receiver_index = cv_le32_of(keypair->remote_index);
	header.counter = cv_le64_of(job.counter);
	memcpy(out, &header, sizeof(header));
	cv_aead_seal(aead, &job, 1);
	return len + 32;
}

static inline void far_hear_initiation(struct far *far, const struct datagram *datagram)
{
	struct cv_noise_peek peek;

	must(cv_noise_peek_initiation(&far->self, (const void *)datagram->bytes, &peek) == 0);
	must(!memcmp(peek.remote_static, world.device.self->public_key, 32));
	if (cv_noise_consume_initiation(&far->handshake, (const void *)datagram->bytes, &peek,
					world.now) == 0)
		far->asked = true;
}

/* No more than was sent, even if somebody sends all of it again. */
static inline void far_hear_received(const struct cv_keypair *session,
				     const struct cv_received *received)
{
	must(received->accepted <= received->expected);
	must(received->expected <= session->send_counter);
}

/* A frame of the device's. */
static inline void far_hear_frame(struct far *far, size_t slot, const uint8_t *text, size_t len)
{
	struct far_suite *suite = &far->suites[slot];
	struct cv_frame frame;

	must(cv_frame_parse(text, len, &frame) == 0 && !world.peer->extension.off);
	switch (frame.kind) {
	case CV_FRAME_HELLO:
		must(!far->sessions[slot].initiator && !suite->greeted);
		must(!memcmp(&frame.offer, &world.device.offer, sizeof(frame.offer)));
		suite->greeted = true;
		return;
	case CV_FRAME_ANSWER:
		must(suite->asked && frame.suite == suite->agreed);
		far->answers++;
		return;
	case CV_FRAME_GRANT:
		must(far->grants < far->requests);
		must(!memcmp(&frame.grant, world.gives ? &world_gift : &(struct cv_grant){ 0 },
			     sizeof(frame.grant)));
		far->grants++;
		return;
	case CV_FRAME_GOODBYE:
		must(world.stops);
		return;
	case CV_FRAME_REQUEST:
		must(world.device.asking.when.on);
		must(!memcmp(far->self.public_key, world.device.asking.whom.b, CV_KEY_SIZE));
		return;
	case CV_FRAME_PROBE:
		must(world.peer->timers.probes && len >= CV_PROBE_SIZE_MIN && len <= TUN_MTU);
		far_hear_received(&far->sessions[slot], &frame.received);
		for (size_t i = 4U + text[2]; i < len; i++)
			must(text[i] == 0);
		far->probes[frame.mark.number % CV_PROBES_OUT].number = frame.mark.number;
		far->probes[frame.mark.number % CV_PROBES_OUT].size = (uint16_t)len;
		return;
	case CV_FRAME_ECHO:
		far_hear_received(&far->sessions[slot], &frame.received);
		must(far->echo.kind == CV_FRAME_ECHO && frame.probed == far->echo.probed);
		must(frame.mark.number == far->echo.mark.number && len <= frame.probed);
		far->echo.kind = 0;
		return;
	}
}

/* Try a session. Return: whether the datagram is of it; then its number was not used before. */
static inline bool far_open_data(struct far *far, size_t session, struct cv_aead *aead,
				 const struct datagram *datagram)
{
	uint8_t *copy = exact(datagram->bytes, datagram->len);
	struct cv_aead_job job = { .text = copy + 16, .len = datagram->len - 32 };
	struct cv_message_data header;
	unsigned suite;

	memcpy(&header, datagram->bytes, sizeof(header));
	suite = cv_message_suite(&header);
	must(suite < CV_SUITES);
	job.key = suite ? &far_suite_keys(far, session, aead)->receive.key
			: &far->sessions[session].receive;
	job.counter = cv_le64_get(header.counter);
	cv_aead_open(aead, &job, 1);
	if (job.ok) {
		must(job.counter >= far->next_counter[session]);
		far->next_counter[session] = job.counter + 1;
		must(!suite == !far->suites[session].switched);
		if (cv_frame_is(job.text, job.len))
			far_hear_frame(far, session, job.text, job.len);
	}
	free(copy);
	return job.ok;
}

/* What the device sends under a session opens. */
static inline void far_hear_data(struct far *far, struct cv_aead *aead,
				 const struct datagram *datagram)
{
	struct cv_message_data header;

	memcpy(&header, datagram->bytes, sizeof(header));
	for (size_t i = 0; i < far->n_sessions && i < SESSIONS_MAX; i++) {
		bool named = far->sessions[i].local_index == cv_le32_get(header.receiver_index);

		if (!named && !far->garbled)
			continue;
		if (far_open_data(far, i, aead, datagram))
			return;
		must(far->garbled);
	}
}

/* All that the device has sent since `from` arrives. */
static inline void far_hear(struct far *far, struct cv_aead *aead, size_t from)
{
	for (; from < world.n_sent; from++) {
		const struct datagram *datagram = &world.sent[from];
		int type = cv_message_type(datagram->bytes, datagram->len);

		must(type > 0);
		if (datagram->to.port == OTHER_PORT)
			continue;
		must(type > CV_MESSAGE_RESPONSE ||
		     cv_cookie_mac1_ok(&far->self, datagram->bytes, datagram->len));
		if (type == CV_MESSAGE_INITIATION)
			far_hear_initiation(far, datagram);
		else if (type == CV_MESSAGE_COOKIE)
			cv_cookie_consume_reply(&far->handshake, (const void *)datagram->bytes,
						world.now);
		else if (type == CV_MESSAGE_DATA)
			far_hear_data(far, aead, datagram);
		else if (cv_noise_consume_response(&far->handshake, &far->self,
						   (const void *)datagram->bytes) == 0)
			far_new_session(far);
	}
}
