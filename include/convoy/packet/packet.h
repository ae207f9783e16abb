/* The shapes a packet takes on its way: super, packet, batch, train. */
#pragma once

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <convoy/base/addr.h>

/*
 *  super   one TUN read or write
 *          | virtio_net_hdr | IP | TCP/UDP | payload, up to 64 KiB, gso_size at a time      |
 *
 *  packet  one IP packet in place, with room to become a data message
 *          | headroom 16    | IP packet, len bytes        | padding 0..15 | tailroom 16, 32 |
 *          ^ data header                                                  ^ tag
 *
 *  batch   packets walking together, in order
 *
 *  train   equal-size datagrams, the last may be shorter, lying one behind the other
 *          | datagram seg_size | datagram seg_size | ... | last, 1..seg_size |
 *          = one UDP_SEGMENT send or one UDP_GRO receive
 */
enum {
	CV_DATA_HEADER_SIZE = 16, /* type, receiver index, counter: white paper 5.4.6 */
	CV_TAG_MAX = 32,          /* 16 but for AEGIS */
	CV_HEADROOM = CV_DATA_HEADER_SIZE,
	CV_PADDING_MULTIPLE = 16,
	/* Largest IP packet, and so the largest super and the largest train to be received. */
	CV_IP_MAX = 65535,
	CV_VNET_SIZE = sizeof(struct virtio_net_hdr),
	/* Packets that may walk together; bounds every array of the path. Not tuned beyond
	 * "16 full supers of 45 segments fit". */
	CV_BATCH_MAX = 1024,
	/* Largest train that GRO on the far side gives back whole: 65535 less the outer headers,
	 * Ethernet included, of IPv6 (62; IPv4 has 42). The kernel accepts up to 65507 but cuts
	 * what is above. Measured on veth and loopback. */
	CV_TRAIN_BYTES_MAX = 65473,
	CV_TRAIN_SEGS_MAX = 64, /* UDP_MAX_SEGMENTS before Linux 6.9 */
};

/*
 * One TUN read. `data` points at the IP header; the vnet header is kept apart because the two
 * need not be neighbours. Borrowed memory; the reader of the TUN owns it.
 */
struct cv_super {
	struct virtio_net_hdr vnet;
	uint8_t *data;
	uint32_t len;
};

/*
 * One IP packet in a slot with CV_HEADROOM bytes before `data` and, behind `len`, room for
 * padding and tag. Outbound: plaintext from split. Inbound: what open found inside a datagram.
 */
struct cv_pkt {
	uint8_t *data;
	uint32_t len;
	uint8_t tos;        /* outbound: ECN for the outer header; inbound: outer TOS byte */
	bool csum_verified; /* inbound, set by merge: transport checksum is known to be right */
};

/*
 * One TUN write: iov[0] is the vnet header, iov[1] the first packet whole, the rest the payloads
 * of the packets that were merged behind it. All memory is borrowed from the batch.
 */
struct cv_gather {
	struct iovec *iov;
	uint16_t iovs;
	uint16_t pkts; /* packets inside; 1: written as it came */
	uint32_t len;  /* IP bytes, vnet header not counted */
	struct virtio_net_hdr vnet;
};

struct cv_batch {
	size_t n;
	struct cv_pkt pkt[CV_BATCH_MAX];
};

/*
 * One GSO send or one GRO receive. `data`/`len` cover all datagrams; every one is seg_size bytes
 * but the last, which is len - (segs - 1) * seg_size. segs 1 means a plain datagram.
 */
struct cv_train {
	uint8_t *data;
	uint32_t len;
	uint16_t seg_size;
	uint16_t segs;
	uint8_t tos;               /* outer TOS / traffic class, both directions */
	bool plain;                /* send: no UDP_SEGMENT for this endpoint, one datagram each */
	bool gso_refused;          /* set by the send edge: UDP_SEGMENT failed, was sent plainly */
	bool source_refused;       /* set by the send edge: `local` is stale, was sent without */
	struct cv_endpoint remote; /* send: to; receive: from */
	struct cv_source local;    /* send: from (family 0: kernel chooses); receive: to */
	void *owner;               /* the sender's own mark, untouched by the edge */
};
