/*
 * Frames: a header of four bytes, then options.
 *
 *	0xc1 | kind | length of what follows | 0 | option | option | ...
 *	option: type | length | value
 *
 * Each option has one function that appends it and one that reads it.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include <convoy/base/wire.h>
#include <convoy/noise/frame.h>

enum {
	MAGIC = 0xc1, /* no IP version; 1 is the version of frames */
	HEADER_SIZE = 4,
	OPTION_SIZE = 2,
};

enum option {
	OPTION_SUITES = 1,   /* of a hello: what is offered */
	OPTION_SUITE = 2,    /* of an answer: what is chosen */
	OPTION_MARK = 3,     /* of a probe or an echo */
	OPTION_RECEIVED = 4, /* of a probe or an echo */
	OPTION_PROBED = 5,   /* of an echo */
	OPTION_ADDRESS = 6,  /* of a grant, as those below: at most one of a family */
	OPTION_MTU = 7,
	OPTION_DNS = 8, /* one each */
	OPTION_ROUTE = 9,
};

/* Values as they stand on the wire. */
struct offered {
	uint8_t suite;
	cv_le32 cost_ns;
};

struct mark {
	cv_le32 number, clock_us;
};

struct received {
	cv_le64 accepted, expected;
	cv_le32 jitter_us;
};

struct prefix {
	uint8_t bits;
	uint8_t addr[16]; /* 4 of them for IPv4 */
};

_Static_assert(sizeof(struct offered) == 5 && sizeof(struct mark) == 8 &&
		       sizeof(struct received) == 20 && sizeof(struct prefix) == 17,
	       "conf/convoy-wire.md");
_Static_assert(HEADER_SIZE + 2 * OPTION_SIZE + 5 + 17 + OPTION_SIZE + 2 +
			       CV_GRANT_DNS_MAX * (OPTION_SIZE + 16) +
			       CV_GRANT_ROUTES_MAX * (OPTION_SIZE + 17) <=
		       CV_FRAME_MAX,
	       "the longest frame, a grant, has room");

static uint8_t *put(uint8_t *at, enum option type, const void *value, size_t len)
{
	at[0] = (uint8_t)type;
	at[1] = (uint8_t)len;
	memcpy(at + OPTION_SIZE, value, len);
	return at + OPTION_SIZE + len;
}

static uint8_t *put_offer(uint8_t *at, const struct cv_suite_offer *offer)
{
	struct offered offered[CV_SUITES] = { 0 };
	size_t n = 0;

	for (unsigned suite = 0; suite < CV_SUITES; suite++)
		if (offer->cost_ns[suite])
			offered[n++] = (struct offered){ (uint8_t)suite,
							 cv_le32_of(offer->cost_ns[suite]) };
	return put(at, OPTION_SUITES, offered, n * sizeof(offered[0]));
}

static uint8_t *put_suite(uint8_t *at, enum cv_suite suite)
{
	const uint8_t value = (uint8_t)suite;

	return put(at, OPTION_SUITE, &value, sizeof(value));
}

static uint8_t *put_mark(uint8_t *at, const struct cv_mark *mark)
{
	const struct mark value = { cv_le32_of(mark->number), cv_le32_of(mark->clock_us) };

	return put(at, OPTION_MARK, &value, sizeof(value));
}

static uint8_t *put_received(uint8_t *at, const struct cv_received *received)
{
	const struct received value = { cv_le64_of(received->accepted),
					cv_le64_of(received->expected),
					cv_le32_of(received->jitter_us) };

	return put(at, OPTION_RECEIVED, &value, sizeof(value));
}

static uint8_t *put_number16(uint8_t *at, enum option type, uint16_t number)
{
	const uint8_t value[] = { (uint8_t)number, (uint8_t)(number >> 8) };

	return put(at, type, value, sizeof(value));
}

static uint8_t *put_prefix(uint8_t *at, enum option type, const struct cv_prefix *prefix)
{
	struct prefix value = { .bits = prefix->bits };
	size_t size = cv_addr_size(prefix->addr.family);

	if (!size)
		return at;
	memcpy(value.addr, prefix->addr.b, size);
	return put(at, type, &value, 1 + size);
}

static uint8_t *put_grant(uint8_t *at, const struct cv_grant *grant)
{
	at = put_prefix(at, OPTION_ADDRESS, &grant->address4);
	at = put_prefix(at, OPTION_ADDRESS, &grant->address6);
	if (grant->mtu)
		at = put_number16(at, OPTION_MTU, grant->mtu);
	for (size_t i = 0; i < grant->dns_n; i++)
		at = put(at, OPTION_DNS, grant->dns[i].b, cv_addr_size(grant->dns[i].family));
	for (size_t i = 0; i < grant->routes_n; i++)
		at = put_prefix(at, OPTION_ROUTE, &grant->routes[i]);
	return at;
}

static uint8_t *put_options(uint8_t *at, const struct cv_frame *frame)
{
	switch (frame->kind) {
	case CV_FRAME_HELLO:
		return put_offer(at, &frame->offer);
	case CV_FRAME_ANSWER:
		return put_suite(at, frame->suite);
	case CV_FRAME_PROBE:
		at = put_mark(at, &frame->mark);
		return put_received(at, &frame->received);
	case CV_FRAME_ECHO:
		at = put_mark(at, &frame->mark);
		at = put_received(at, &frame->received);
		return put_number16(at, OPTION_PROBED, frame->probed);
	case CV_FRAME_GRANT:
		return put_grant(at, &frame->grant);
	case CV_FRAME_GOODBYE:
	case CV_FRAME_REQUEST:
		break;
	}
	return at;
}

size_t cv_frame_write(const struct cv_frame *frame, uint8_t ret_text[CV_FRAME_MAX])
{
	const uint8_t header[HEADER_SIZE] = { MAGIC, (uint8_t)frame->kind, 0, 0 };
	uint8_t *end;

	memcpy(ret_text, header, sizeof(header));
	end = put_options(ret_text + HEADER_SIZE, frame);
	ret_text[2] = (uint8_t)(end - ret_text - HEADER_SIZE);
	return (size_t)(end - ret_text);
}

static int parse_offer(const uint8_t *value, size_t len, struct cv_suite_offer *offer)
{
	if (len % sizeof(struct offered))
		return -EBADMSG;
	for (size_t i = 0; i < len; i += sizeof(struct offered)) {
		struct offered offered;

		memcpy(&offered, value + i, sizeof(offered));
		if (offered.suite < CV_SUITES)
			offer->cost_ns[offered.suite] = cv_le32_get(offered.cost_ns);
	}
	return 0;
}

static int parse_suite(const uint8_t *value, size_t len, enum cv_suite *suite)
{
	if (len != 1 || value[0] >= CV_SUITES)
		return -EBADMSG;
	*suite = (enum cv_suite)value[0];
	return 0;
}

static int parse_mark(const uint8_t *value, size_t len, struct cv_mark *ret_mark)
{
	struct mark mark;

	if (len != sizeof(mark))
		return -EBADMSG;
	memcpy(&mark, value, sizeof(mark));
	*ret_mark = (struct cv_mark){ cv_le32_get(mark.number), cv_le32_get(mark.clock_us) };
	return 0;
}

static int parse_received(const uint8_t *value, size_t len, struct cv_received *ret_received)
{
	struct received received;

	if (len != sizeof(received))
		return -EBADMSG;
	memcpy(&received, value, sizeof(received));
	*ret_received = (struct cv_received){
		.accepted = cv_le64_get(received.accepted),
		.expected = cv_le64_get(received.expected),
		.jitter_us = cv_le32_get(received.jitter_us),
	};
	return 0;
}

static int parse_number16(const uint8_t *value, size_t len, uint16_t *ret_number)
{
	if (len != 2)
		return -EBADMSG;
	*ret_number = (uint16_t)(value[0] | value[1] << 8);
	return 0;
}

/* The family is told by the length. */
static int parse_addr(const uint8_t *value, size_t len, struct cv_addr *ret_addr)
{
	*ret_addr = (struct cv_addr){ .family = len == 4 ? AF_INET : AF_INET6 };
	if (len != cv_addr_size(ret_addr->family))
		return -EBADMSG;
	memcpy(ret_addr->b, value, len);
	return 0;
}

static int parse_prefix(const uint8_t *value, size_t len, struct cv_prefix *ret_prefix)
{
	if (!len || parse_addr(value + 1, len - 1, &ret_prefix->addr) < 0)
		return -EBADMSG;
	ret_prefix->bits = value[0];
	return value[0] <= cv_addr_bits(ret_prefix->addr.family) ? 0 : -EBADMSG;
}

static int parse_address(const uint8_t *value, size_t len, struct cv_grant *grant)
{
	struct cv_prefix prefix, *slot;

	if (parse_prefix(value, len, &prefix) < 0)
		return -EBADMSG;
	slot = prefix.addr.family == AF_INET ? &grant->address4 : &grant->address6;
	if (slot->addr.family)
		return -EBADMSG;
	*slot = prefix;
	return 0;
}

static int parse_of_grant(unsigned type, const uint8_t *value, size_t len, struct cv_grant *grant)
{
	switch (type) {
	case OPTION_ADDRESS:
		return parse_address(value, len, grant);
	case OPTION_MTU:
		return parse_number16(value, len, &grant->mtu);
	case OPTION_DNS:
		if (grant->dns_n == CV_GRANT_DNS_MAX)
			return -EBADMSG;
		return parse_addr(value, len, &grant->dns[grant->dns_n++]);
	case OPTION_ROUTE:
		if (grant->routes_n == CV_GRANT_ROUTES_MAX)
			return -EBADMSG;
		return parse_prefix(value, len, &grant->routes[grant->routes_n++]);
	default:
		return 0;
	}
}

static int parse_of_probe(unsigned type, const uint8_t *value, size_t len, struct cv_frame *frame)
{
	if (type == OPTION_MARK)
		return parse_mark(value, len, &frame->mark);
	if (type == OPTION_RECEIVED)
		return parse_received(value, len, &frame->received);
	if (type == OPTION_PROBED && frame->kind == CV_FRAME_ECHO)
		return parse_number16(value, len, &frame->probed);
	return 0;
}

/* An option that does not belong into this kind of frame is one that we do not know. */
static int parse_option(unsigned type, const uint8_t *value, size_t len, struct cv_frame *frame)
{
	switch (frame->kind) {
	case CV_FRAME_HELLO:
		return type == OPTION_SUITES ? parse_offer(value, len, &frame->offer) : 0;
	case CV_FRAME_ANSWER:
		return type == OPTION_SUITE ? parse_suite(value, len, &frame->suite) : 0;
	case CV_FRAME_PROBE:
	case CV_FRAME_ECHO:
		return parse_of_probe(type, value, len, frame);
	case CV_FRAME_GRANT:
		return parse_of_grant(type, value, len, &frame->grant);
	case CV_FRAME_GOODBYE:
	case CV_FRAME_REQUEST:
		break;
	}
	return 0;
}

int cv_frame_parse(const uint8_t *text, size_t len, struct cv_frame *ret_frame)
{
	const uint8_t *at = text + HEADER_SIZE, *end;
	int r = 0;

	if (len < HEADER_SIZE)
		return -EBADMSG;
	if (text[0] != MAGIC || text[1] < CV_FRAME_HELLO || text[1] > CV_FRAME_GRANT)
		return -ENOTSUP;
	if (text[2] > CV_FRAME_MAX - HEADER_SIZE || text[2] > len - HEADER_SIZE || text[3] != 0)
		return -EBADMSG;
	*ret_frame = (struct cv_frame){ .kind = text[1] };
	end = at + text[2];
	for (; at < end && r == 0; at += OPTION_SIZE + at[1]) {
		if (end - at < OPTION_SIZE || end - at - OPTION_SIZE < at[1])
			return -EBADMSG;
		r = parse_option(at[0], at + OPTION_SIZE, at[1], ret_frame);
	}
	return r;
}
