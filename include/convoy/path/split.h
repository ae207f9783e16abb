/* split: one super-packet from the TUN into packets, one at a time, straight to where they go. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <convoy/packet/csum.h>
#include <convoy/packet/ip.h>
#include <convoy/packet/packet.h>

enum {
	/* VIRTIO_NET_HDR_GSO_UDP_L4, linux/virtio_net.h since 6.2; older headers lack it. */
	CV_VNET_GSO_UDP_L4 = 5,
};

/* A super being cut. The caller keeps the super's memory until the last segment is out. */
struct cv_split {
	const uint8_t *data;
	struct cv_ip ip;
	uint32_t header;     /* bytes of IP and transport header, copied before each piece */
	uint32_t l4;         /* offset of the transport header */
	uint32_t size;       /* payload bytes of each segment but the last, the longest of all */
	uint32_t done;       /* payload bytes cut so far */
	uint32_t payload;    /* payload bytes in all */
	uint32_t segs;       /* segments in all */
	uint32_t next;       /* number of the next segment */
	uint8_t gso;         /* VIRTIO_NET_HDR_GSO_* without the ECN bit */
	bool needs_csum;     /* a single packet whose checksum the kernel left to us */
	uint16_t csum_start; /* of that one */
	uint16_t csum_offset;
	cv_csum pseudo; /* sum of the pseudo header of all segments but the last */
	cv_csum pseudo_last;
};

/**
 * cv_split_begin() - check a super and its vnet header against each other
 * @super:	as read from the TUN: gso_type NONE, TCPV4, TCPV6, UDP_L4, each with or without
 *		the ECN bit. hdr_len is not trusted (Linux gives skb_headlen); the header length is
 *		recomputed from the packet.
 *
 * A packet without GSO may have bytes behind its IP length: they are not part of it and left out.
 * A super may not. IPv6 extension headers before the transport header of a super are followed
 * (hop-by-hop, destination options, a routing header that is used up).
 *
 * Return: 0; -EINVAL when vnet header and packet do not fit each other (unknown gso_type,
 * gso_size 0, no or a wrong transport header, a fragment, lengths beyond the bytes, NEEDS_CSUM
 * outside the packet); -EPROTO when it is no whole IP packet. Nothing was written.
 * Source: linux/virtio_net.h; virtio 1.2, section 5.1.6.
 */
int cv_split_begin(struct cv_split *split, const struct cv_super *super);

/* IP length of the longest segment. */
static inline uint32_t cv_split_longest(const struct cv_split *split)
{
	return split->header + split->size;
}

/**
 * cv_split_shrink() - have TCP cut into segments of at most mtu bytes, before the first is out
 * @split:	a TCP super, or a packet of TCP that was not to be cut; its segments are longer
 *
 * Segments are what TSO makes of one packet, so a receiver cannot tell them from what the sender
 * might have sent. A packet that nobody vouches for (no NEEDS_CSUM) is summed first: cutting gives
 * its pieces right checksums.
 *
 * Return: 0; -EMSGSIZE when it is not TCP, or TCP that may not be cut: SYN, RST and URG, which say
 * something of the whole, a signature in its options (RFC 2385, RFC 5925), options that are not
 * whole, a header of mtu bytes; -EBADMSG when its checksums are wrong. Nothing has changed then.
 */
int cv_split_shrink(struct cv_split *split, uint32_t mtu);

/* IP length of the next segment, without writing it. */
static inline uint32_t cv_split_next_len(const struct cv_split *split)
{
	uint32_t left = split->payload - split->done;

	return split->header + (left < split->size ? left : split->size);
}

/**
 * cv_split_next() - write the next segment
 * @out:	room for cv_split_next_len() bytes, must not overlap the super
 *
 * Headers fixed: v4 id + i, lengths, header checksum; TCP sequence, FIN and PSH only on the last,
 * CWR only on the first; UDP length; a whole transport checksum (UDP's zero becomes 0xffff,
 * RFC 768).
 *
 * Return: bytes written; 0 when all segments are out.
 */
uint32_t cv_split_next(struct cv_split *split, uint8_t *out);
