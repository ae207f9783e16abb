/* flow: what a TCP or UDP packet says of its flow, and whether two packets are of one run. */
#include <netinet/in.h>
#include <string.h>

#include <convoy/packet/csum.h>

#include "internal.h"

/* Flags that data in the middle of a connection may carry; ECE and CWR would have to be repeated
 * or dropped by whoever cuts the super. */
enum { RUN_FLAGS = CV_TCP_ACK | CV_TCP_PSH | CV_TCP_FIN };

static uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint32_t load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/*
 * A product's low bits know only its factors' low bits, and an IPv6 address differs in its last
 * bytes, the high ones of a little-endian word: what is above is brought down after each product.
 */
static uint64_t mix(uint64_t h)
{
	h = (h ^ h >> 32) * UINT64_C(0x9e3779b97f4a7c15);
	return h ^ h >> 32;
}

/* Odd constants with well-mixed bits. Not secret: collisions cost merges, nothing else. */
uint64_t cv_flow_pair_hash(const struct cv_ip *ip)
{
	return mix(load64(ip->src.b) * UINT64_C(0x9e3779b97f4a7c15) +
		   load64(ip->src.b + 8) * UINT64_C(0xc2b2ae3d27d4eb4f) +
		   load64(ip->dst.b) * UINT64_C(0x165667b19e3779f9) +
		   load64(ip->dst.b + 8) * UINT64_C(0xd6e8feb86659fd93));
}

static uint64_t flow_hash(uint64_t pair, const uint8_t *l4, uint8_t protocol)
{
	return mix(pair ^ ((uint64_t)protocol << 32 | load32(l4)));
}

/* Bytes of the transport header, 0 when it is not whole or does not fit the packet. */
static uint32_t transport_header_len(const uint8_t *l4, uint32_t l4_len, uint8_t protocol)
{
	struct cv_udp_header udp;
	uint32_t len;

	if (protocol == IPPROTO_UDP) {
		memcpy(&udp, l4, sizeof(udp));
		return cv_be16_get(udp.len) == l4_len ? sizeof(udp) : 0;
	}
	len = 4U * (l4[offsetof(struct cv_tcp, doff)] >> 4);
	return len >= sizeof(struct cv_tcp) && len <= l4_len ? len : 0;
}

static bool checksums_right(const struct cv_flow_packet *packet)
{
	const uint8_t *data = packet->data, *l4 = data + packet->l4;
	uint32_t l4_len = packet->len - packet->l4;
	cv_csum sum;

	if (packet->protocol == IPPROTO_UDP && !l4[offsetof(struct cv_udp_header, csum)] &&
	    !l4[offsetof(struct cv_udp_header, csum) + 1])
		return false;
	if (packet->family == AF_INET && cv_csum_fold(cv_csum_add(0, data, packet->l4)) != 0xffff)
		return false;
	sum = cv_csum_pseudo(data, packet->family, packet->protocol, l4_len);
	return cv_csum_fold(cv_csum_add(sum, l4, l4_len)) == 0xffff;
}

static bool could_be_cut(const struct cv_flow_packet *packet)
{
	if (packet->len == packet->header)
		return false;
	if (packet->family == AF_INET && packet->l4 != sizeof(struct cv_ip4))
		return false;
	return packet->protocol == IPPROTO_UDP ||
	       ((packet->flags & CV_TCP_ACK) && !(packet->flags & ~RUN_FLAGS));
}

bool cv_flow_read(const uint8_t *data, const struct cv_ip *ip, uint64_t pair,
		  struct cv_flow_packet *ret_packet)
{
	const uint8_t *l4 = data + ip->l4;
	uint32_t l4_len = ip->len - ip->l4;
	uint32_t l4_header;
	bool tcp = ip->protocol == IPPROTO_TCP;

	if ((!tcp && ip->protocol != IPPROTO_UDP) || ip->fragment ||
	    l4_len < (tcp ? sizeof(struct cv_tcp) : sizeof(struct cv_udp_header)))
		return false;
	*ret_packet = (struct cv_flow_packet){
		.data = data,
		.hash = flow_hash(pair, l4, ip->protocol),
		.len = ip->len,
		.l4 = ip->l4,
		.family = ip->family,
		.protocol = ip->protocol,
	};
	l4_header = transport_header_len(l4, l4_len, ip->protocol);
	if (!l4_header)
		return true;
	ret_packet->header = (uint16_t)(ip->l4 + l4_header);
	if (tcp) {
		const struct cv_tcp *header = (const struct cv_tcp *)l4;

		ret_packet->seq = cv_be32_get(header->seq);
		ret_packet->flags = header->flags;
	}
	if (ip->family == AF_INET) {
		const struct cv_ip4 *header = (const struct cv_ip4 *)data;

		ret_packet->id = cv_be16_get(header->id);
		ret_packet->ids_ascend = !(cv_be16_get(header->frag) & CV_IP4_DF);
	}
	ret_packet->verified = checksums_right(ret_packet);
	ret_packet->mergeable = ret_packet->verified && could_be_cut(ret_packet);
	return true;
}

bool cv_flow_equal(const struct cv_flow_packet *a, const struct cv_flow_packet *b)
{
	if (a->family != b->family || a->protocol != b->protocol ||
	    load32(a->data + a->l4) != load32(b->data + b->l4))
		return false;
	if (a->family == AF_INET)
		return load64(a->data + offsetof(struct cv_ip4, src)) ==
		       load64(b->data + offsetof(struct cv_ip4, src));
	return !memcmp(a->data + offsetof(struct cv_ip6, src),
		       b->data + offsetof(struct cv_ip6, src), 32);
}

static bool ip_equal(const struct cv_flow_packet *a, const struct cv_flow_packet *b)
{
	if (a->family == AF_INET) {
		const struct cv_ip4 *p = (const struct cv_ip4 *)a->data;
		const struct cv_ip4 *q = (const struct cv_ip4 *)b->data;

		return p->tos == q->tos && p->ttl == q->ttl &&
		       !memcmp(&p->frag, &q->frag, sizeof(p->frag));
	} else {
		const struct cv_ip6 *p = (const struct cv_ip6 *)a->data;
		const struct cv_ip6 *q = (const struct cv_ip6 *)b->data;

		return load32(p->version_class_flow.b) == load32(q->version_class_flow.b) &&
		       p->hop_limit == q->hop_limit;
	}
}

bool cv_flow_headers_equal(const struct cv_flow_packet *a, const struct cv_flow_packet *b)
{
	const uint8_t *p = a->data + a->l4, *q = b->data + b->l4;

	if (!ip_equal(a, b))
		return false;
	if (a->protocol == IPPROTO_UDP)
		return true;
	return load32(p + offsetof(struct cv_tcp, ack)) ==
		       load32(q + offsetof(struct cv_tcp, ack)) &&
	       p[offsetof(struct cv_tcp, doff)] == q[offsetof(struct cv_tcp, doff)] &&
	       !memcmp(p + offsetof(struct cv_tcp, window), q + offsetof(struct cv_tcp, window),
		       2) &&
	       !memcmp(p + offsetof(struct cv_tcp, urgent), q + offsetof(struct cv_tcp, urgent),
		       a->header - a->l4 - offsetof(struct cv_tcp, urgent));
}
