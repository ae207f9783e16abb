/* Supers to cut, and the segments that must come of them. cmocka.h stands above it. */
#pragma once

#include <netinet/in.h>
#include <stdlib.h>

#include <convoy/path/split.h>

#include "flow_packets.h"

#define TCP4                                                                                 \
	.family = AF_INET, .protocol = IPPROTO_TCP, .frag = CV_IP4_DF, .ttl = 64, .ack = 77, \
	.window = 500
#define TCP6 .family = AF_INET6, .protocol = IPPROTO_TCP, .ttl = 64, .ack = 77, .window = 500
#define UDP4 .family = AF_INET, .protocol = IPPROTO_UDP, .ttl = 64
#define UDP6 .family = AF_INET6, .protocol = IPPROTO_UDP, .ttl = 64

/* The super that the kernel would hand over for `whole`, in memory of just its size. */
static inline struct cv_super super_of(const struct made *whole, uint16_t gso_size)
{
	bool tcp = whole->protocol == IPPROTO_TCP;
	struct cv_super super = {
		.vnet = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
			  .gso_type = !tcp                       ? CV_VNET_GSO_UDP_L4
				      : whole->family == AF_INET ? VIRTIO_NET_HDR_GSO_TCPV4
								 : VIRTIO_NET_HDR_GSO_TCPV6,
			  .gso_size = gso_size,
			  .csum_start = (uint16_t)made_l4(whole),
			  .csum_offset = tcp ? 16 : 6 },
		.data = malloc(made_len(whole)),
		.len = made_len(whole),
	};

	assert_non_null(super.data);
	make_packet(super.data, whole);
	make_seed(super.data, whole);
	return super;
}

/* What segment i of `whole` must be: the kernel's rules for software segmentation. */
static inline struct made segment_of(const struct made *whole, uint32_t gso_size, uint32_t i)
{
	struct made made = *whole;
	uint32_t done = i * gso_size, left = whole->payload - done;

	made.payload = left < gso_size ? left : gso_size;
	made.at += done;
	made.id = (uint16_t)(made.id + i);
	if (whole->protocol == IPPROTO_TCP) {
		made.seq += done;
		if (i)
			made.flags &= (uint8_t)~CV_TCP_CWR;
		if (made.payload < left)
			made.flags &= (uint8_t) ~(CV_TCP_FIN | CV_TCP_PSH);
	}
	return made;
}

/* What is cut, byte by byte, is what was made from scratch. */
static inline void check_segments(struct cv_split *split, const struct made *whole, uint32_t size)
{
	static uint8_t want[MADE_MAX];
	uint32_t segs = (whole->payload + size - 1) / size;

	assert_int_equal(split->segs, segs);
	for (uint32_t i = 0; i < segs; i++) {
		struct made made = segment_of(whole, size, i);
		uint8_t *out = malloc(made_len(&made));

		assert_non_null(out);
		assert_int_equal(cv_split_next_len(split), made_len(&made));
		assert_int_equal(cv_split_next(split, out), made_len(&made));
		make_packet(want, &made);
		assert_memory_equal(out, want, made_len(&made));
		free(out);
	}
	assert_int_equal(cv_split_next(split, want), 0);
}
