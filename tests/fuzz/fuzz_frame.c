/*
 * fuzz frame: the plaintext of a data message that is no IP packet.
 *
 * Oracle: a slow reader of the tables in conf/convoy-wire.md says what it is and what is in it;
 * what was read is written, is read again and is the same; zeros behind it change nothing, and
 * neither does what is cut off behind the longest frame. What a file admits of a grant was in it,
 * lies within the file's bounds, and is admitted again whole; each other token was refused once.
 */
#include <errno.h>
#include <netinet/in.h>

#include <convoy/config/grant.h>
#include <convoy/noise/frame.h>

#include "fuzz.h"

enum {
	OPTIONS_MAX = CV_FRAME_MAX - 4,
	OPTION_SUITES = 1,
	OPTION_SUITE = 2,
	OPTION_MARK = 3,
	OPTION_RECEIVED = 4,
	OPTION_PROBED = 5,
	OPTION_ADDRESS = 6,
	OPTION_MTU = 7,
	OPTION_DNS = 8,
	OPTION_ROUTE = 9,
	OFFERED_SIZE = 5,
};

/* The model ------------------------------------------------------------------------------- */

static uint64_t read_little(struct input *value, size_t bytes)
{
	uint64_t number = 0;

	for (size_t i = 0; i < bytes; i++)
		number |= (uint64_t)read8(value) << 8 * i;
	return number;
}

/* A length byte, if it has one, and an address of 4 or 16 bytes. */
static bool expect_addr(struct input value, bool has_bits, struct cv_prefix *ret_prefix)
{
	uint8_t bits = has_bits && value.left ? read8(&value) : 0;

	*ret_prefix = (struct cv_prefix){ .bits = bits };
	if (value.left != 4 && value.left != 16)
		return false;
	ret_prefix->addr.family = value.left == 4 ? AF_INET : AF_INET6;
	if (bits > 8 * value.left)
		return false;
	read_bytes(&value, ret_prefix->addr.b, value.left);
	return true;
}

static bool expect_of_grant(uint8_t type, struct input value, struct cv_grant *grant)
{
	struct cv_prefix prefix, *slot;

	switch (type) {
	case OPTION_MTU:
		if (value.left != 2)
			return false;
		grant->mtu = (uint16_t)read_little(&value, 2);
		return true;
	case OPTION_ADDRESS:
		if (!expect_addr(value, true, &prefix))
			return false;
		slot = prefix.addr.family == AF_INET ? &grant->address4 : &grant->address6;
		if (slot->addr.family)
			return false;
		*slot = prefix;
		return true;
	case OPTION_DNS:
		if (grant->dns_n == 3 || !expect_addr(value, false, &prefix))
			return false;
		grant->dns[grant->dns_n++] = prefix.addr;
		return true;
	case OPTION_ROUTE:
		if (grant->routes_n == 8 || !expect_addr(value, true, &prefix))
			return false;
		grant->routes[grant->routes_n++] = prefix;
		return true;
	default:
		return true;
	}
}

static bool expect_of_probe(uint8_t type, struct input value, struct cv_frame *frame)
{
	if (type == OPTION_MARK) {
		if (value.left != 8)
			return false;
		frame->mark.number = (uint32_t)read_little(&value, 4);
		frame->mark.clock_us = (uint32_t)read_little(&value, 4);
	} else if (type == OPTION_RECEIVED) {
		if (value.left != 20)
			return false;
		frame->received.accepted = read_little(&value, 8);
		frame->received.expected = read_little(&value, 8);
		frame->received.jitter_us = (uint32_t)read_little(&value, 4);
	} else if (type == OPTION_PROBED && frame->kind == CV_FRAME_ECHO) {
		if (value.left != 2)
			return false;
		frame->probed = (uint16_t)read_little(&value, 2);
	}
	return true;
}

/* Return: false for a wrong length or number. */
static bool expect_option(uint8_t type, struct input value, struct cv_frame *frame)
{
	if (frame->kind == CV_FRAME_HELLO && type == OPTION_SUITES) {
		if (value.left % OFFERED_SIZE)
			return false;
		while (value.left) {
			uint8_t suite = read8(&value);
			uint32_t cost = (uint32_t)read_little(&value, 4);

			if (suite < CV_SUITES)
				frame->offer.cost_ns[suite] = cost;
		}
	}
	if (frame->kind == CV_FRAME_ANSWER && type == OPTION_SUITE) {
		if (value.left != 1 || *value.at >= CV_SUITES)
			return false;
		frame->suite = (enum cv_suite) * value.at;
	}
	if (frame->kind == CV_FRAME_PROBE || frame->kind == CV_FRAME_ECHO)
		return expect_of_probe(type, value, frame);
	return frame->kind != CV_FRAME_GRANT || expect_of_grant(type, value, &frame->grant);
}

static int expect(struct input text, struct cv_frame *ret_frame)
{
	struct input options = { 0 }, value = { 0 };
	uint8_t first, kind, len, type;

	*ret_frame = (struct cv_frame){ 0 };
	if (text.left < 4)
		return -EBADMSG;
	first = read8(&text);
	kind = read8(&text);
	if (first != 0xc1 || kind < CV_FRAME_HELLO || kind > CV_FRAME_GRANT)
		return -ENOTSUP;
	ret_frame->kind = (enum cv_frame_kind)kind;
	len = read8(&text);
	if (read8(&text) || len > OPTIONS_MAX || len > text.left)
		return -EBADMSG;
	options.left = read_piece(&text, len, &options.at);
	while (options.left) {
		if (options.left < 2)
			return -EBADMSG;
		type = read8(&options);
		len = read8(&options);
		value.left = read_piece(&options, len, &value.at);
		if (value.left < len || !expect_option(type, value, ret_frame))
			return -EBADMSG;
	}
	return 0;
}

/* The product ----------------------------------------------------------------------------- */

/* Of these bytes and no byte more. */
static int parse(const uint8_t *text, size_t len, struct cv_frame *ret_frame)
{
	uint8_t *copy = exact(text, len);
	int r = cv_frame_parse(copy, len, ret_frame);

	must(!memcmp(copy, text, len));
	free(copy);
	return r;
}

static void must_be_same(const struct cv_frame *a, const struct cv_frame *b)
{
	must(a->kind == b->kind && a->suite == b->suite);
	must(!memcmp(&a->offer, &b->offer, sizeof(a->offer)));
	must(!memcmp(&a->mark, &b->mark, sizeof(a->mark)) && a->probed == b->probed);
	must(a->received.accepted == b->received.accepted);
	must(a->received.expected == b->received.expected);
	must(a->received.jitter_us == b->received.jitter_us);
	must(!memcmp(&a->grant, &b->grant,
		     offsetof(struct cv_grant, routes) + sizeof(a->grant.routes)));
}

static void check_write(const struct cv_frame *frame)
{
	uint8_t *text = malloc(CV_FRAME_MAX), again[CV_FRAME_MAX];
	struct cv_frame read;
	size_t len;

	must(text);
	len = cv_frame_write(frame, text);
	must(len <= CV_FRAME_MAX && cv_frame_is(text, len));
	must(parse(text, len, &read) == 0);
	must_be_same(&read, frame);
	must(cv_frame_write(&read, again) == len && !memcmp(again, text, len));
	free(text);
}

/* Grants ---------------------------------------------------------------------------------- */

/* Bit by bit. */
static bool lies_within(const struct cv_prefix *outer, const struct cv_prefix *inner)
{
	if (outer->addr.family != inner->addr.family || inner->bits < outer->bits)
		return false;
	for (unsigned i = 0; i < outer->bits; i++)
		if ((outer->addr.b[i / 8] ^ inner->addr.b[i / 8]) >> (7 - i % 8) & 1)
			return false;
	return true;
}

static bool is_host(const struct cv_addr *addr)
{
	if (addr->family == AF_INET)
		return addr->b[0] != 0 && addr->b[0] != 127 && addr->b[0] < 224;
	return addr->b[0] != 0xff && (addr->b[0] != 0xfe || addr->b[1] >> 6 != 2);
}

static void must_be_admitted(const struct cv_config *config, const struct cv_prefix *endpoint,
			     const struct cv_grant *grant)
{
	const struct cv_prefix *allowed = config->peers[0].allowed_ips;

	for (size_t i = 0; i < grant->routes_n; i++) {
		const struct cv_prefix *route = &grant->routes[i];

		must(lies_within(&allowed[0], route) || lies_within(&allowed[1], route));
		must(route->bits == 0 || !lies_within(route, endpoint));
	}
	for (size_t i = 0; i < grant->dns_n; i++)
		must(is_host(&grant->dns[i]));
	must(!grant->mtu || grant->mtu >= (grant->address6.addr.family ? 1280 : 576));
}

static void must_be_granted(const struct cv_config *config, const struct cv_prefix *endpoint,
			    const struct cv_prefix *said, const struct cv_prefix *admitted)
{
	const struct cv_prefix *allowed = config->peers[0].allowed_ips;
	bool alone = admitted->bits == cv_addr_bits(admitted->addr.family);

	if (!admitted->addr.family)
		return;
	must(cv_addr_equal(&said->addr, &admitted->addr) && is_host(&admitted->addr));
	must(alone || admitted->bits == said->bits);
	must(!cv_addr_equal(&endpoint->addr, &admitted->addr));
	must(alone || lies_within(&allowed[0], admitted) || lies_within(&allowed[1], admitted));
	must(alone || !lies_within(admitted, endpoint));
}

static void count(void *arg, const char *what, const char *why)
{
	must(*what && *why);
	++*(size_t *)arg;
}

static size_t tokens(const struct cv_grant *grant)
{
	return (grant->address4.addr.family != 0) + (grant->address6.addr.family != 0) +
	       (grant->mtu != 0) + grant->dns_n + grant->routes_n;
}

static size_t narrowed(const struct cv_prefix *said, const struct cv_prefix *admitted)
{
	return admitted->addr.family && said->bits != admitted->bits;
}

/* `how`: which of two files, and where the peer is. */
static void check_admission(const struct cv_grant *said, uint8_t how)
{
	const char *const texts[] = { how & 1 ? "0.0.0.0/0" : "10.0.0.0/8",
				      how & 2 ? "::/0" : "fd00::/8" };
	struct cv_prefix allowed[2], endpoint;
	struct cv_config_peer peer = { .allowed_ips = allowed, .n_allowed_ips = 2 };
	const struct cv_config config = { .auto_address = true,
					  .auto_dns = true,
					  .auto_routes = true,
					  .peers = &peer,
					  .n_peers = 1 };
	struct cv_grant admitted, again;
	size_t refused = 0;

	for (int i = 0; i < 2; i++)
		must(cv_prefix_parse(texts[i], &allowed[i]) == 0);
	must(cv_prefix_parse(how & 4 ? "10.1.2.3" : "fd00::1:2", &endpoint) == 0);
	cv_config_admit(&config, said, &endpoint.addr, count, &refused, &admitted);
	must_be_admitted(&config, &endpoint, &admitted);
	must_be_granted(&config, &endpoint, &said->address4, &admitted.address4);
	must_be_granted(&config, &endpoint, &said->address6, &admitted.address6);
	must(tokens(said) + narrowed(&said->address4, &admitted.address4) +
		     narrowed(&said->address6, &admitted.address6) ==
	     tokens(&admitted) + refused);
	refused = 0;
	cv_config_admit(&config, &admitted, &endpoint.addr, count, &refused, &again);
	must(refused == 0);
	must(!memcmp(&again, &admitted, offsetof(struct cv_grant, routes) + sizeof(again.routes)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cv_frame expected, frame;
	uint8_t padded[CV_FRAME_MAX] = { 0 };
	int r = expect((struct input){ data, size }, &expected);

	must(cv_frame_is(data, size) == (size > 0 && data[0] >= 0xc0 && data[0] < 0xd0));
	must(parse(data, size, &frame) == r);
	if (r < 0)
		return 0;
	must(cv_frame_is(data, size));
	must_be_same(&frame, &expected);
	check_write(&frame);
	if (frame.kind == CV_FRAME_GRANT)
		check_admission(&frame.grant, data[size - 1]);
	memcpy(padded, data, size < sizeof(padded) ? size : sizeof(padded));
	must(parse(padded, sizeof(padded), &frame) == 0);
	must_be_same(&frame, &expected);
	return 0;
}
