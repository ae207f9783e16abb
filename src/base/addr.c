/*
 * Addresses and their text.
 *
 * inet_pton(3) and inet_ntop(3) know the forms of an address itself (they are pure functions);
 * what stands around it (prefix length, brackets, scope, port) is cut off here first. Numbers are
 * decimal digits only: no sign, no blank, no leading zero, which some other parser would read as
 * octal.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <convoy/base/addr.h>

unsigned cv_addr_size(uint8_t family)
{
	switch (family) {
	case AF_INET:
		return 4;
	case AF_INET6:
		return 16;
	default:
		return 0;
	}
}

unsigned cv_addr_bits(uint8_t family)
{
	return 8 * cv_addr_size(family);
}

bool cv_addr_equal(const struct cv_addr *a, const struct cv_addr *b)
{
	return a->family == b->family && memcmp(a->b, b->b, cv_addr_size(a->family)) == 0;
}

bool cv_addr_is_link_local(const struct cv_addr *addr)
{
	if (addr->family == AF_INET)
		return addr->b[0] == 169 && addr->b[1] == 254;
	return addr->family == AF_INET6 && addr->b[0] == 0xfe && (addr->b[1] & 0xc0) == 0x80;
}

bool cv_endpoint_equal(const struct cv_endpoint *a, const struct cv_endpoint *b)
{
	return a->port == b->port && a->scope == b->scope && cv_addr_equal(&a->addr, &b->addr);
}

bool cv_source_equal(const struct cv_source *a, const struct cv_source *b)
{
	return a->ifindex == b->ifindex && cv_addr_equal(&a->addr, &b->addr);
}

bool cv_prefix_equal(const struct cv_prefix *a, const struct cv_prefix *b)
{
	return a->bits == b->bits && cv_addr_equal(&a->addr, &b->addr);
}

/* The bits of byte i that lie inside a prefix of this many bits. */
static uint8_t mask_byte(unsigned bits, unsigned i)
{
	if (bits >= 8 * (i + 1))
		return 0xff;
	return bits > 8 * i ? (uint8_t)(0xff00 >> (bits - 8 * i)) : 0;
}

struct cv_prefix cv_prefix_of_host(const struct cv_addr *addr)
{
	return (struct cv_prefix){ *addr, (uint8_t)cv_addr_bits(addr->family) };
}

void cv_prefix_mask(struct cv_prefix *prefix)
{
	unsigned i;

	for (i = 0; i < sizeof(prefix->addr.b); i++)
		prefix->addr.b[i] &= mask_byte(prefix->bits, i);
}

bool cv_prefix_contains(const struct cv_prefix *prefix, const struct cv_addr *addr)
{
	unsigned whole = prefix->bits / 8;
	uint8_t mask = mask_byte(prefix->bits, whole);

	if (prefix->addr.family != addr->family || memcmp(prefix->addr.b, addr->b, whole) != 0)
		return false;
	return !mask || ((prefix->addr.b[whole] ^ addr->b[whole]) & mask) == 0;
}

/* Read a whole text of decimal digits as a number of at most max. */
static bool parse_number(const char *text, uint64_t max, uint64_t *ret_number)
{
	uint64_t number = 0;

	if (!*text || (text[0] == '0' && text[1]))
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		number = 10 * number + (uint64_t)(*text - '0');
		if (number > max)
			return false;
	}
	*ret_number = number;
	return true;
}

/* Copy [from, to) into a buffer as a text of its own. */
static bool cut(const char *from, const char *to, char *out, size_t size)
{
	size_t len = (size_t)(to - from);

	if (len >= size)
		return false;
	memcpy(out, from, len);
	out[len] = 0;
	return true;
}

int cv_addr_parse(const char *text, struct cv_addr *ret_addr)
{
	struct cv_addr addr = { .family = strchr(text, ':') ? AF_INET6 : AF_INET };

	if (inet_pton(addr.family, text, addr.b) != 1)
		return -EINVAL;
	*ret_addr = addr;
	return 0;
}

int cv_prefix_parse(const char *text, struct cv_prefix *ret_prefix)
{
	const char *slash = strchr(text, '/');
	char part[CV_ADDR_TEXT_MAX];
	struct cv_prefix prefix;
	uint64_t bits;

	if (!cut(text, slash ? slash : text + strlen(text), part, sizeof(part)))
		return -EINVAL;
	if (cv_addr_parse(part, &prefix.addr))
		return -EINVAL;
	bits = cv_addr_bits(prefix.addr.family);
	if (slash && !parse_number(slash + 1, bits, &bits))
		return -EINVAL;
	prefix.bits = (uint8_t)bits;
	*ret_prefix = prefix;
	return 0;
}

/* "[v6]" or "[v6%scope]" without the brackets. */
static int parse_scoped(char *text, struct cv_endpoint *endpoint)
{
	char *percent = strchr(text, '%');
	uint64_t scope = 0;

	if (percent) {
		*percent = 0;
		if (!parse_number(percent + 1, UINT32_MAX, &scope))
			return -EINVAL;
	}
	endpoint->scope = (uint32_t)scope;
	if (cv_addr_parse(text, &endpoint->addr) || endpoint->addr.family != AF_INET6)
		return -EINVAL;
	return 0;
}

int cv_endpoint_parse(const char *text, struct cv_endpoint *ret_endpoint)
{
	const char *colon = strrchr(text, ':');
	struct cv_endpoint endpoint = { 0 };
	char host[CV_ENDPOINT_TEXT_MAX];
	uint64_t port;

	if (!colon || !parse_number(colon + 1, UINT16_MAX, &port))
		return -EINVAL;
	if (text[0] == '[') {
		if (colon[-1] != ']' || !cut(text + 1, colon - 1, host, sizeof(host)) ||
		    parse_scoped(host, &endpoint))
			return -EINVAL;
	} else if (!cut(text, colon, host, sizeof(host)) || cv_addr_parse(host, &endpoint.addr) ||
		   endpoint.addr.family != AF_INET) {
		return -EINVAL;
	}
	endpoint.port = (uint16_t)port;
	*ret_endpoint = endpoint;
	return 0;
}

const char *cv_addr_format(const struct cv_addr *addr, char ret_text[CV_ADDR_TEXT_MAX])
{
	if (!inet_ntop(addr->family, addr->b, ret_text, CV_ADDR_TEXT_MAX))
		strcpy(ret_text, "none");
	return ret_text;
}

const char *cv_prefix_format(const struct cv_prefix *prefix, char ret_text[CV_PREFIX_TEXT_MAX])
{
	char addr[CV_ADDR_TEXT_MAX];

	snprintf(ret_text, CV_PREFIX_TEXT_MAX, "%s/%u", cv_addr_format(&prefix->addr, addr),
		 prefix->bits);
	return ret_text;
}

const char *cv_endpoint_format(const struct cv_endpoint *endpoint,
			       char ret_text[CV_ENDPOINT_TEXT_MAX])
{
	char addr[CV_ADDR_TEXT_MAX];

	cv_addr_format(&endpoint->addr, addr);
	if (endpoint->addr.family != AF_INET6)
		snprintf(ret_text, CV_ENDPOINT_TEXT_MAX, "%s:%u", addr, endpoint->port);
	else if (!endpoint->scope)
		snprintf(ret_text, CV_ENDPOINT_TEXT_MAX, "[%s]:%u", addr, endpoint->port);
	else
		snprintf(ret_text, CV_ENDPOINT_TEXT_MAX, "[%s%%%u]:%u", addr, endpoint->scope,
			 endpoint->port);
	return ret_text;
}
