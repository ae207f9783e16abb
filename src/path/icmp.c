/*
 * icmp: the answer to a packet that we cannot carry, as the kernel would give it.
 *
 *	answer   | IP: from -> packet's source | type, code, csum, 0    | head of the packet |
 *
 * The packet comes back as far as it fits: 576 bytes in all over IPv4 (RFC 1812 section 4.3.2.3),
 * 1280 over IPv6 (RFC 4443 section 3.1).
 */
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <string.h>

#include <convoy/base/wire.h>
#include <convoy/packet/csum.h>
#include <convoy/packet/ip.h>
#include <convoy/path/icmp.h>

#include "internal.h"

enum {
	ANSWER4_MAX = 576,
	HOPS = 64,   /* RFC 1700's default, the kernel's too */
	TOS4 = 0xc0, /* internetwork control, RFC 1812 section 4.3.2.5 */
};

/* RFC 792, RFC 1191; RFC 4443, sections 3.1 and 3.2. */
struct icmp_header {
	uint8_t type;
	uint8_t code;
	cv_be16 csum;
	cv_be32 mtu; /* 0 where it is none; RFC 1191 has 16 bits, behind 16 of zeros */
};

_Static_assert(sizeof(struct icmp_header) == 8, "RFC 792");

/* IPv4: RFC 1122, section 3.2.2. */
static bool may_answer4(const struct cv_ip *ip, const uint8_t *packet)
{
	const struct cv_ip4 *header = (const struct cv_ip4 *)packet;
	const uint8_t *src = ip->src.b, *dst = ip->dst.b;

	/* Sources must be one host: not 0/8, loopback, multicast, class E or broadcast. */
	if (src[0] == 0 || src[0] == 127 || src[0] >= 224)
		return false;
	/* Multicast or broadcast; class E otherwise is a destination like any other. */
	if ((dst[0] & 0xf0) == 224 || !memcmp(dst, "\xff\xff\xff\xff", 4))
		return false;
	if (cv_be16_get(header->frag) & CV_IP4_OFFSET_MASK)
		return false;
	if (ip->protocol != IPPROTO_ICMP)
		return true;
	if (ip->len == ip->l4)
		return false;
	switch (packet[ip->l4]) {
	case ICMP_ECHO:
	case ICMP_ECHOREPLY:
	case ICMP_TIMESTAMP:
	case ICMP_TIMESTAMPREPLY:
		return true;
	default:
		/* Errors, redirects, and what we do not know. */
		return false;
	}
}

/* IPv6: RFC 4443, section 2.4 (e). */
static bool may_answer6(const struct cv_ip *ip, const uint8_t *packet)
{
	static const uint8_t unspecified[16];
	struct cv_ip6_walk walk = { ip->protocol, ip->l4 };
	cv_be16 fragment;
	uint32_t len;

	if (ip->src.b[0] == 0xff || !memcmp(ip->src.b, unspecified, sizeof(unspecified)) ||
	    ip->dst.b[0] == 0xff)
		return false;
	/* It may be an ICMP error behind extension headers. */
	while (cv_ip6_is_extension(walk.protocol)) {
		len = cv_ip6_extension_len(&walk, packet, ip->len);
		if (!len)
			return false;
		memcpy(&fragment, packet + walk.at + 2, sizeof(fragment));
		if (walk.protocol == IPPROTO_FRAGMENT && cv_be16_get(fragment) >> 3)
			return false;
		walk = (struct cv_ip6_walk){ packet[walk.at], walk.at + len };
	}
	if (walk.protocol != IPPROTO_ICMPV6)
		return true;
	return walk.at < ip->len && (packet[walk.at] & ICMP6_INFOMSG_MASK) &&
	       packet[walk.at] != ND_REDIRECT;
}

static void write_ip4(uint8_t *out, const struct cv_addr *from, const struct cv_addr *to,
		      uint32_t len)
{
	struct cv_ip4 ip = {
		.version_ihl = 0x45,
		.tos = TOS4,
		.tot_len = cv_be16_of((uint16_t)len),
		.frag = cv_be16_of(CV_IP4_DF), /* so the id may be 0: RFC 6864, section 4.1 */
		.ttl = HOPS,
		.protocol = IPPROTO_ICMP,
	};

	memcpy(ip.src, from->b, sizeof(ip.src));
	memcpy(ip.dst, to->b, sizeof(ip.dst));
	ip.csum = cv_csum_field(cv_csum_add(0, &ip, sizeof(ip)));
	memcpy(out, &ip, sizeof(ip));
}

static void write_ip6(uint8_t *out, const struct cv_addr *from, const struct cv_addr *to,
		      uint32_t len)
{
	struct cv_ip6 ip = {
		.version_class_flow = cv_be32_of(UINT32_C(6) << 28),
		.payload_len = cv_be16_of((uint16_t)(len - sizeof(ip))),
		.next_header = IPPROTO_ICMPV6,
		.hop_limit = HOPS,
	};

	memcpy(ip.src, from->b, sizeof(ip.src));
	memcpy(ip.dst, to->b, sizeof(ip.dst));
	memcpy(out, &ip, sizeof(ip));
}

static size_t write_answer(const uint8_t *packet, const struct cv_ip *ip,
			   const struct cv_addr *from, struct icmp_header icmp, uint8_t *out)
{
	bool v4 = ip->family == AF_INET;
	uint32_t head = (v4 ? sizeof(struct cv_ip4) : sizeof(struct cv_ip6)) + sizeof(icmp);
	uint32_t room = (v4 ? ANSWER4_MAX : CV_ICMP_MAX) - head;
	uint32_t quoted = ip->len < room ? ip->len : room;
	uint8_t *l4 = out + head - sizeof(icmp);
	cv_csum sum = 0;

	if (v4) {
		write_ip4(out, from, &ip->src, head + quoted);
	} else {
		write_ip6(out, from, &ip->src, head + quoted);
		sum = cv_csum_pseudo(out, AF_INET6, IPPROTO_ICMPV6, sizeof(icmp) + quoted);
	}
	memcpy(l4 + sizeof(icmp), packet, quoted);
	sum = cv_csum_add(sum, &icmp, sizeof(icmp));
	icmp.csum = cv_csum_field(cv_csum_add(sum, packet, quoted));
	memcpy(l4, &icmp, sizeof(icmp));
	return head + quoted;
}

/* Give the answer of the packet's family, if it may have one. */
static size_t answer(const uint8_t *packet, size_t len, const struct cv_addr *from,
		     struct icmp_header icmp4, struct icmp_header icmp6, uint8_t *out)
{
	struct cv_ip ip;

	if (cv_ip_parse(packet, len, &ip) || from->family != ip.family)
		return 0;
	if (ip.family == AF_INET ? !may_answer4(&ip, packet) : !may_answer6(&ip, packet))
		return 0;
	return write_answer(packet, &ip, from, ip.family == AF_INET ? icmp4 : icmp6, out);
}

size_t cv_icmp_unreachable(const uint8_t *packet, size_t len, const struct cv_addr *from,
			   uint8_t out[CV_ICMP_MAX])
{
	const struct icmp_header icmp4 = { ICMP_DEST_UNREACH, ICMP_HOST_UNREACH };
	const struct icmp_header icmp6 = { ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_ADDR };

	return answer(packet, len, from, icmp4, icmp6, out);
}

size_t cv_icmp_too_big(const uint8_t *packet, size_t len, const struct cv_addr *from, uint32_t mtu,
		       uint8_t out[CV_ICMP_MAX])
{
	const struct icmp_header icmp4 = { ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED,
					   .mtu = cv_be32_of(mtu) };
	const struct icmp_header icmp6 = { ICMP6_PACKET_TOO_BIG, .mtu = cv_be32_of(mtu) };

	return answer(packet, len, from, icmp4, icmp6, out);
}
