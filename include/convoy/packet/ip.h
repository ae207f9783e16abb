/* IPv4, IPv6, TCP and UDP headers as wire structs, and a parser that checks every length once. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <convoy/base/addr.h>
#include <convoy/base/wire.h>

/* RFC 791, section 3.1. */
struct cv_ip4 {
	uint8_t version_ihl;
	uint8_t tos;
	cv_be16 tot_len;
	cv_be16 id;
	cv_be16 frag; /* flags and fragment offset */
	uint8_t ttl;
	uint8_t protocol;
	cv_be16 csum;
	uint8_t src[4];
	uint8_t dst[4];
};

/* RFC 8200, section 3. */
struct cv_ip6 {
	cv_be32 version_class_flow;
	cv_be16 payload_len;
	uint8_t next_header;
	uint8_t hop_limit;
	uint8_t src[16];
	uint8_t dst[16];
};

/* RFC 9293, section 3.1. */
struct cv_tcp {
	cv_be16 src;
	cv_be16 dst;
	cv_be32 seq;
	cv_be32 ack;
	uint8_t doff;  /* header words in the high nibble */
	uint8_t flags; /* CV_TCP_* */
	cv_be16 window;
	cv_be16 csum;
	cv_be16 urgent;
};

/* RFC 768. */
struct cv_udp_header {
	cv_be16 src;
	cv_be16 dst;
	cv_be16 len;
	cv_be16 csum;
};

_Static_assert(sizeof(struct cv_ip4) == 20, "RFC 791");
_Static_assert(sizeof(struct cv_ip6) == 40, "RFC 8200");
_Static_assert(sizeof(struct cv_tcp) == 20, "RFC 9293");
_Static_assert(sizeof(struct cv_udp_header) == 8, "RFC 768");

enum {
	CV_TCP_FIN = 0x01,
	CV_TCP_SYN = 0x02,
	CV_TCP_RST = 0x04,
	CV_TCP_PSH = 0x08,
	CV_TCP_ACK = 0x10,
	CV_TCP_URG = 0x20,
	CV_TCP_ECE = 0x40,
	CV_TCP_CWR = 0x80,

	CV_IP4_DF = 0x4000,
	CV_IP4_MF = 0x2000,
	CV_IP4_OFFSET_MASK = 0x1fff,
	CV_IP6_MTU_MIN = 1280, /* RFC 8200, section 5 */

	CV_ECN_MASK = 3,
	CV_ECN_NOT_ECT = 0,
	CV_ECN_ECT1 = 1,
	CV_ECN_ECT0 = 2,
	CV_ECN_CE = 3,
};

/* What a packet says of itself, every length checked against the bytes that are there. */
struct cv_ip {
	uint8_t family;   /* AF_INET or AF_INET6 */
	uint8_t protocol; /* IPPROTO_* of what follows the IP header (v6: only the first one) */
	uint8_t tos;      /* TOS or traffic class */
	bool fragment;    /* v4 with MF or an offset: has no transport header to rely on */
	uint16_t l4;      /* offset of the transport header: 20..60 or 40 */
	uint32_t len;     /* bytes of the IP packet by its own length field */
	struct cv_addr src;
	struct cv_addr dst;
};

/**
 * cv_ip_parse() - read the IP header of a packet
 * @data, @len:	the bytes that are there; more than the packet's own length is fine
 * @ret_ip:	what the header says
 *
 * Return: 0, or -EINVAL when the bytes hold no whole IPv4 or IPv6 packet: unknown version, header
 * or length field longer than the bytes. Header checksums are not looked at.
 * Source: RFC 791, RFC 8200; lengths are computed wider than 16 bits.
 */
int cv_ip_parse(const uint8_t *data, size_t len, struct cv_ip *ret_ip);

/* TOS / traffic class of a packet that cv_ip_parse() accepted, read and written in place. The
 * IPv4 header checksum is fixed incrementally (RFC 1624). */
uint8_t cv_ip_tos(const uint8_t *data);
void cv_ip_set_tos(uint8_t *data, uint8_t tos);

/**
 * cv_ecn_encapsulate() - the outer TOS byte for an inner one: DSCP 0, ECN as RFC 6040 section 4.1
 * compatibility of the kernel's INET_ECN_encapsulate(): Not-ECT and ECT copied, CE becomes ECT(0).
 */
uint8_t cv_ecn_encapsulate(uint8_t inner_tos);

/**
 * cv_ecn_decapsulate() - carry the outer mark in: outer CE on an ECT packet sets CE in place.
 *
 * Return: false when the packet must be dropped (outer CE, inner Not-ECT; RFC 6040 section 4.2).
 */
bool cv_ecn_decapsulate(uint8_t *data, uint8_t outer_tos);
