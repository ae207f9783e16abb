/*
 * fuzz wire: a stranger and a peer speak to a live device (fuzz_world.h).
 *
 * The input is a list of steps, a byte each and what it needs: time passes; a packet comes from the
 * TUN; the device comes under load, or its socket fails; any bytes arrive; the peer sends an
 * initiation, a response, a cookie reply, data, a frame, under one suite or the other, which arrive
 * as they are or changed; something that was sent before arrives again, from elsewhere; a stranger
 * who knows our public key initiates; the device says goodbye, or asks the peer for addresses. The
 * peer hears and understands whatever the device sends.
 *
 * Oracle: what is not the peer's own word, fresh and unchanged, is answered by no more bytes than
 * it had, changes nothing that we know of the peer, and is counted once; nothing comes out that the
 * peer did not seal, and nothing twice; received = delivered + keepalives + handshakes + drops;
 * what the device sends under a session opens, each under a number of its own, and under a suite
 * from just then on when conf/convoy-wire.md says so; a probe is echoed once, by no more bytes than
 * it had, unless there were too many; no size is in use but one that was echoed, or what every path
 * carries; a frame that is not heeded is counted by its reason; a goodbye ends the session it came
 * in if that is the one in use, and else nothing; who asks is granted what there is, once, and not
 * too often; nobody's doings touch the other peer; and after all that a new handshake succeeds,
 * data goes both ways, a hello is answered, and data goes both ways under the suite.
 */
#include "fuzz_wire_judge.h"

enum {
	STEPS_MAX = 80,
	MAC2 = 16,
	DATA_IS_FRAME = 64, /* bits of a step that says data */
	DATA_HAS_SUITE = 128,
};

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

static uint32_t pad(uint8_t *plain, uint32_t len, uint8_t size)
{
	while (len < size)
		plain[len++] = 0;
	return len;
}

/* Of any kind, as it is or broken, or any bytes that are no packet. */
static uint32_t read_frame(struct input *input, uint8_t how, uint8_t *plain)
{
	struct cv_frame frame = { .kind = (enum cv_frame_kind)(1 + read8(input) % CV_FRAME_GRANT) };
	uint32_t len;

	if (how & 8) {
		len = read8(input) % 64 + 1U;
		read_bytes(input, plain, len);
	} else {
		frame.offer.cost_ns[CV_SUITE_CHACHA20_POLY1305] = read8(input) * 8U;
		frame.offer.cost_ns[CV_SUITE_AES256_GCM] = read8(input) * 8U;
		frame.suite = (enum cv_suite)(read8(input) % CV_SUITES);
		frame.mark.number = peer.probes[how & 7].number;
		frame.probed = peer.probes[how & 7].size;
		frame.mark.clock_us = frame.offer.cost_ns[0] << 20;
		frame.received = (struct cv_received){ how >> 5, how >> 4, how };
		frame.grant.mtu = frame.kind == CV_FRAME_GRANT ? read8(input) : 0;
		len = (uint32_t)cv_frame_write(&frame, plain);
		if (frame.kind == CV_FRAME_PROBE)
			len = pad(plain, len, read8(input));
	}
	if (how & 16)
		plain[read8(input) % len] ^= read8(input);
	plain[0] = 0xc0 | (plain[0] & 15);
	return len;
}

/* Sealed in a session, and noted. */
static size_t say_data(struct input *input, uint8_t how, enum cv_suite suite, const uint8_t *plain,
		       uint32_t len, uint8_t *out)
{
	size_t back = how & 32 ? read8(input) : 0, sealed;

	memcpy(out + 16, plain, len);
	sealed = far_seal(&peer, back, suite, &aead, len, out);
	if (sealed) {
		note(out, sealed, plain, len);
		said.list[said.n - 1].session = peer.n_sessions - 1 - back;
		said.list[said.n - 1].suite = suite;
	}
	return sealed;
}

static size_t say_frame(struct input *input, uint8_t how, enum cv_suite suite, uint8_t *out)
{
	uint8_t plain[PLAIN_MAX];
	uint32_t len;
	size_t sealed;

	if (said.n == SAID_MAX)
		return 0;
	len = read_frame(input, how, plain);
	sealed = say_data(input, how, suite, plain, len, out);
	if (sealed) {
		said.list[said.n - 1].plain_len = 0; /* to be delivered */
		said.list[said.n - 1].frame_len = len;
	}
	return sealed;
}

static size_t read_data(struct input *input, uint8_t how, enum cv_suite suite, uint8_t *out)
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
	sealed = say_data(input, how, suite, plain, len, out);
	if (sealed && how & 16)
		said.list[said.n - 1].plain_len = 0;
	return sealed;
}

static size_t read_message(struct input *input, uint8_t what, uint8_t how, uint8_t *out)
{
	enum cv_suite suite = what & DATA_HAS_SUITE && gcm ? CV_SUITE_AES256_GCM : 0;
	size_t len = 0;

	switch (what % 10 - 6) {
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
		if (what & DATA_IS_FRAME)
			return say_frame(input, how, suite, out);
		return read_data(input, how, suite, out);
	}
	if (len)
		note(out, len, NULL, 0);
	return len;
}

/* Requests go out as time passes only, so that what is an answer to an arrival can be told. */
static void rest_asking(void)
{
	if (world.device.asking.when.on)
		world.device.asking.when.earliest = world.now + 1;
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
	check_mtu();
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

static void say_goodbye(void)
{
	size_t first = world.n_sent;

	world.stops = true;
	cv_device_say_goodbye(&world.device, world.now);
	must(world.n_sent <= first + 1);
	must(world.n_sent == first || world.peer->extension.state == CV_EXTENSION_CONVOY);
	world_turn(); /* an old session asks for another, whatever is sent in it */
	far_hear(&peer, &aead, first);
	world.stops = false;
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
		if (how & 16)
			say_goodbye();
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
		len = read_message(input, what, how, bytes);
		break;
	}
	if (len)
		len = change(input, how, bytes, len);
	from = read_place(how);
	arrive(bytes, len, &from);
}

/* The peer says a frame: its kind - 1, and what else read_frame() reads. */
static void say(const char *bytes, size_t len)
{
	struct input frame = { (const uint8_t *)bytes, len };
	uint8_t out[WIRE_MAX];
	size_t sealed = say_frame(&frame, 0, CV_SUITE_CHACHA20_POLY1305, out);

	must(sealed);
	arrive(out, sealed, &peer_at);
}

/* There is a session: hello, the suite both ways, what is handed over, goodbye. */
static void must_extend(void)
{
	struct far_suite *suite = &peer.suites[(peer.n_sessions - 1) % SESSIONS_MAX];
	bool off = world.peer->extension.off;
	struct input data = { (const uint8_t *)"\12", 1 };
	size_t answers = peer.answers, grants = peer.grants, first, len;
	uint8_t bytes[WIRE_MAX];

	say("\0\144\144", 3);
	must(peer.answers == answers + !off);
	if (suite->agreed) {
		len = read_data(&data, 8, suite->agreed, bytes);
		arrive(bytes, len, &peer_at);
		must(said.list[said.n - 1].delivered);
	}
	data = (struct input){ (const uint8_t *)"\1\12", 2 };
	first = world.n_sent;
	from_tun(&data);
	must(world.n_sent > first && world.sent[first].bytes[0] == CV_MESSAGE_DATA);
	must(world.sent[first].bytes[1] == suite->agreed);
	say("\5", 1);
	must(peer.grants == grants + !off);
	say("\2", 1);
	data = (struct input){ (const uint8_t *)"\1\12", 2 };
	first = world.n_sent;
	from_tun(&data);
	must(world.n_sent > first);
	must(world.sent[first].bytes[0] == (off ? CV_MESSAGE_DATA : CV_MESSAGE_INITIATION));
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
	rest_asking();
	far_hear(&peer, &aead, first);

	said.n = 0;
	len = far_initiate(&peer, bytes);
	note(bytes, len, NULL, 0);
	arrive(bytes, len, &peer_at);
	must(peer.n_sessions == sessions + 1 || peer.n_sessions > sessions);
	len = read_data(&data, 8, CV_SUITE_CHACHA20_POLY1305, bytes);
	arrive(bytes, len, &peer_at);
	must(said.list[said.n - 1].delivered);

	first = world.n_sent;
	data = (struct input){ (const uint8_t *)"\1\12", 2 };
	from_tun(&data);
	must(world.n_sent > first && world.sent[first].bytes[0] == CV_MESSAGE_DATA);
	must(cv_endpoint_equal(&world.sent[first].to, &peer_at));
	must_extend();
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
	gcm = cv_aead_key_prepare(&aead, CV_SUITE_AES256_GCM, key, &(struct cv_suite_key){ 0 }) ==
	      0;
}

static void give(void *arg, const struct cv_key *public_key)
{
	cv_device_grant(&world.device, public_key, &world_gift, world.now);
}

/* What it says of itself beyond WireGuard, and whether it asks the peer for addresses. */
static void set_extension(uint8_t how)
{
	struct cv_key whom;

	memcpy(whom.b, peer.self.public_key, sizeof(whom.b));
	cv_device_ask(&world.device, NULL, world.now);
	if (how & 16)
		cv_device_ask(&world.device, &whom, world.now);
	world.device.offer.cost_ns[CV_SUITE_CHACHA20_POLY1305] = how & 8 ? 0 : 1000;
	world.device.offer.cost_ns[CV_SUITE_AES256_GCM] = how & 4 || !gcm ? 0 : 300;
	world.peer->extension.off = how & 2;
	world.gives = how & 16;
	cv_device_heed_requests(&world.device, world.gives ? give : NULL, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct far fresh_peer, fresh_stranger;
	static struct cv_identity bystander;
	struct input input = { data, size };
	uint8_t psk[32] = { 0 }, how;

	if (!world.device.up)
		begin(&fresh_peer, &fresh_stranger, &bystander);
	world_reset(hash_of(data, size));
	peer = fresh_peer;
	stranger = fresh_stranger;
	said.n = said.packets = said.echoed = 0;
	world.peer = world_add_peer(peer.self.public_key, 1, &peer_at);
	world.bystander = world_add_peer(bystander.public_key, 2, &bystander_at);
	how = read8(&input);
	set_extension(how);
	world_turn();
	rest_asking();
	psk[0] = how & 1;
	cv_handshake_set_psk(world.peer->handshake, psk);
	cv_handshake_set_psk(&peer.handshake, psk);
	for (int steps = 0; input.left && steps < STEPS_MAX; steps++)
		step(&input);
	must_recover();
	far_close(&peer);
	return 0;
}
