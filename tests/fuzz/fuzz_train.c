/*
 * fuzz train: received trains under a live session.
 *
 * The input begins with what the TUN accepts and how old the session is. Then come trains: a byte
 * of how (0: datagrams are as long as the first piece), their size, TOS, where from, and a count of
 * pieces, which lie one behind the other: any bytes, sealed packets, sealed packets that are
 * broken, repeated or under another key, what looks like a handshake message.
 *
 * Oracle: a slow model says of each datagram what becomes of it, and all is as it says: packets
 * delivered (each once, whole, in its place), handshake messages, keepalives, frames, each reason
 * of a drop, the bytes counted for the peer, and where it is believed to be.
 */
#include <convoy/crypto/init.h>
#include <convoy/noise/message.h>

#include "bare_end.h"
#include "flow_packets.h"
#include "fuzz.h"

enum {
	TRAINS_MAX = 24,
	TRAIN_MAX = 8192,
	SEALED_MAX = 128,
	DATAGRAM_MAX = 1600,
	INDEX = 102,
};

static const uint8_t our_key[32] = { 1, 2, 3 };
static uint8_t their_key[32]; /* another one with each input */
static struct end end;
static struct cv_peer *other; /* 10.9.0.0/16 and fd09::/16 are its */
static struct cv_aead sealer;

/* A datagram that the peer made. */
struct sealed {
	uint8_t bytes[DATAGRAM_MAX];
	uint8_t plain[DATAGRAM_MAX];
	uint32_t len;
	uint64_t counter;
};

static struct {
	struct sealed list[SEALED_MAX];
	size_t n;
} sealed;

static struct {
	struct cv_train list[TRAINS_MAX];
	size_t n;
} trains;

/* Input ----------------------------------------------------------------------------------- */

static uint32_t read_packet(struct input *input, uint8_t *out)
{
	struct made made = {
		.family = AF_INET,
		.protocol = IPPROTO_TCP,
		.ttl = 64,
		.frag = 0x4000,
		.window = 500,
	};
	uint8_t how = read8(input);
	const uint8_t *piece;
	uint32_t len;

	if (how & 1) { /* any bytes */
		len = (uint32_t)read_piece(input, read8(input), &piece);
		if (len)
			memcpy(out, piece, len);
		return len;
	}
	made.family = how & 2 ? AF_INET6 : AF_INET;
	made.protocol = how & 4 ? IPPROTO_UDP : IPPROTO_TCP;
	made.flow = how >> 4 & 3;
	made.tos = how >> 6;
	made.payload = read8(input) * 4U;
	made.at = made.seq = read8(input) * made.payload;
	make_packet(out, &made);
	len = made_len(&made);
	if (how & 8) { /* of somebody else */
		out[how & 2 ? 9 : 13] = 9;
		put16(out + 10, 0);
		if (!(how & 2))
			put16(out + 10, ~naive_sum(0, out, 20) & 0xffff);
	}
	while (len % 16 && !(read8(input) & 1))
		out[len++] = 0;
	return len;
}

static uint32_t seal(struct input *input, const uint8_t key[32], uint32_t index, bool empty,
		     uint8_t *out)
{
	static const uint64_t bases[] = { 0, 8192, CV_REJECT_AFTER_MESSAGES - 128,
					  UINT64_MAX - 255 };
	struct cv_aead_key aead_key = { .suite = CV_SUITE_CHACHA20_POLY1305 };
	struct cv_message_data header = { cv_le32_of(CV_MESSAGE_DATA),
					  cv_le32_of(index),
					  { { 0 } } };
	struct cv_aead_job job = { .key = &aead_key, .text = out + 16 };
	struct sealed *entry = &sealed.list[sealed.n];

	if (sealed.n == SEALED_MAX)
		return 0;
	job.counter = bases[read8(input) & 3] + read8(input);
	header.counter = cv_le64_of(job.counter);
	memcpy(out, &header, sizeof(header));
	memcpy(aead_key.key, key, 32);
	job.len = empty ? 0 : read_packet(input, out + 16);
	memcpy(entry->plain, out + 16, job.len);
	cv_aead_seal(&sealer, &job, 1);
	if (key == their_key && index == INDEX) {
		entry->len = job.len + 32;
		entry->counter = job.counter;
		memcpy(entry->bytes, out, entry->len);
		sealed.n++;
	}
	return job.len + 32;
}

static uint32_t read_datagram(struct input *input, uint8_t *out)
{
	static const uint8_t sizes[] = { 148, 92, 64 };
	const uint8_t *piece;
	uint8_t what = read8(input);
	uint32_t len, at;

	switch (what & 7) {
	case 0:
		len = (uint32_t)read_piece(input, read8(input), &piece);
		if (len)
			memcpy(out, piece, len);
		return len;
	case 1:
	case 2:
		return seal(input, their_key, INDEX, false, out);
	case 3:
		len = seal(input, their_key, INDEX, false, out);
		at = len ? read16(input) % len : 0;
		out[at] ^= read8(input) | 1;
		return len;
	case 4:
		return seal(input, what & 8 ? our_key : their_key, what & 16 ? INDEX : INDEX + 1,
			    false, out);
	case 5: /* a handshake message, or what is nearly one */
		what = (what >> 3) % 3;
		memset(out, 0x5e, 200);
		memcpy(out, (uint8_t[]){ (uint8_t)(what + 1), 0, 0, 0 }, 4);
		return sizes[what] + !(read8(input) % 8);
	case 6:
		if (!sealed.n)
			return 0;
		what = read8(input) % (uint8_t)sealed.n;
		memcpy(out, sealed.list[what].bytes, sealed.list[what].len);
		return sealed.list[what].len;
	default:
		return seal(input, their_key, INDEX, true, out);
	}
}

static void read_train(struct input *input)
{
	static uint8_t bytes[TRAIN_MAX + DATAGRAM_MAX];
	struct cv_train *train = &trains.list[trains.n];
	uint8_t how = read8(input), pieces;
	uint32_t size = how ? read16(input) : 0, len = 0;

	*train = (struct cv_train){
		.tos = read8(input),
		.remote = { .addr = { AF_INET, { 192, 0, 2, how } }, .port = 7 },
	};
	for (pieces = read8(input) % 40; pieces && len < TRAIN_MAX; pieces--) {
		uint32_t more = read_datagram(input, bytes + len);

		size = size ? size : more;
		len += more;
	}
	if (!len)
		return;
	size = size && size < len ? size : len;
	train->data = exact(bytes, len);
	train->len = len;
	train->seg_size = (uint16_t)size;
	train->segs = (uint16_t)((len - 1) / size + 1);
	trains.n++;
}

/* The model ------------------------------------------------------------------------------- */

struct outcome {
	uint64_t datagrams, handshakes, keepalives, frames, pkts, bytes, rx_bytes;
	struct cv_drops drops;
	const struct cv_train *newest;
	struct {
		const uint8_t *at;
		uint32_t len;
		uint8_t bytes[DATAGRAM_MAX];
		bool came;
	} delivered[TRAINS_MAX * 400];
	struct {
		const uint8_t *at;
		uint32_t len;
		const struct cv_train *train;
	} messages[TRAINS_MAX * 200];
};

static struct outcome expected;

static struct {
	uint64_t list[SEALED_MAX];
	size_t n;
	uint64_t next;
} seen;

static bool is_new(uint64_t counter)
{
	for (size_t i = 0; i < seen.n; i++)
		if (seen.list[i] == counter)
			return false;
	if (counter >= CV_REJECT_AFTER_MESSAGES || counter + CV_REPLAY_WINDOW + 1 < seen.next)
		return false;
	if (counter >= seen.next)
		seen.next = counter + 1;
	seen.list[seen.n++] = counter;
	return true;
}

static void drop(enum cv_drop reason)
{
	expected.drops.count[reason]++;
}

static bool is_others(const uint8_t *packet)
{
	return packet[0] >> 4 == 4 ? packet[12] == 10 && packet[13] == 9
				   : packet[8] == 0xfd && packet[9] == 9;
}

/* RFC 6040, section 4.2, without its code. Return: false when the packet must go. */
static bool carry_mark(uint8_t *packet, uint8_t outer)
{
	bool v4 = packet[0] >> 4 == 4;
	uint8_t ecn = (v4 ? packet[1] : packet[1] >> 4) & 3;

	if ((outer & 3) != 3 || ecn == 3)
		return true;
	if (ecn == 0)
		return false;
	packet[1] |= v4 ? 3 : 0x30;
	return true;
}

static void expect_packet(const struct sealed *from, const uint8_t *at,
			  const struct cv_train *train)
{
	uint8_t *packet = expected.delivered[expected.pkts].bytes;
	struct cv_ip ip;

	if (from->len == 32) {
		expected.keepalives++;
		return;
	}
	if (from->plain[0] >> 4 == 12) {
		expected.frames++;
		return;
	}
	memcpy(packet, from->plain, from->len - 32);
	if (cv_ip_parse(packet, from->len - 32, &ip) < 0) {
		drop(CV_DROP_INNER_NOT_IP);
	} else if (is_others(packet)) {
		drop(CV_DROP_SOURCE_NOT_ALLOWED);
	} else if (!carry_mark(packet, train->tos)) {
		drop(CV_DROP_ECN_INVALID);
	} else {
		expected.delivered[expected.pkts].at = at + 16;
		expected.delivered[expected.pkts].len = ip.len;
		expected.delivered[expected.pkts].came = false;
		expected.pkts++;
		expected.bytes += ip.len;
	}
}

static void expect_data(const uint8_t *at, uint32_t len, const struct cv_train *train, cv_time now)
{
	struct cv_message_data header;
	size_t i = 0;

	memcpy(&header, at, sizeof(header));
	if (cv_le32_get(header.receiver_index) != INDEX) {
		drop(CV_DROP_UNKNOWN_INDEX);
		return;
	}
	if (cv_le64_get(header.counter) >= CV_REJECT_AFTER_MESSAGES ||
	    now - end.keypair.birth >= CV_REJECT_AFTER_TIME_S * CV_NS_PER_S) {
		drop(CV_DROP_KEY_EXPIRED);
		return;
	}
	if (at[1]) { /* of a suite that nobody agreed on */
		drop(CV_DROP_MALFORMED);
		return;
	}
	while (i < sealed.n && (sealed.list[i].len != len || memcmp(sealed.list[i].bytes, at, len)))
		i++;
	if (i == sealed.n) {
		drop(CV_DROP_AUTH_FAILED);
	} else if (!is_new(sealed.list[i].counter)) {
		drop(CV_DROP_REPLAY);
	} else {
		expected.newest = train;
		expected.rx_bytes += len;
		expect_packet(&sealed.list[i], at, train);
	}
}

static void expect_datagram(const uint8_t *at, uint32_t len, const struct cv_train *train,
			    cv_time now)
{
	static const uint32_t sizes[] = { 0, 148, 92, 64 };
	uint32_t type = len >= 4 ? at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
					   (uint32_t)at[3] << 24
				 : 0;
	bool data = (type & ~UINT32_C(0xff00)) == 4;

	expected.datagrams++;
	if (data && len >= 32) {
		expect_data(at, len, train, now);
	} else if (type >= 1 && type <= 3 && len == sizes[type]) {
		expected.messages[expected.handshakes].at = at;
		expected.messages[expected.handshakes].len = len;
		expected.messages[expected.handshakes++].train = train;
	} else {
		drop(CV_DROP_MALFORMED);
	}
}

static void expect(cv_time now)
{
	memset(&expected, 0, offsetof(struct outcome, delivered));
	seen.n = seen.next = 0;
	for (size_t t = 0; t < trains.n; t++) {
		const struct cv_train *train = &trains.list[t];

		for (uint32_t at = 0; at < train->len; at += train->seg_size)
			expect_datagram(train->data + at,
					train->len - at < train->seg_size ? train->len - at
									  : train->seg_size,
					train, now);
	}
}

/* What came ------------------------------------------------------------------------------- */

static void take_packet(const struct cv_pkt *pkt)
{
	size_t i = 0;

	while (i < expected.pkts && expected.delivered[i].at != pkt->data)
		i++;
	must(i < expected.pkts && !expected.delivered[i].came);
	must(expected.delivered[i].len == pkt->len);
	/* The ECN mark was carried in with the checksum of its own fix. */
	must(!memcmp(pkt->data + 20, expected.delivered[i].bytes + 20, pkt->len - 20));
	must(!memcmp(pkt->data, expected.delivered[i].bytes, 10));
	expected.delivered[i].came = true;
}

static void receive(struct cv_merge_offloads offloads, cv_time now)
{
	struct cv_pkt *pkts[CV_BATCH_MAX];
	struct cv_inbound_step step;
	size_t messages = 0, came = 0;

	cv_path_receive(&end.path, trains.list, trains.n);
	while (cv_path_inbound(&end.path, offloads, now, &step)) {
		for (size_t i = 0; i < step.handshakes_n; i++, messages++) {
			must(messages < expected.handshakes);
			must(step.handshakes[i].data == expected.messages[messages].at);
			must(step.handshakes[i].len == expected.messages[messages].len);
			must(step.handshakes[i].train == expected.messages[messages].train);
		}
		for (size_t g = 0; g < step.gathers_n; g++) {
			size_t n = cv_path_unmerge(&end.path, g, pkts);

			must(n == step.gathers[g].pkts);
			came += n;
			for (size_t i = 0; i < n; i++)
				take_packet(pkts[i]);
		}
	}
	must(messages == expected.handshakes && came == expected.pkts);
}

static void check_counts(void)
{
	const struct cv_path_counts *counts = &end.path.counts;
	struct cv_endpoint remote;
	struct cv_source local;
	bool plain;

	must(counts->in_datagrams == expected.datagrams);
	must(counts->in_handshakes == expected.handshakes);
	must(counts->in_keepalives == expected.keepalives);
	must(counts->in_frames == expected.frames);
	must(counts->in_pkts == expected.pkts && counts->in_bytes == expected.bytes);
	for (int i = 0; i < CV_DROP_COUNT; i++)
		must(end.path.drops.count[i] == expected.drops.count[i]);
	must(end.peer->rx_bytes == expected.rx_bytes);
	must(cv_peer_endpoint(end.peer, 0, &remote, &local, &plain));
	must(expected.newest ? cv_endpoint_equal(&remote, &expected.newest->remote)
			     : remote.port == 1);
}

/* Everything as it was before the first input. */
static void reset(cv_time now, uint64_t key)
{
	const struct cv_endpoint remote = { .addr = { AF_INET, { 192, 0, 2, 2 } }, .port = 1 };
	uint32_t bits;

	while (cv_wishes_take(&end.plane.wishes, &bits))
		;
	memset(&end.path.drops, 0, sizeof(end.path.drops));
	memset(&end.path.counts, 0, sizeof(end.path.counts));
	memset(&end.keypair.replay, 0, sizeof(end.keypair.replay));
	memcpy(their_key, &key, sizeof(key));
	memcpy(end.keypair.receive.key, their_key, sizeof(their_key));
	end.keypair.birth = now;
	end.peer->rx_bytes = 0;
	cv_timers_init(&end.peer->timers);
	cv_peer_set_endpoint(end.peer, &remote);
	sealed.n = trains.n = 0;
}

static void begin(void)
{
	const struct cv_prefix prefixes[] = { { { AF_INET, { 10, 9 } }, 16 },
					      { { AF_INET6, { 0xfd, 9 } }, 16 } };
	const uint8_t key[32] = { 9 };

	must(cv_crypto_init() == 0 && cv_aead_init(&sealer, NULL) == 0);
	end_open(&end, 2, our_key, their_key, CV_NS_PER_S);
	must(cv_peers_add(end.peers, key, &other) == 0);
	for (size_t i = 0; i < 2; i++)
		must(cv_routes_insert(end.plane.routes, &prefixes[i], other) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	const cv_time birth = 1000 * CV_NS_PER_S;
	struct cv_merge_offloads offloads;
	uint8_t how = read8(&input);
	cv_time now;

	if (!other)
		begin();
	reset(birth, hash_of(data, size));
	offloads = (struct cv_merge_offloads){ .tcp = how & 1, .udp = how & 2 };
	now = birth + (how & 4 ? read8(&input) : 1) * CV_NS_PER_S;
	while (input.left && trains.n < TRAINS_MAX)
		read_train(&input);
	expect(now);
	receive(offloads, now);
	check_counts();
	for (size_t i = 0; i < trains.n; i++)
		free(trains.list[i].data);
	return 0;
}
