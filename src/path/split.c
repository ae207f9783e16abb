/*
 * split: one super-packet from the TUN into packets, one at a time, straight to where they go.
 *
 * How it works
 *
 * A super is a packet that is too long for the wire: one header and up to 64 KiB of payload. The
 * kernel says in the vnet header how it must be cut (gso_size) and leaves all checksums to us.
 *
 *	super    | IP | TCP | payload ...........................................|
 *	                    |<- size ->|<- size ->|<- size ->| ... |<- rest ->|
 *	segment  | IP | TCP | piece    |        header copied, then made to fit its piece
 *
 * cv_split_begin() believes nothing: the packet's own headers say where the transport header is
 * and how long it is, and the vnet header is refused where it says something else. After that no
 * length is looked at again. TUN packets come from the kernel, but what they say may come from
 * whoever may open a raw socket.
 *
 * cv_split_next() copies header and piece once, writes the few fields that differ, and sums the
 * transport header and its piece where they now lie, in the cache. Only the sum of the pseudo
 * header is kept from segment to segment: it has two values, for full segments and for the last.
 * The checksum that a super carries is not used: whatever it holds, the segments get whole ones.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include <convoy/path/split.h>

#include "internal.h"

enum {
	TCP_CSUM = offsetof(struct cv_tcp, csum),
	UDP_CSUM = offsetof(struct cv_udp_header, csum),
};

static uint8_t transport_of(const struct cv_split *split)
{
	return split->gso == CV_VNET_GSO_UDP_L4 ? IPPROTO_UDP : IPPROTO_TCP;
}

/* A packet that needs no cutting: nothing, or one checksum, is left to do. */
static int begin_single(struct cv_split *split, const struct virtio_net_hdr *vnet)
{
	split->header = split->ip.len;
	split->segs = 1;
	if (!(vnet->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return 0;
	/* The kernel sums before it fragments: half a datagram has no checksum to complete. */
	if (split->ip.fragment || vnet->csum_start < split->ip.l4 ||
	    vnet->csum_start + vnet->csum_offset + 2U > split->ip.len)
		return -EINVAL;
	split->needs_csum = true;
	split->csum_start = vnet->csum_start;
	split->csum_offset = vnet->csum_offset;
	return 0;
}

/* Bytes of the transport header, 0 when it is not whole or not true. */
static uint32_t transport_header_len(const struct cv_split *split)
{
	const uint8_t *l4 = split->data + split->l4;
	uint32_t room = split->ip.len - split->l4;
	struct cv_udp_header udp;
	uint32_t len;

	if (transport_of(split) == IPPROTO_UDP) {
		if (room < sizeof(udp))
			return 0;
		memcpy(&udp, l4, sizeof(udp));
		return cv_be16_get(udp.len) == room ? sizeof(udp) : 0;
	}
	if (room < sizeof(struct cv_tcp))
		return 0;
	len = 4U * (l4[offsetof(struct cv_tcp, doff)] >> 4);
	return len >= sizeof(struct cv_tcp) && len <= room ? len : 0;
}

/* Whether gso_type may stand on a packet of this family and transport. */
static bool gso_fits(uint8_t gso, uint8_t family, uint8_t protocol)
{
	switch (gso) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return family == AF_INET && protocol == IPPROTO_TCP;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return family == AF_INET6 && protocol == IPPROTO_TCP;
	case CV_VNET_GSO_UDP_L4:
		return protocol == IPPROTO_UDP;
	default:
		return false;
	}
}

static void begin_sums(struct cv_split *split)
{
	uint32_t l4_header = split->header - split->l4;
	uint32_t last = split->payload - (split->segs - 1) * split->size;
	uint8_t family = split->ip.family, protocol = transport_of(split);

	if (split->segs > 1)
		split->pseudo =
			cv_csum_pseudo(split->data, family, protocol, l4_header + split->size);
	split->pseudo_last = cv_csum_pseudo(split->data, family, protocol, l4_header + last);
}

/* Cut what lies behind the header into pieces of this size. */
static void begin_cut(struct cv_split *split, uint32_t size)
{
	split->payload = split->ip.len - split->header;
	split->size = size < split->payload ? size : split->payload;
	split->segs = split->payload ? (split->payload + split->size - 1) / split->size : 1;
	begin_sums(split);
}

static int begin_gso(struct cv_split *split, const struct cv_super *super)
{
	const struct virtio_net_hdr *vnet = &super->vnet;
	struct cv_ip6_walk walk;
	uint32_t l4_header;

	if (!vnet->gso_size || split->ip.len != super->len ||
	    !cv_ip_find_transport(&split->ip, split->data, &walk) ||
	    !gso_fits(split->gso, split->ip.family, walk.protocol))
		return -EINVAL;
	split->l4 = walk.at;
	l4_header = transport_header_len(split);
	if (!l4_header)
		return -EINVAL;
	if ((vnet->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) &&
	    (vnet->csum_start != split->l4 ||
	     vnet->csum_offset != (walk.protocol == IPPROTO_UDP ? UDP_CSUM : TCP_CSUM)))
		return -EINVAL;
	split->header = split->l4 + l4_header;
	begin_cut(split, vnet->gso_size);
	return 0;
}

int cv_split_begin(struct cv_split *split, const struct cv_super *super)
{
	*split = (struct cv_split){
		.data = super->data,
		.gso = super->vnet.gso_type & ~VIRTIO_NET_HDR_GSO_ECN,
	};
	if (cv_ip_parse(super->data, super->len, &split->ip))
		return -EPROTO;
	if (split->gso == VIRTIO_NET_HDR_GSO_NONE)
		return begin_single(split, &super->vnet);
	return begin_gso(split, super);
}

/* Whether a packet's checksums are right, or the kernel says that the TCP one will be. */
static bool is_vouched_for(const struct cv_split *split)
{
	const uint8_t *l4 = split->data + split->l4;
	uint32_t l4_len = split->ip.len - split->l4;
	cv_csum sum;

	if (split->ip.family == AF_INET &&
	    cv_csum_fold(cv_csum_add(0, split->data, split->l4)) != 0xffff)
		return false;
	if (split->needs_csum)
		return split->csum_start == split->l4 && split->csum_offset == TCP_CSUM;
	sum = cv_csum_pseudo(split->data, split->ip.family, IPPROTO_TCP, l4_len);
	return cv_csum_fold(cv_csum_add(sum, l4, l4_len)) == 0xffff;
}

/* Make a packet that was not to be cut one that is, if it is TCP. */
static int shrink_single(struct cv_split *split, uint32_t mtu)
{
	struct cv_split super = *split;
	struct cv_ip6_walk walk;
	uint32_t l4_header;

	if (!cv_ip_find_transport(&split->ip, split->data, &walk) || walk.protocol != IPPROTO_TCP)
		return -EMSGSIZE;
	super.gso =
		split->ip.family == AF_INET ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
	super.l4 = walk.at;
	l4_header = transport_header_len(&super);
	super.header = super.l4 + l4_header;
	if (!l4_header || mtu <= super.header || !cv_tcp_may_be_cut(super.data + super.l4))
		return -EMSGSIZE;
	if (!is_vouched_for(&super))
		return -EBADMSG;
	begin_cut(&super, mtu - super.header);
	*split = super;
	return 0;
}

int cv_split_shrink(struct cv_split *split, uint32_t mtu)
{
	if (split->gso == VIRTIO_NET_HDR_GSO_NONE)
		return shrink_single(split, mtu);
	if (split->gso == CV_VNET_GSO_UDP_L4 || mtu <= split->header ||
	    !cv_tcp_may_be_cut(split->data + split->l4))
		return -EMSGSIZE;
	begin_cut(split, mtu - split->header);
	return 0;
}

static uint32_t write_single(struct cv_split *split, uint8_t *out)
{
	uint8_t *l4 = out + split->csum_start;
	cv_be16 csum;

	memcpy(out, split->data, split->header);
	split->next = 1;
	if (!split->needs_csum)
		return split->header;
	/* The field holds the sum of the pseudo header and is summed with the rest. */
	csum = cv_csum_field(cv_csum_add(0, l4, split->header - split->csum_start));
	/* Nothing but UDP has its field there; encapsulated UDP has too. */
	if (split->csum_offset == UDP_CSUM && cv_be16_get(csum) == 0)
		csum = cv_be16_of(0xffff);
	memcpy(l4 + split->csum_offset, &csum, sizeof(csum));
	return split->header;
}

static void fix_ip4(const struct cv_split *split, uint8_t *out, uint32_t len)
{
	struct cv_ip4 *ip = (struct cv_ip4 *)out;

	ip->tot_len = cv_be16_of((uint16_t)len);
	ip->id = cv_be16_of((uint16_t)(cv_be16_get(ip->id) + split->next));
	ip->csum = cv_be16_of(0);
	ip->csum = cv_csum_field(cv_csum_add(0, ip, split->ip.l4));
}

static void fix_tcp(const struct cv_split *split, uint8_t *l4, uint32_t len, bool last)
{
	struct cv_tcp *tcp = (struct cv_tcp *)l4;

	tcp->seq = cv_be32_of(cv_be32_get(tcp->seq) + split->done);
	if (split->next)
		tcp->flags &= (uint8_t)~CV_TCP_CWR;
	if (!last)
		tcp->flags &= (uint8_t) ~(CV_TCP_FIN | CV_TCP_PSH);
	tcp->csum = cv_be16_of(0);
	tcp->csum = cv_csum_field(cv_csum_add(last ? split->pseudo_last : split->pseudo, l4, len));
}

static void fix_udp(const struct cv_split *split, uint8_t *l4, uint32_t len, bool last)
{
	struct cv_udp_header *udp = (struct cv_udp_header *)l4;

	udp->len = cv_be16_of((uint16_t)len);
	udp->csum = cv_be16_of(0);
	udp->csum = cv_csum_field(cv_csum_add(last ? split->pseudo_last : split->pseudo, l4, len));
	if (cv_be16_get(udp->csum) == 0)
		udp->csum = cv_be16_of(0xffff);
}

uint32_t cv_split_next(struct cv_split *split, uint8_t *out)
{
	uint32_t len = cv_split_next_len(split);
	uint32_t piece = len - split->header;
	bool last = split->next + 1 == split->segs;

	if (split->next == split->segs)
		return 0;
	if (split->gso == VIRTIO_NET_HDR_GSO_NONE)
		return write_single(split, out);

	memcpy(out, split->data, split->header);
	memcpy(out + split->header, split->data + split->header + split->done, piece);
	if (split->ip.family == AF_INET)
		fix_ip4(split, out, len);
	else
		((struct cv_ip6 *)out)->payload_len =
			cv_be16_of((uint16_t)(len - sizeof(struct cv_ip6)));
	if (split->gso == CV_VNET_GSO_UDP_L4)
		fix_udp(split, out + split->l4, len - split->l4, last);
	else
		fix_tcp(split, out + split->l4, len - split->l4, last);

	split->done += piece;
	split->next++;
	return len;
}
