/* fuzz wire's oracle: what was said to the device, what it knew, and what must hold behind each
 * arrival. */
#pragma once

#include <convoy/device/asking.h>

#include "flow_packets.h"
#include "fuzz_knowledge.h"

enum {
	SAID_MAX = 128,
	PLAIN_MAX = 256,
};

static struct far peer, stranger;
static struct cv_aead aead;
static bool gcm; /* this machine has it */
static const struct cv_endpoint peer_at = { .addr = { AF_INET, { 192, 0, 2, 2 } }, .port = 2 };
static const struct cv_endpoint bystander_at = { .addr = { AF_INET, { 192, 0, 2, 3 } },
						 .port = OTHER_PORT };

/* What the peer has said, heard by the device or not. */
struct said {
	uint8_t bytes[WIRE_MAX];
	uint8_t plain[PLAIN_MAX];
	uint32_t len, plain_len;
	size_t session, frame_len; /* of data */
	enum cv_suite suite;
	bool taken;     /* the device acted on it */
	bool delivered; /* what was in it */
};

static struct {
	struct said list[SAID_MAX];
	size_t n, packets;
	uint16_t echoed; /* the largest probe of the device's that was */
} said;

/* Frames ---------------------------------------------------------------------------------- */

/* What a datagram meets. */
struct before {
	struct knowledge known;
	const struct cv_keypair *under;   /* of data: the session that it names */
	bool has_suite;                   /* it */
	uint64_t invalid, unwanted, rate; /* frames */
};

static struct before look(const uint8_t *bytes, size_t len)
{
	const uint64_t *count = world.device.path.drops.count;
	struct before before = { .invalid = count[CV_DROP_FRAME_INVALID],
				 .unwanted = count[CV_DROP_FRAME_UNWANTED],
				 .rate = count[CV_DROP_FRAME_RATE] };
	const struct cv_index_entry *entry = NULL;
	struct cv_message_data header;

	recall(world.peer, &before.known);
	if (cv_message_type(bytes, len) == CV_MESSAGE_DATA) {
		memcpy(&header, bytes, sizeof(header));
		entry = cv_index_lookup(world.device.plane.index,
					cv_le32_get(header.receiver_index));
	}
	before.under = entry ? entry->keypair : NULL;
	before.has_suite = before.under && before.under->suite;
	return before;
}

/* A goodbye was heeded. */
static void check_goodbye(const struct before *met)
{
	const struct knowledge *before = &met->known;
	const struct cv_keypair *under = met->under;
	bool is_last = before->next ? under == before->next : under == before->current;
	struct knowledge now;

	recall(world.peer, &now);
	if (is_last && !cv_timers_is_trying(&before->timers))
		must(!now.current && !now.next && !now.previous);
	else
		must(now.current == (under == before->next ? under : before->current));
}

/* A grant was heeded. */
static void check_grant(const struct cv_grant *said_grant)
{
	struct cv_grant grant;
	struct cv_addr at;
	bool now = world.now >= world.device.asking.when.take_from;

	must(!world.device.asking.when.unanswered);
	must(cv_device_take_grant(&world.device, world.now, &grant, &at) == now);
	must(!cv_device_take_grant(&world.device, world.now, &grant, &at));
	if (!now)
		return;
	must(grant.mtu == said_grant->mtu);
	if (grant.mtu & 1)
		cv_device_granted(&world.device);
}

/* The session of the peer's that this was said in; NULL: it is kept no more. */
static struct far_suite *suite_of(const struct said *word)
{
	if (peer.n_sessions - word->session > SESSIONS_MAX)
		return NULL;
	return &peer.suites[word->session % SESSIONS_MAX];
}

static void heed(const struct cv_frame *frame, struct far_suite *suite)
{
	const struct cv_suite_offer *ours = &world.device.offer;

	if (frame->kind == CV_FRAME_HELLO) {
		suite->asked = true;
		if (!suite->agreed)
			suite->agreed = cv_suite_choose(ours, &frame->offer);
	} else if (frame->kind == CV_FRAME_ANSWER && frame->suite && !suite->agreed) {
		suite->agreed = frame->suite;
		suite->switched = true;
	}
}

/* Whether a probe is answered. */
static bool check_probe(const struct said *word, const struct cv_frame *frame,
			const struct before *before)
{
	struct cv_probing probing = before->known.probing;

	if (word->frame_len < CV_PROBE_SIZE_MIN || !cv_probing_may_echo(&probing, world.now))
		return false;
	peer.echo = (struct cv_frame){
		.kind = CV_FRAME_ECHO,
		.mark = frame->mark,
		.probed = (uint16_t)word->frame_len,
	};
	return true;
}

/* A request so soon behind another is not heeded. */
static bool is_too_soon(const struct knowledge *before)
{
	return before->last_request && world.now - before->last_request < 500 * CV_NS_PER_MS;
}

/* An echo that is of a probe of the device's says that its size passes. */
static void hear_echo(const struct cv_frame *frame, const struct before *before)
{
	struct cv_probing probing = before->known.probing;
	struct cv_probe probe;

	if (cv_probing_echoed(&probing, frame->mark.number, frame->probed, world.now, &probe) &&
	    said.echoed < frame->probed)
		said.echoed = frame->probed;
}

/* The device took a word with a frame in it. */
static void check_frame(const struct said *word, const struct before *before)
{
	const uint64_t *count = world.device.path.drops.count;
	uint64_t invalid = count[CV_DROP_FRAME_INVALID] - before->invalid;
	uint64_t unwanted = count[CV_DROP_FRAME_UNWANTED] - before->unwanted;
	uint64_t rate = count[CV_DROP_FRAME_RATE] - before->rate;
	struct far_suite *suite = suite_of(word);
	struct cv_frame frame;
	int r = cv_frame_parse(word->plain, word->frame_len, &frame);
	bool off = world.peer->extension.off;

	if (r == 0 && !off && frame.kind == CV_FRAME_ANSWER && !before->has_suite && frame.suite &&
	    !world.device.offer.cost_ns[frame.suite])
		r = -EBADMSG;
	if (r == 0 && !off)
		must(world.peer->extension.state == CV_EXTENSION_CONVOY);
	if (r == 0 && !off && frame.kind == CV_FRAME_PROBE && !check_probe(word, &frame, before))
		r = -ENOTSUP;
	if (r == 0 && frame.kind == CV_FRAME_GRANT && !world.device.asking.when.on)
		r = -ENOTSUP;
	if (r == 0 && !off && frame.kind == CV_FRAME_REQUEST && is_too_soon(&before->known))
		r = -EBUSY;
	must(rate == (r == -EBUSY));
	must(invalid == (r == -EBADMSG));
	must(unwanted == (r != -EBADMSG && r != -EBUSY && (r < 0 || off)));
	if (r < 0 || off)
		return;
	if (suite)
		heed(&frame, suite);
	if (frame.kind == CV_FRAME_GOODBYE)
		check_goodbye(before);
	peer.requests += frame.kind == CV_FRAME_REQUEST;
	if (frame.kind == CV_FRAME_ECHO)
		hear_echo(&frame, before);
	if (frame.kind == CV_FRAME_GRANT)
		check_grant(&frame.grant);
}

/* What is data, keepalives and frames too, was taken. */
static void check_taken(const struct said *word, const struct before *before)
{
	struct far_suite *suite = suite_of(word);

	if (word->suite && suite) {
		must(suite->agreed == word->suite);
		suite->switched = true;
	}
	if (word->frame_len)
		check_frame(word, before);
}

/* Arrivals -------------------------------------------------------------------------------- */

static void take_packet(const uint8_t *packet, uint32_t len)
{
	size_t i = 0;

	while (i < said.n && (said.list[i].delivered || said.list[i].plain_len < len || !len ||
			      memcmp(said.list[i].plain, packet, len)))
		i++;
	must(i < said.n);
	said.list[i].delivered = true;
	said.packets++;
}

/* What the peer said in these words, if the device has not taken it yet. Of messages 1 and 2 all
 * but the sender's index and the MACs are under the handshake's keys; the MACs anybody can make who
 * knows whom he writes to. */
static struct said *word_of_peer(const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < said.n; i++) {
		struct said *one = &said.list[i];
		int type = cv_message_type(one->bytes, one->len);
		size_t from = 0, to = len;

		if (type > 0 && type <= CV_MESSAGE_RESPONSE) {
			from = 8;
			to = len - sizeof(struct cv_message_macs);
		}
		if (one->len == len && !one->taken && cv_message_type(bytes, len) == type &&
		    !memcmp(one->bytes + from, bytes + from, to - from))
			return one;
	}
	return NULL;
}

/* Nothing is in use that neither passed nor is what every path carries. */
static void check_mtu(void)
{
	uint32_t mtu = cv_peer_mtu(world.peer, 0);

	must(!mtu || (world.peer->probing && mtu == world.peer->probing->pmtu.size));
	must(!mtu || mtu == CV_PMTU_BASE || (mtu <= said.echoed && mtu <= TUN_MTU));
	must(!cv_peer_mtu(world.bystander, 0));
}

static void check_inbound(void)
{
	const struct cv_path_counts *in = &world.worker.path.counts;

	must(in->in_pkts == said.packets);
	must(in->in_datagrams == in->in_pkts + in->in_keepalives + in->in_handshakes +
					 in->in_frames + drops_sum(&world.worker.path.drops) -
					 world.worker.path.drops.count[CV_DROP_NO_PEER] -
					 world.worker.path.drops.count[CV_DROP_NOT_IP] -
					 world.worker.path.drops.count[CV_DROP_STAGE_FULL] -
					 world.worker.path.drops.count[CV_DROP_SEND_REFUSED] -
					 world.worker.path.drops.count[CV_DROP_SEND_NOBUFS]);
}

static uint64_t handshake_drops(void)
{
	const uint64_t *count = world.device.path.drops.count;
	uint64_t sum = 0;

	for (int i = CV_DROP_HANDSHAKE_QUEUE; i < CV_DROP_HANDSHAKE_SEND; i++)
		sum += count[i];
	return sum;
}

/* Whether a message 1 or 2 may cost us more than a hash and a cookie: it knows whom it speaks to,
 * and under load that its answers arrive. */
static bool is_admitted(const uint8_t *bytes, size_t len, const struct cv_endpoint *from)
{
	if (!cv_cookie_mac1_ok(world.device.self, bytes, len))
		return false;
	return world.now >= world.device.loaded_until ||
	       (!cv_cookie_secret_is_stale(world.device.cookies, world.now) &&
		cv_cookie_mac2_ok(world.device.cookies, bytes, len, from));
}

static void arrive(const uint8_t *bytes, size_t len, const struct cv_endpoint *from)
{
	struct said *word = word_of_peer(bytes, len);
	uint64_t sent = world.sent_bytes, heard = world.peer->rx_bytes, drops = handshake_drops();
	uint64_t handshakes = world.worker.path.counts.in_handshakes;
	size_t first = world.n_sent;
	bool asks = world.peer->handshake->jar.mac1_unanswered, admitted = true, taken;
	struct knowledge others;
	struct before before;
	int type;

	if (!len)
		return;
	type = cv_message_type(bytes, len);
	if (type == CV_MESSAGE_INITIATION || type == CV_MESSAGE_RESPONSE)
		admitted = is_admitted(bytes, len, from);
	before = look(bytes, len);
	recall(world.bystander, &others);
	world_receive(bytes, len, from, take_packet);
	check_inbound();
	must_be_unchanged(world.bystander, &others);
	sent = world.sent_bytes - sent;
	handshakes = world.worker.path.counts.in_handshakes - handshakes;
	taken = world.peer->rx_bytes != heard ||
		(type == CV_MESSAGE_COOKIE && asks != world.peer->handshake->jar.mac1_unanswered);
	if (taken) {
		must(word && admitted);
		word->taken = true;
		if (type == CV_MESSAGE_DATA)
			check_taken(word, &before);
	} else {
		must_be_unchanged(world.peer, &before.known);
		must(handshake_drops() == drops + handshakes);
	}
	if (!word || type == CV_MESSAGE_INITIATION)
		must(sent <= len);
	if (!word && type != CV_MESSAGE_INITIATION && type != CV_MESSAGE_RESPONSE)
		must(sent == 0);
	must(type != CV_MESSAGE_COOKIE || sent == 0);
	if (!admitted)
		must(sent == 0 || (sent == sizeof(struct cv_message_cookie) &&
				   world.now < world.device.loaded_until));
	check_mtu();
	far_hear(&peer, &aead, first);
}
