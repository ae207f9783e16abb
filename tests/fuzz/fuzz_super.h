/* Supers out of few bytes of input: any headers, lengths made true where asked, payload made up. */
#pragma once

#include <netinet/in.h>

#include <convoy/path/split.h>

#include "flow_packets.h"
#include "fuzz.h"

enum {
	SUPER_MAX = 65550,
	SUPER_LONG = 1,      /* 64 KiB more */
	SUPER_LENGTHS = 2,   /* the headers' lengths are made those of the packet */
	SUPER_VNET = 4,      /* the vnet header is made to fit the packet, but for gso_size */
	SUPER_CHECKSUMS = 8, /* the IPv4 header's is made right */
};

/* Where the transport header is, as far as the bytes say so, and what it is. */
static inline uint32_t super_transport(const uint8_t *data, uint32_t len, uint8_t *ret_protocol)
{
	uint32_t at = 40;

	if (len < 40 || data[0] >> 4 == 4) {
		*ret_protocol = len > 9 ? data[9] : 0;
		return len ? 4U * (data[0] & 15) : 0;
	}
	*ret_protocol = data[6];
	while (at + 8 <= len &&
	       (*ret_protocol == IPPROTO_HOPOPTS || *ret_protocol == IPPROTO_DSTOPTS ||
		*ret_protocol == IPPROTO_ROUTING)) {
		*ret_protocol = data[at];
		at += 8 * (data[at + 1] + 1U);
	}
	return at;
}

static inline void super_true_lengths(uint8_t *data, uint32_t len)
{
	uint8_t protocol;
	uint32_t l4 = super_transport(data, len, &protocol);

	if (len < 40)
		return;
	if (data[0] >> 4 == 4)
		put16(data + 2, len);
	else
		put16(data + 4, len - 40);
	if (protocol == IPPROTO_UDP && l4 + 8 <= len)
		put16(data + l4 + 4, len - l4);
}

static inline void super_true_vnet(struct cv_super *super)
{
	struct virtio_net_hdr *vnet = &super->vnet;
	uint8_t protocol;
	uint32_t l4 = super_transport(super->data, super->len, &protocol);
	bool v4 = super->len && super->data[0] >> 4 == 4;

	vnet->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	vnet->csum_start = (uint16_t)l4;
	vnet->csum_offset = protocol == IPPROTO_UDP ? 6 : 16;
	if (vnet->gso_size)
		vnet->gso_type = protocol == IPPROTO_UDP ? CV_VNET_GSO_UDP_L4
				 : v4                    ? VIRTIO_NET_HDR_GSO_TCPV4
							 : VIRTIO_NET_HDR_GSO_TCPV6;
}

/*
 * A byte of SUPER_*, two of length, the vnet header, a byte that counts the bytes of packet that
 * follow; the rest of the packet is made up. super->data is on the heap, of just its size.
 */
static inline void read_super(struct input *input, struct cv_super *ret_super)
{
	uint8_t how = read8(input);
	uint32_t len = read16(input) + (how & SUPER_LONG ? 65536U : 0);
	const uint8_t *head;
	size_t head_len;

	len = len < SUPER_MAX ? len : SUPER_MAX;
	*ret_super = (struct cv_super){ .len = len, .data = malloc(len ? len : 1) };
	must(ret_super->data);
	read_bytes(input, &ret_super->vnet, sizeof(ret_super->vnet));
	head_len = read_piece(input, read8(input), &head);
	head_len = head_len < len ? head_len : len;
	if (head_len)
		memcpy(ret_super->data, head, head_len);
	for (uint32_t i = (uint32_t)head_len; i < len; i++)
		ret_super->data[i] = stream_byte(i);
	if (how & SUPER_LENGTHS)
		super_true_lengths(ret_super->data, len);
	if ((how & SUPER_CHECKSUMS) && len >= 60 && ret_super->data[0] >> 4 == 4) {
		uint32_t header = 4U * (ret_super->data[0] & 15);

		put16(ret_super->data + 10, 0);
		put16(ret_super->data + 10, ~naive_sum(0, ret_super->data, header) & 0xffff);
	}
	if (how & SUPER_VNET)
		super_true_vnet(ret_super);
}
