/*
 * fuzz wire: a stranger and a peer speak to a live device (fuzz_world.h).
 *
 * The input is a list of steps, a byte each and what it needs: time passes; a packet comes from the
 * TUN; the device comes under load, or its socket fails; any bytes arrive; the peer sends an
 * initiation, a response, a cookie reply, data, which arrive as they are or changed; something that
 * was sent before arrives again, from elsewhere; a stranger who knows our public key initiates.
 * The peer hears and understands whatever the device sends.
 *
 * Oracle: what is not the peer's own word, fresh and unchanged, is answered by no more bytes than
 * it had, changes nothing that we know of the peer, and is counted once; nothing comes out that the
 * peer did not seal, and nothing twice; received = delivered + keepalives + handshakes + drops;
 * what the device sends under a session opens, each under a number of its own; nobody's doings
 * touch the other peer; and after all that a new handshake succeeds and data goes both ways.
 */
#include "flow_packets.h"
#include "fuzz_world.h"

enum {
	STEPS_MAX = 80,
	SAID_MAX = 128,
	PLAIN_MAX = 256,
	MAC2 = 16,
};

static struct far peer, stranger;
static struct cv_aead aead;
static const struct cv_endpoint peer_at = { .addr = { AF_INET, { 192, 0, 2, 2 } }, .port = 2 };
static const struct cv_endpoint bystander_at = { .addr = { AF_INET, { 192, 0, 2, 3 } },
						 .port = OTHER_PORT };

/* What the peer has said, heard by the device or not. */
struct said {
	uint8_t bytes[WIRE_MAX];
	uint8_t plain[PLAIN_MAX];
	uint32_t len, plain_len;
	bool taken;     /* the device acted on it */
	bool delivered; /* what was in it */
};

static struct {
	struct said list[SAID_MAX];
	size_t n, packets;
} said;

/* Knowledge ------------------------------------------------------------------------------- */

/* What the device knows of a peer. */
struct knowledge {
	struct cv_handshake handshake;
	const struct cv_index_entry *entry;
	const struct cv_keypair *current, *next, *previous;
	uint64_t rx_bytes, tx_bytes;
	cv_time last_initiation;
	struct cv_timers timers;
	struct cv_endpoint remote;
	struct cv_source local;
};

static void recall(struct cv_peer *of, struct knowledge *ret_knowledge)
{
	bool plain;

	memset(ret_knowledge, 0, sizeof(*ret_knowledge));
	memcpy(&ret_knowledge->handshake, of->handshake, sizeof(*of->handshake));
	ret_knowledge->entry = of->handshake_entry;
	ret_knowledge->current = of->current;
	ret_knowledge->next = of->next;
	ret_knowledge->previous = of->previous;
	ret_knowledge->rx_bytes = of->rx_bytes;
	ret_knowledge->tx_bytes = of->tx_bytes;
	ret_knowledge->last_initiation = of->last_initiation;
	memcpy(&ret_knowledge->timers, &of->timers, sizeof(of->timers));
	cv_peer_endpoint(of, world.now, &ret_knowledge->remote, &ret_knowledge->local, &plain);
}

static void must_be_unchanged(struct cv_peer *of, const struct knowledge *before)
{
	struct knowledge now;

	recall(of, &now);
	must(!memcmp(&now.handshake, &before->handshake, sizeof(now.handshake)));
	must(now.entry == before->entry && now.current == before->current);
	must(now.next == before->next && now.previous == before->previous);
	must(now.rx_bytes == before->rx_bytes && now.tx_bytes == before->tx_bytes);
	must(now.last_initiation == before->last_initiation);
	must(!memcmp(&now.timers, &before->timers, sizeof(now.timers)));
	must(cv_endpoint_equal(&now.remote, &before->remote));
	must(cv_source_equal(&now.local, &before->local));
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
	struct knowledge known, others;
	int type;

	if (!len)
		return;
	type = cv_message_type(bytes, len);
	if (type == CV_MESSAGE_INITIATION || type == CV_MESSAGE_RESPONSE)
		admitted = is_admitted(bytes, len, from);
	recall(world.peer, &known);
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
	} else {
		must_be_unchanged(world.peer, &known);
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
	far_hear(&peer, &aead, first);
}

/* Steps ----------------------------------------------------------------------------------- */

static void note(const uint8_t *bytes, size_t len, const uint8_t *plain, uint32_t plain_len)
{
	struct said *one = &said.list[said.n];

	if (said.n == SAID_MAX)
		return;
	*one = (struct said){ .len = (uint32_t)len, .plain_len = plain_len };
	memcpy(one->bytes, bytes, len);
	if (plain_len)
		memcpy(one->plain, plain, plain_len);
	said.n++;
}

/* Change a message on its way. Return: its length, 0 when it is lost. */
static size_t change(struct input *input, uint8_t how, uint8_t *bytes, size_t len)
{
	struct cv_handshake copy;
	size_t at;

	switch (how & 7) {
	case 1:
	case 2: /* a byte; with the next, under a mac1 that is right */
		at = read16(input) % len;
		bytes[at] ^= read8(input) | 1;
		peer.garbled |= at >= 4 && at < 8;
		if ((how & 7) == 1 || (len != 148 && len != 92))
			return len;
		copy = peer.handshake;
		cv_cookie_stamp(&copy, bytes, len, world.now);
		return len;
	case 3:
		return read16(input) % len;
	case 4: {
		size_t more = read8(input);

		memset(bytes + len, (int)more, more);
		return len + more;
	}
	case 5:
		at = len - 1 - read8(input) % MAC2;
		bytes[at] ^= read8(input) | 1;
		return len;
	case 6:
		return 0;
	default:
		return len;
	}
}

static struct cv_endpoint read_place(uint8_t how)
{
	struct cv_endpoint at = peer_at;

	if (how & 64)
		at.addr.b[3] = 77;
	if (how & 128)
		at.port = 77;
	return at;
}

static size_t read_data(struct input *input, uint8_t how, uint8_t *out)
{
	struct made made = { .family = AF_INET, .protocol = IPPROTO_UDP, .ttl = 64 };
	uint8_t plain[PLAIN_MAX];
	uint32_t len = 0;
	size_t sealed;

	if (said.n == SAID_MAX)
		return 0;
	if (how & 8) {
		made.payload = read8(input) % 64 + 8U;
		made.at = (uint32_t)said.n << 8;
		make_packet(plain, &made);
		plain[13] = how & 16 ? 2 : 1; /* the other peer's, or its own */
		put16(plain + 10, 0);
		put16(plain + 10, ~naive_sum(0, plain, 20) & 0xffff);
		/* Tells two packets apart. */
		put32(plain + 28, (uint32_t)said.n);
		put32(plain + 32, random_number());
		put16(plain + 26, 0);
		len = made_len(&made);
	}
	memcpy(out + 16, plain, len);
	sealed = far_seal(&peer, how & 32 ? read8(input) : 0, &aead, len, out);
	if (sealed)
		note(out, sealed, plain, how & 16 ? 0 : len);
	return sealed;
}

static size_t read_message(struct input *input, uint8_t what, uint8_t how, uint8_t *out)
{
	size_t len = 0;

	switch (what) {
	case 0:
		len = far_initiate(&peer, out);
		break;
	case 1:
		len = far_respond(&peer, out);
		break;
	case 2:
		for (size_t i = world.n_sent; i-- > 0 && !len;)
			if (world.sent[i].len == 148 || world.sent[i].len == 92)
				len = far_cookie(&peer, &world.sent[i], out);
		break;
	default:
		return read_data(input, how, out);
	}
	if (len)
		note(out, len, NULL, 0);
	return len;
}

static void pass_time(struct input *input)
{
	static const int64_t ms[] = { 1, 20, 1000, 5400, 10000, 15400, 120000, 180000, 540000 };
	uint8_t how = read8(input);
	size_t first = world.n_sent;

	world.now += ms[how % 9] * CV_NS_PER_MS;
	world.wall_ns += ms[how % 9] * CV_NS_PER_MS;
	if (how & 64)
		world.wall_ns -= 3600 * CV_NS_PER_S;
	world_turn();
	if (!(how & 128))
		far_hear(&peer, &aead, first);
}

static void from_tun(struct input *input)
{
	struct made made = { .family = AF_INET, .protocol = IPPROTO_UDP, .ttl = 64 };
	uint8_t packet[512], how = read8(input);
	size_t first = world.n_sent;

	made.payload = read8(input);
	make_packet(packet, &made);
	packet[17] = how % 4; /* 10.1 is the peer's, 10.2 the other's, the rest is nobody's */
	world_tun(packet, made_len(&made));
	far_hear(&peer, &aead, first);
}

static void step(struct input *input)
{
	static const int errors[] = { 0, EAGAIN, ENOBUFS, EPERM, ENETUNREACH, EMSGSIZE, EINVAL, 0 };
	uint8_t what = read8(input), how, bytes[WIRE_MAX];
	struct cv_endpoint from;
	size_t len;

	switch (what % 10) {
	case 0:
		pass_time(input);
		return;
	case 1:
		from_tun(input);
		return;
	case 2:
		how = read8(input);
		world.send_error = errors[how & 7];
		if (how & 8)
			world.device.loaded_until = world.now + CV_NS_PER_S;
		return;
	case 3: /* any bytes, as any message */
		how = read8(input);
		read_bytes(input, bytes, 160);
		if (how & 7)
			memcpy(bytes, (uint8_t[]){ how & 7, 0, 0, 0 }, 4);
		len = how & 8 ? (size_t[]){ 32, 148, 92, 64, 32, 33, 160, 31 }[how & 7]
			      : read8(input) % 161U;
		from = read_place(how);
		arrive(bytes, len, &from);
		return;
	case 4: /* again, or at last */
		how = read8(input);
		if (!said.n)
			return;
		what = read8(input) % (uint8_t)said.n;
		len = said.list[what].len;
		memcpy(bytes, said.list[what].bytes, len);
		break;
	case 5:
		how = read8(input);
		len = far_initiate(&stranger, bytes);
		break;
	default:
		how = read8(input);
		len = read_message(input, (uint8_t)(what % 10 - 6), how, bytes);
		break;
	}
	if (len)
		len = change(input, how, bytes, len);
	from = read_place(how);
	arrive(bytes, len, &from);
}

/* All is quiet, and both want to talk. */
static void must_recover(void)
{
	uint8_t bytes[WIRE_MAX];
	size_t sessions = peer.n_sessions, first, len;
	struct input data = { (const uint8_t *)"\10", 1 };

	world.send_error = 0;
	world.device.loaded_until = 0;
	world.now += 6 * CV_NS_PER_S;
	/* A clock of the peer's that was set back would have to catch up first. */
	world.wall_ns += (int64_t)STEPS_MAX * 2 * 3600 * CV_NS_PER_S;
	first = world.n_sent;
	world_turn();
	far_hear(&peer, &aead, first);

	said.n = 0;
	len = far_initiate(&peer, bytes);
	note(bytes, len, NULL, 0);
	arrive(bytes, len, &peer_at);
	must(peer.n_sessions == sessions + 1 || peer.n_sessions > sessions);
	len = read_data(&data, 8, bytes);
	arrive(bytes, len, &peer_at);
	must(said.list[said.n - 1].delivered);

	first = world.n_sent;
	data = (struct input){ (const uint8_t *)"\1\12", 2 };
	from_tun(&data);
	must(world.n_sent > first && world.sent[first].bytes[0] == CV_MESSAGE_DATA);
	must(cv_endpoint_equal(&world.sent[first].to, &peer_at));
}

static void far_open(struct far *far, uint8_t private_byte)
{
	uint8_t key[32];

	memset(key, private_byte, sizeof(key));
	cv_identity_init(&far->self, key);
	cv_handshake_init(&far->handshake, &far->self, world.device.self->public_key);
}

static void begin(struct far *ret_peer, struct far *ret_stranger, struct cv_identity *ret_bystander)
{
	uint8_t key[32];

	memset(key, 0x11, sizeof(key));
	world_open(key);
	must(cv_aead_init(&aead, NULL) == 0);
	far_open(ret_peer, 0x22);
	far_open(ret_stranger, 0x33);
	memset(key, 0x44, sizeof(key));
	cv_identity_init(ret_bystander, key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct far fresh_peer, fresh_stranger;
	static struct cv_identity bystander;
	struct input input = { data, size };
	uint8_t psk[32] = { 0 };

	if (!world.device.up)
		begin(&fresh_peer, &fresh_stranger, &bystander);
	world_reset(hash_of(data, size));
	peer = fresh_peer;
	stranger = fresh_stranger;
	said.n = said.packets = 0;
	world.peer = world_add_peer(peer.self.public_key, 1, &peer_at);
	world.bystander = world_add_peer(bystander.public_key, 2, &bystander_at);
	psk[0] = read8(&input) & 1;
	cv_handshake_set_psk(world.peer->handshake, psk);
	cv_handshake_set_psk(&peer.handshake, psk);
	for (int steps = 0; input.left && steps < STEPS_MAX; steps++)
		step(&input);
	must_recover();
	far_close(&peer);
	return 0;
}
