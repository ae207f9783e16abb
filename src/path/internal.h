/* What the stages of the path share among themselves. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include <convoy/packet/ip.h>

enum {
	CV_TCP_HEADER_MAX = 60, /* RFC 9293: 15 words */
	CV_IP4_HEADER_MAX = 60, /* RFC 791: 15 words */
};

/* flow.c */

/* A packet of a TCP or UDP flow, as merge looks at it. */
struct cv_flow_packet {
	const uint8_t *data;
	uint64_t hash;   /* of addresses, ports and protocol */
	uint32_t len;    /* bytes of the IP packet */
	uint32_t seq;    /* TCP */
	uint16_t header; /* bytes of IP and transport header */
	uint16_t l4;     /* offset of the transport header */
	uint16_t id;     /* IPv4 */
	uint8_t family;
	uint8_t protocol;
	uint8_t flags;   /* TCP */
	bool verified;   /* lengths fit and both checksums are right; UDP's is not left out */
	bool mergeable;  /* verified, and the kernel could have cut it from a super */
	bool ids_ascend; /* IPv4 without DF: the ids of a run must ascend */
};

/* A number for the address pair; different pairs may share one. */
uint64_t cv_flow_pair_hash(const struct cv_ip *ip);

/**
 * cv_flow_read() - read a packet's transport header and verify its checksums
 * @data:	the whole packet, ip->len bytes, borrowed by ret_packet
 * @pair:	cv_flow_pair_hash() of ip
 *
 * Return: false when it has no ports that can be relied on; ret_packet is untouched then.
 */
bool cv_flow_read(const uint8_t *data, const struct cv_ip *ip, uint64_t pair,
		  struct cv_flow_packet *ret_packet);

/* Same protocol, addresses and ports. */
bool cv_flow_equal(const struct cv_flow_packet *a, const struct cv_flow_packet *b);

/*
 * Of two mergeable packets of one flow: equal in all header bytes but those that differ from
 * segment to segment (lengths, id, checksums, sequence, flags) and in the length of the headers.
 */
bool cv_flow_headers_equal(const struct cv_flow_packet *a, const struct cv_flow_packet *b);

/* IPv6 extension headers */

/* Where a walk along them stands: header `protocol` begins at `at`. */
struct cv_ip6_walk {
	uint8_t protocol;
	uint32_t at;
};

static inline bool cv_ip6_is_extension(uint8_t protocol)
{
	return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING ||
	       protocol == IPPROTO_FRAGMENT || protocol == IPPROTO_DSTOPTS;
}

/* Bytes of the extension header where the walk stands, 0 when it is not whole (RFC 8200 4). */
static inline uint32_t cv_ip6_extension_len(const struct cv_ip6_walk *walk, const uint8_t *data,
					    uint32_t len)
{
	uint32_t room = walk->at < len ? len - walk->at : 0;
	uint32_t own;

	if (room < 8)
		return 0;
	/* The second byte is a length in units of 8 bytes; reserved in a fragment header. */
	own = walk->protocol == IPPROTO_FRAGMENT ? 8 : 8 * (data[walk->at + 1] + 1U);
	return own <= room ? own : 0;
}

/* tcp.c */

/* Where the transport header begins, and which it is. Return: false for a fragment, an extension
 * header that is not whole, or a way not gone to its end: the pseudo header has another destination
 * then (RFC 8200, section 8.1). */
bool cv_ip_find_transport(const struct cv_ip *ip, const uint8_t *data,
			  struct cv_ip6_walk *ret_walk);

/* Whether segments may be made of one: no SYN, RST or URG, no signature, options that are whole.
 * The header is, by its own length. */
bool cv_tcp_may_be_cut(const uint8_t *tcp);

/**
 * cv_tcp_clamp_mss() - have the other side of a connection send what the path carries
 * @packet:	of which cv_tcp_may_be_syn() says true; its checksum stays as right as it was
 * @mtu:	of the path, 0: not known
 *
 * The MSS option of a SYN is made the mtu less the headers without options, if it is more (RFC
 * 6691; RFC 4459, section 3.2). Left alone are fragments, options that are not whole, two MSS
 * options, and TCP-AO, which signs options (RFC 5925, section 5.1).
 */
void cv_tcp_clamp_mss(uint8_t *packet, const struct cv_ip *ip, uint32_t mtu);

/* Whether it may be a SYN: all that most packets are asked. */
static inline bool cv_tcp_may_be_syn(const uint8_t *packet, const struct cv_ip *ip)
{
	const struct cv_tcp *tcp = (const struct cv_tcp *)(packet + ip->l4);

	if (ip->protocol == IPPROTO_TCP)
		return ip->len >= ip->l4 + sizeof(*tcp) && (tcp->flags & CV_TCP_SYN);
	return ip->family == AF_INET6 && cv_ip6_is_extension(ip->protocol);
}
