/* Packets of TCP and UDP flows to try split and merge on, made and judged without their code. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
	MADE_MAX = 40 + 65535, /* IPv6 counts from behind its header */
	NEVER_FLIPPED = 0,     /* no packet is broken in its first byte */
};

/* What a packet is to look like; its bytes follow from this alone. */
struct made {
	uint8_t family;   /* AF_INET or AF_INET6 */
	uint8_t protocol; /* IPPROTO_TCP, IPPROTO_UDP, or another that has no header here */
	uint8_t pair;     /* which addresses */
	uint8_t flow;     /* which ports */
	uint16_t id;      /* v4 */
	uint16_t frag;    /* v4: flags and offset */
	uint8_t tos, ttl;
	uint32_t label;     /* v6: flow label, 20 bits */
	uint8_t ip_options; /* v4: bytes of them, a multiple of 4 */
	uint32_t seq, ack;
	uint8_t flags; /* beside ACK */
	bool no_ack;
	uint16_t window, urgent;
	uint8_t options;  /* TCP: bytes of them, a multiple of 4 */
	uint8_t option;   /* what they hold */
	uint32_t payload; /* bytes */
	uint32_t at;      /* where the payload stands in the stream: decides its bytes */
	bool no_csum;     /* UDP: 0 in the field */
	uint32_t flip;    /* offset of a byte to be broken after all */
};

static inline void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

static inline uint32_t get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static inline uint32_t get32(const uint8_t *p)
{
	return get16(p) << 16 | get16(p + 2);
}

/* The byte at a place of the stream. */
static inline uint8_t stream_byte(uint32_t at)
{
	uint32_t x = at * UINT32_C(2654435761);

	return (uint8_t)(x >> 24 ^ x >> 13);
}

/* Sum of big-endian words, folded; the slow model of packet/csum.h. */
static inline uint16_t naive_sum(uint64_t sum, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum += (uint64_t)data[i] << (i % 2 ? 0 : 8);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static inline uint16_t naive_pseudo(const uint8_t *packet, uint8_t protocol, uint32_t l4_len)
{
	bool v4 = packet[0] >> 4 == 4;

	return naive_sum((uint64_t)protocol + l4_len, packet + (v4 ? 12 : 8), v4 ? 8 : 32);
}

static inline uint32_t made_l4(const struct made *made)
{
	return made->family == AF_INET ? 20U + made->ip_options : 40;
}

static inline uint32_t made_header(const struct made *made)
{
	uint32_t l4 = made_l4(made);

	if (made->protocol == IPPROTO_TCP)
		return l4 + 20 + made->options;
	return l4 + (made->protocol == IPPROTO_UDP ? 8 : 0);
}

static inline uint32_t made_len(const struct made *made)
{
	return made_header(made) + made->payload;
}

static inline void make_ip4(uint8_t *out, const struct made *made)
{
	out[0] = (uint8_t)(0x40 | made_l4(made) / 4);
	out[1] = made->tos;
	put16(out + 2, made_len(made));
	put16(out + 4, made->id);
	put16(out + 6, made->frag);
	out[8] = made->ttl;
	out[9] = made->protocol;
	memcpy(out + 12, (uint8_t[]){ 10, 0, 0, made->pair, 10, 1, 0, made->pair }, 8);
	memset(out + 20, 1, made->ip_options); /* NOP */
	put16(out + 10, ~naive_sum(0, out, made_l4(made)) & 0xffff);
}

static inline void make_ip6(uint8_t *out, const struct made *made)
{
	put32(out, UINT32_C(6) << 28 | (uint32_t)made->tos << 20 | made->label);
	put16(out + 4, made_len(made) - 40);
	out[6] = made->protocol;
	out[7] = made->ttl;
	out[8] = 0xfd;
	out[23] = made->pair;
	out[24] = 0xfd;
	out[39] = (uint8_t)(made->pair ^ 0xff);
}

static inline void make_tcp(uint8_t *l4, const struct made *made)
{
	put32(l4 + 4, made->seq);
	put32(l4 + 8, made->ack);
	l4[12] = (uint8_t)((20 + made->options) / 4 << 4);
	l4[13] = (uint8_t)(made->flags | (made->no_ack ? 0 : 0x10));
	put16(l4 + 14, made->window);
	put16(l4 + 18, made->urgent);
	memset(l4 + 20, made->option, made->options);
}

/* Write the packet with right checksums to out[made_len()]. */
static inline void make_packet(uint8_t *out, const struct made *made)
{
	uint32_t header = made_header(made), l4_len = made_len(made) - made_l4(made);
	uint8_t *l4 = out + made_l4(made), *csum = NULL;
	uint16_t sum;

	memset(out, 0, header);
	if (made->family == AF_INET)
		make_ip4(out, made);
	else
		make_ip6(out, made);
	for (uint32_t i = 0; i < made->payload; i++)
		out[header + i] = stream_byte(made->at + i);
	if (made->protocol == IPPROTO_TCP || made->protocol == IPPROTO_UDP) {
		put16(l4, 1000U + made->flow);
		put16(l4 + 2, 443);
	}
	if (made->protocol == IPPROTO_TCP) {
		make_tcp(l4, made);
		csum = l4 + 16;
	} else if (made->protocol == IPPROTO_UDP) {
		put16(l4 + 4, l4_len);
		csum = l4 + 6;
	}
	if (csum && !made->no_csum) {
		sum = naive_sum(naive_pseudo(out, made->protocol, l4_len), l4, l4_len);
		sum = (uint16_t)~sum;
		put16(csum, made->protocol == IPPROTO_UDP && !sum ? 0xffff : sum);
	}
	if (made->flip != NEVER_FLIPPED)
		out[made->flip] ^= 0x40;
}

/* Put the pseudo header's sum into the checksum field, as the kernel leaves it to a device. */
static inline void make_seed(uint8_t *packet, const struct made *made)
{
	uint32_t l4 = made_l4(made);
	uint32_t csum = l4 + (made->protocol == IPPROTO_TCP ? 16 : 6);

	put16(packet + csum, naive_pseudo(packet, made->protocol, made_len(made) - l4));
}

/* Whether a packet of TCP or UDP is whole and right in all its lengths and checksums. */
static inline bool packet_is_right(const uint8_t *data, size_t len)
{
	bool v4 = len >= 20 && data[0] >> 4 == 4;
	uint32_t l4 = v4 ? 4U * (data[0] & 15) : 40;
	uint8_t protocol = data[v4 ? 9 : 6];
	uint32_t l4_len = (uint32_t)len - l4;

	if (v4 ? get16(data + 2) != len || naive_sum(0, data, l4) != 0xffff
	       : data[0] >> 4 != 6 || get16(data + 4) + 40 != len)
		return false;
	if (protocol == IPPROTO_UDP && (get16(data + l4 + 4) != l4_len || !get16(data + l4 + 6)))
		return false;
	return naive_sum(naive_pseudo(data, protocol, l4_len), data + l4, l4_len) == 0xffff;
}

/* Blot out what a super cannot keep: ids under DF, which packet had PSH, and so the checksums. */
static inline void forget_unkept(uint8_t *packet)
{
	bool v4 = packet[0] >> 4 == 4;
	uint8_t *l4 = packet + (v4 ? 4U * (packet[0] & 15) : 40);

	if (v4 && (packet[6] & 0x40)) {
		put16(packet + 4, 0);
		put16(packet + 10, 0);
	}
	if (packet[v4 ? 9 : 6] == IPPROTO_TCP) {
		l4[13] &= (uint8_t)~0x08;
		put16(l4 + 16, 0);
	}
}

/* Whether two right TCP or UDP packets are equal but for what a super cannot keep. */
static inline bool equal_but_for_unkept(const uint8_t *a, const uint8_t *b, uint32_t len)
{
	static uint8_t x[MADE_MAX], y[MADE_MAX];

	if (!packet_is_right(a, len) || !packet_is_right(b, len))
		return false;
	memcpy(x, a, len);
	memcpy(y, b, len);
	forget_unkept(x);
	forget_unkept(y);
	return !memcmp(x, y, len);
}
