/*
 * merge: runs of packets of a TCP or UDP flow into super-packets for one TUN write each.
 *
 * How it works
 *
 * Every packet that is added either joins the open super of its flow or begins a new super, so
 * supers stand in the order of their first packets and none is ever empty:
 *
 *	packets  A1 B1 A2 A3 C1 B2 A5        supers  [A1 A2 A3] [B1 B2] [C1] [A5]
 *
 * Only the newest super of a flow is ever open. A packet that may not join (a gap, a pure ACK, a
 * wrong checksum...) ends it and stands alone or begins the next, so inside a flow nothing
 * overtakes. A packet without ports (a fragment, ICMP, ESP, IPv6 extension headers, a broken
 * transport header) could belong to any flow between its two addresses: it ends all supers between
 * these two. That is one store: the time of such a packet is kept under a hash of the pair, and a
 * super that is older does not grow. Pairs with the same hash end each other's runs, which costs a
 * merge, never an order.
 *
 * Flows are found in a table that is open addressed but gives up after WAYS steps: then the flow
 * at home there is forgotten, which ends its super. So a packet costs O(1) whatever the peers
 * send, and nothing is ever deleted inside a batch.
 *
 * Checksums are verified before anything else, once per packet, while it is in the cache. A
 * verified packet goes out with NEEDS_CSUM and the pseudo header's sum, merged or alone, which
 * spares the kernel a sum of its own. A packet that fails is not touched at all; the kernel judges
 * it as if we were not there. So merging never gives a broken packet a right checksum.
 *
 * Nothing is written to a packet before cv_merge_finish(), which keeps the headers it is about to
 * change, so that cv_merge_undo() can give the packets back as they came.
 */
#include <assert.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <convoy/packet/csum.h>
#include <convoy/path/merge.h>
#include <convoy/path/split.h>

#include "internal.h"

enum {
	SLOTS = 2 * CV_BATCH_MAX, /* a power of two; at most half full */
	WAYS = 8,                 /* not tuned */
	PAIRS = 256,              /* a power of two; not tuned */
	HEADER_MAX = CV_IP4_HEADER_MAX + CV_TCP_HEADER_MAX,
	TCP_PKTS_MAX = 1023, /* one iovec each and the vnet header: UIO_MAXIOV 1024 */
	UDP_PKTS_MAX = 64,   /* UDP_MAX_SEGMENTS of linux/udp.h; 128 since Linux 6.9 */
};

/* A packet, and the next one in its super. */
struct item {
	struct cv_pkt *pkt;
	uint16_t next;
};

/* What becomes one TUN write. */
struct super {
	struct cv_flow_packet first;
	uint64_t born;     /* time of its first packet */
	uint32_t len;      /* IP bytes of the whole */
	uint32_t size;     /* payload bytes of each packet but the last */
	uint32_t next_seq; /* TCP */
	uint16_t next_id;  /* IPv4 */
	uint16_t pkts;
	uint16_t head; /* first item */
	uint16_t tail; /* last item */
	uint8_t flags; /* TCP flags of all its packets */
	bool open;
	struct slot *slot; /* NULL for those that never were open */
};

/* The newest super of a flow. */
struct slot {
	struct super *super; /* NULL: free */
	uint64_t hash;
};

struct cv_merge {
	struct cv_merge_offloads offloads;
	uint64_t now; /* packets ever added */
	size_t items, supers;
	struct item item[CV_BATCH_MAX];
	struct super super[CV_BATCH_MAX];
	struct slot slot[SLOTS];
	uint64_t barrier[PAIRS]; /* supers of the pair born before are closed */
	struct cv_gather gather[CV_BATCH_MAX];
	struct iovec iov[2 * CV_BATCH_MAX];
	uint8_t saved[CV_BATCH_MAX][HEADER_MAX]; /* headers of the first packets as they came */
};

struct cv_merge *cv_merge_new(void)
{
	return calloc(1, sizeof(struct cv_merge));
}

void cv_merge_free(struct cv_merge *merge)
{
	free(merge);
}

void cv_merge_reset(struct cv_merge *merge, struct cv_merge_offloads offloads)
{
	for (size_t i = 0; i < merge->supers; i++)
		if (merge->super[i].slot)
			merge->super[i].slot->super = NULL;
	merge->items = 0;
	merge->supers = 0;
	merge->offloads = offloads;
}

/*
 * The slot of a flow: its own, a free one, or one that another flow must give up. The other's
 * super is closed at once, but stays there until it is replaced: a hole would hide the slots
 * behind it.
 */
static struct slot *find_slot(struct cv_merge *merge, const struct cv_flow_packet *packet)
{
	struct slot *slot;

	for (unsigned i = 0; i < WAYS; i++) {
		slot = &merge->slot[(packet->hash + i) % SLOTS];
		if (!slot->super ||
		    (slot->hash == packet->hash && cv_flow_equal(&slot->super->first, packet)))
			return slot;
	}
	slot = &merge->slot[packet->hash % SLOTS];
	slot->super->open = false;
	return slot;
}

/* Begin a super with the item that was added last. */
static struct super *begin_super(struct cv_merge *merge, const struct cv_flow_packet *packet)
{
	struct super *super = &merge->super[merge->supers++];
	uint16_t item = (uint16_t)(merge->items - 1);

	super->first = *packet;
	super->born = merge->now;
	super->len = packet->len;
	super->pkts = 1;
	super->head = item;
	super->tail = item;
	super->open = false;
	super->slot = NULL;
	return super;
}

/* Let a super grow, and be found by the next packets of its flow. */
static void open_super(struct super *super, struct slot *slot)
{
	const struct cv_flow_packet *first = &super->first;

	super->size = first->len - first->header;
	super->next_seq = first->seq + super->size;
	super->next_id = (uint16_t)(first->id + 1);
	super->flags = first->flags;
	super->open = !(first->flags & CV_TCP_FIN);
	super->slot = slot;
	slot->super = super;
	slot->hash = first->hash;
}

/* Whether a mergeable packet of the same flow continues a super. */
static bool may_join(const struct super *super, const struct cv_flow_packet *packet)
{
	uint32_t payload = packet->len - packet->header;
	bool tcp = packet->protocol == IPPROTO_TCP;

	return payload <= super->size && super->len + payload <= CV_IP_MAX &&
	       super->pkts < (tcp ? TCP_PKTS_MAX : UDP_PKTS_MAX) &&
	       (!tcp || packet->seq == super->next_seq) &&
	       (!packet->ids_ascend || packet->id == super->next_id) &&
	       cv_flow_headers_equal(&super->first, packet);
}

static void join(struct cv_merge *merge, struct super *super, const struct cv_flow_packet *packet)
{
	uint32_t payload = packet->len - packet->header;
	uint16_t item = (uint16_t)(merge->items - 1);

	merge->item[super->tail].next = item;
	super->tail = item;
	super->pkts++;
	super->len += payload;
	super->flags |= packet->flags;
	super->next_id++;
	super->next_seq += payload;
	/* A short packet can only be the last. */
	super->open = payload == super->size && !(packet->flags & CV_TCP_FIN);
}

static bool offloaded(const struct cv_merge *merge, uint8_t protocol)
{
	return protocol == IPPROTO_TCP ? merge->offloads.tcp : merge->offloads.udp;
}

void cv_merge_add(struct cv_merge *merge, struct cv_pkt *pkt, const struct cv_ip *ip)
{
	uint64_t pair = cv_flow_pair_hash(ip);
	uint64_t *barrier = &merge->barrier[pair % PAIRS];
	struct cv_flow_packet packet = { .data = pkt->data, .len = pkt->len };
	struct super *super;
	struct slot *slot;

	assert(merge->items < CV_BATCH_MAX);
	merge->item[merge->items++].pkt = pkt;
	merge->now++;
	if (pkt->len != ip->len || !cv_flow_read(pkt->data, ip, pair, &packet)) {
		pkt->csum_verified = false;
		*barrier = merge->now;
		begin_super(merge, &packet);
		return;
	}
	pkt->csum_verified = packet.verified;
	if (!offloaded(merge, packet.protocol)) {
		begin_super(merge, &packet);
		return;
	}
	slot = find_slot(merge, &packet);
	super = slot->super;
	if (super && super->open) {
		super->open =
			packet.mergeable && super->born > *barrier && may_join(super, &packet);
		if (super->open) {
			join(merge, super, &packet);
			return;
		}
	}
	super = begin_super(merge, &packet);
	if (packet.mergeable)
		open_super(super, slot);
}

/* Make the first packet's headers those of the whole; the checksum field gets the seed. */
static void write_headers(const struct super *super, uint8_t *data)
{
	const struct cv_flow_packet *first = &super->first;
	uint32_t l4_len = super->len - first->l4;
	struct cv_udp_header *udp = (struct cv_udp_header *)(data + first->l4);
	struct cv_tcp *tcp = (struct cv_tcp *)(data + first->l4);
	cv_be16 seed;

	if (super->pkts > 1 && first->family == AF_INET) {
		struct cv_ip4 *ip = (struct cv_ip4 *)data;

		ip->tot_len = cv_be16_of((uint16_t)super->len);
		ip->csum = cv_be16_of(0);
		ip->csum = cv_csum_field(cv_csum_add(0, ip, sizeof(*ip)));
	} else if (super->pkts > 1) {
		struct cv_ip6 *ip = (struct cv_ip6 *)data;

		ip->payload_len = cv_be16_of((uint16_t)l4_len);
	}
	seed = cv_csum_seed(cv_csum_pseudo(data, first->family, first->protocol, l4_len));
	if (first->protocol == IPPROTO_UDP) {
		udp->len = cv_be16_of((uint16_t)l4_len);
		udp->csum = seed;
	} else {
		tcp->flags |= super->pkts > 1 ? super->flags : 0;
		tcp->csum = seed;
	}
}

static struct virtio_net_hdr vnet_of(const struct super *super)
{
	const struct cv_flow_packet *first = &super->first;
	bool tcp = first->protocol == IPPROTO_TCP;
	struct virtio_net_hdr vnet = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.csum_start = first->l4,
		.csum_offset =
			tcp ? offsetof(struct cv_tcp, csum) : offsetof(struct cv_udp_header, csum),
	};

	if (super->pkts == 1)
		return vnet;
	vnet.gso_type = !tcp                       ? CV_VNET_GSO_UDP_L4
			: first->family == AF_INET ? VIRTIO_NET_HDR_GSO_TCPV4
						   : VIRTIO_NET_HDR_GSO_TCPV6;
	vnet.gso_size = (uint16_t)super->size;
	vnet.hdr_len = first->header;
	return vnet;
}

/* Returns the first iovec that is still free. */
static struct iovec *fill_gather(struct cv_merge *merge, size_t n, struct iovec *iov)
{
	const struct super *super = &merge->super[n];
	struct cv_gather *gather = &merge->gather[n];
	const struct cv_pkt *pkt = merge->item[super->head].pkt;
	uint32_t header = super->first.header;

	*gather = (struct cv_gather){
		.iov = iov,
		.iovs = (uint16_t)(super->pkts + 1),
		.pkts = super->pkts,
		.len = super->len,
	};
	if (super->first.verified) {
		memcpy(merge->saved[n], pkt->data, header);
		write_headers(super, pkt->data);
		gather->vnet = vnet_of(super);
	}
	*iov++ = (struct iovec){ &gather->vnet, CV_VNET_SIZE };
	*iov++ = (struct iovec){ pkt->data, pkt->len };
	for (uint16_t i = super->head; i != super->tail;) {
		i = merge->item[i].next;
		pkt = merge->item[i].pkt;
		*iov++ = (struct iovec){ pkt->data + header, pkt->len - header };
	}
	return iov;
}

size_t cv_merge_finish(struct cv_merge *merge, const struct cv_gather **ret_gathers)
{
	struct iovec *iov = merge->iov;

	for (size_t n = 0; n < merge->supers; n++)
		iov = fill_gather(merge, n, iov);
	*ret_gathers = merge->gather;
	return merge->supers;
}

size_t cv_merge_undo(struct cv_merge *merge, size_t n, struct cv_pkt **ret_pkts)
{
	const struct super *super = &merge->super[n];
	uint16_t item = super->head;

	if (super->first.verified)
		memcpy(merge->item[item].pkt->data, merge->saved[n], super->first.header);
	for (size_t i = 0; i < super->pkts; i++) {
		ret_pkts[i] = merge->item[item].pkt;
		item = merge->item[item].next;
	}
	return super->pkts;
}
