/*
 * fuzz split: 10 bytes of vnet header and a packet, as the TUN may hand them over.
 *
 * Oracle: a super is refused and nothing was written, or its segments are as long as foretold, are
 * whole IP packets with right checksums, and hold the super's payload, each byte once.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <convoy/path/split.h>

#include "flow_packets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* A copy in memory of just its size, so that every step beyond it is seen. */
static uint8_t *exact(const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);

	must(copy);
	if (len)
		memcpy(copy, data, len);
	return copy;
}

static void check_segment(const struct cv_split *split, const uint8_t *out, uint32_t len)
{
	struct cv_ip ip;

	must(cv_ip_parse(out, len, &ip) == 0 && ip.len == len);
	must(ip.family == split->ip.family && ip.protocol == split->ip.protocol);
	/* The model of a right packet does not know IPv6 extension headers. */
	if (ip.protocol == IPPROTO_TCP || ip.protocol == IPPROTO_UDP)
		must(packet_is_right(out, len));
}

static void cut(struct cv_split *split, const struct cv_super *super)
{
	bool single = split->gso == VIRTIO_NET_HDR_GSO_NONE;
	uint32_t segs = 0, payload = 0;

	must(split->segs >= 1);
	must(split->header + split->payload == split->ip.len && split->ip.len <= super->len);
	while (split->next < split->segs) {
		uint32_t len = cv_split_next_len(split), piece = len - split->header;
		uint8_t *out = malloc(len);

		must(out && len <= split->header + split->size);
		must(cv_split_next(split, out) == len);
		if (!single)
			check_segment(split, out, len);
		must(!memcmp(out + split->header, super->data + split->header + payload, piece));
		payload += piece;
		segs++;
		free(out);
	}
	must(segs == split->segs && payload == split->payload);
	must(cv_split_next(split, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cv_super super = { 0 };
	struct cv_split split;
	int r;

	if (size < CV_VNET_SIZE || size > CV_VNET_SIZE + MADE_MAX)
		return 0;
	memcpy(&super.vnet, data, CV_VNET_SIZE);
	super.len = (uint32_t)(size - CV_VNET_SIZE);
	super.data = exact(data + CV_VNET_SIZE, super.len);
	r = cv_split_begin(&split, &super);
	must(r == 0 || r == -EINVAL || r == -EPROTO);
	if (r == 0)
		cut(&split, &super);
	free(super.data);
	return 0;
}
