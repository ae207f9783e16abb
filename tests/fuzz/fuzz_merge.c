/*
 * fuzz merge: a batch of packets as peers may send them.
 *
 * The first byte says what the TUN accepts. Then come packets: a byte of how, two of length, and
 * so many bytes. How: bit 0, the transport checksum and lengths are made right, so that mutations
 * get behind their check; bit 1, the packet before is sent on, with the bytes XORed onto its
 * headers and its sequence number moved on.
 *
 * Oracle: every packet is in the output once, supers are in the order of their first packets and
 * hold theirs in order, and nothing overtakes inside a flow; what split makes of a super is the
 * packets that went in (but for ids under DF and the place of PSH), so all that were joined had
 * right checksums; undo gives all packets back as they came.
 */
#include <netinet/in.h>

#include <convoy/path/merge.h>
#include <convoy/path/split.h>

#include "flow_packets.h"
#include "fuzz.h"

enum {
	PKTS_MAX = 200,
	LEN_MAX = 2000,
	HOW_RIGHT = 1,
	HOW_NEXT = 2,
};

static struct cv_merge *merge;

static struct {
	size_t n;
	struct cv_pkt pkt[PKTS_MAX];
	uint8_t *before[PKTS_MAX];
	bool seen[PKTS_MAX];
	size_t out[PKTS_MAX]; /* packets in the order in which they leave */
} batch;

/* Make lengths and checksums of a TCP or UDP packet right where it has the room. */
static void make_right(uint8_t *packet, uint32_t len)
{
	bool v4 = packet[0] >> 4 == 4;
	uint32_t l4 = v4 ? 4U * (packet[0] & 15) : 40, l4_len, csum;
	uint8_t protocol = packet[v4 ? 9 : 6];

	if (len < l4 + 20 || l4 < 20)
		return;
	l4_len = len - l4;
	if (v4) {
		put16(packet + 2, len);
		put16(packet + 10, 0);
		put16(packet + 10, ~naive_sum(0, packet, l4) & 0xffff);
	} else {
		put16(packet + 4, l4_len);
	}
	if (protocol == IPPROTO_UDP)
		put16(packet + l4 + 4, l4_len);
	csum = l4 + (protocol == IPPROTO_UDP ? 6 : 16);
	put16(packet + csum, 0);
	put16(packet + csum,
	      ~naive_sum(naive_pseudo(packet, protocol, l4_len), packet + l4, l4_len) & 0xffff);
}

/* The packet that would follow the last one, with `data` XORed onto it. */
static uint32_t next_packet(uint8_t *packet, const uint8_t *data, uint32_t len)
{
	const struct cv_pkt *last = &batch.pkt[batch.n - 1];
	struct cv_ip ip;
	uint8_t *l4;

	memcpy(packet, last->data, last->len);
	must(cv_ip_parse(packet, last->len, &ip) == 0);
	l4 = packet + ip.l4;
	if (ip.family == AF_INET)
		put16(packet + 4, get16(packet + 4) + 1);
	if (ip.protocol == IPPROTO_TCP && ip.len >= ip.l4 + 20 &&
	    ip.len >= ip.l4 + 4U * (l4[12] >> 4))
		put32(l4 + 4, get32(l4 + 4) + ip.len - ip.l4 - 4U * (l4[12] >> 4));
	for (uint32_t i = 0; i < len && i < last->len; i++)
		packet[i] ^= data[i];
	return last->len;
}

static void add_packet(const uint8_t *data, uint32_t len, uint8_t how)
{
	uint8_t packet[LEN_MAX];
	struct cv_ip ip;
	struct cv_pkt *pkt = &batch.pkt[batch.n];

	if ((how & HOW_NEXT) && batch.n)
		len = next_packet(packet, data, len);
	else
		memcpy(packet, data, len);
	if (len && (how & HOW_RIGHT))
		make_right(packet, len);
	if (cv_ip_parse(packet, len, &ip))
		return;
	*pkt = (struct cv_pkt){ .data = exact(packet, ip.len), .len = ip.len };
	batch.before[batch.n++] = exact(packet, ip.len);
	cv_merge_add(merge, pkt, &ip);
}

static void read_batch(const uint8_t *data, size_t size)
{
	batch.n = 0;
	cv_merge_reset(merge, (struct cv_merge_offloads){ .tcp = data[0] & 1, .udp = data[0] & 2 });
	data++, size--;
	while (size >= 3 && batch.n < PKTS_MAX) {
		size_t len = get16(data + 1) % LEN_MAX;

		if (len > size - 3)
			len = size - 3;
		add_packet(data + 3, (uint32_t)len, data[0]);
		data += 3 + len;
		size -= 3 + len;
	}
}

static size_t packet_of(const void *at)
{
	size_t i = 0;

	while (i < batch.n && ((const uint8_t *)at < batch.pkt[i].data ||
			       (const uint8_t *)at >= batch.pkt[i].data + batch.pkt[i].len))
		i++;
	must(i < batch.n);
	return i;
}

/* split gives the packets back. */
static void check_split(const struct cv_gather *gather)
{
	static uint8_t bytes[MADE_MAX], out[MADE_MAX];
	struct cv_super super = { .vnet = gather->vnet, .data = bytes };
	struct cv_split split;

	for (size_t k = 1; k < gather->iovs; k++) {
		memcpy(bytes + super.len, gather->iov[k].iov_base, gather->iov[k].iov_len);
		super.len += (uint32_t)gather->iov[k].iov_len;
	}
	must(super.len == gather->len);
	must(cv_split_begin(&split, &super) == 0 && split.segs == gather->pkts);
	for (size_t k = 1; k < gather->iovs; k++) {
		size_t i = packet_of(gather->iov[k].iov_base);

		must(cv_split_next(&split, out) == batch.pkt[i].len);
		must(gather->pkts == 1
			     ? !memcmp(out, batch.before[i], batch.pkt[i].len)
			     : equal_but_for_unkept(out, batch.before[i], batch.pkt[i].len));
	}
}

static void check_gathers(const struct cv_gather *gathers, size_t n)
{
	size_t first = 0, pkts = 0;

	memset(batch.seen, 0, sizeof(batch.seen));
	for (size_t g = 0; g < n; g++) {
		const struct cv_gather *gather = &gathers[g];
		size_t last = packet_of(gather->iov[1].iov_base);

		must(g == 0 || last > first);
		first = last;
		must(gather->iovs == gather->pkts + 1);
		for (size_t k = 1; k < gather->iovs; k++) {
			size_t i = packet_of(gather->iov[k].iov_base);

			must(!batch.seen[i] && (k == 1 || i > last));
			batch.seen[i] = true;
			last = i;
			batch.out[pkts++] = i;
		}
		check_split(gather);
	}
	must(pkts == batch.n);
}

/* Of one flow, as far as anybody can tell: without whole ports it is any between the two. */
static bool may_be_of_one_flow(const uint8_t *a, uint32_t a_len, const uint8_t *b, uint32_t b_len)
{
	struct cv_ip x, y;
	bool ports[2];

	must(cv_ip_parse(a, a_len, &x) == 0 && cv_ip_parse(b, b_len, &y) == 0);
	if (!cv_addr_equal(&x.src, &y.src) || !cv_addr_equal(&x.dst, &y.dst))
		return false;
	ports[0] = !x.fragment && ((x.protocol == IPPROTO_TCP && x.len >= x.l4 + 20U) ||
				   (x.protocol == IPPROTO_UDP && x.len >= x.l4 + 8U));
	ports[1] = !y.fragment && ((y.protocol == IPPROTO_TCP && y.len >= y.l4 + 20U) ||
				   (y.protocol == IPPROTO_UDP && y.len >= y.l4 + 8U));
	return !ports[0] || !ports[1] ||
	       (x.protocol == y.protocol && get32(a + x.l4) == get32(b + y.l4));
}

static void check_order(void)
{
	for (size_t late = 1; late < batch.n; late++)
		for (size_t early = 0; early < late; early++) {
			size_t i = batch.out[early], k = batch.out[late];

			must(i < k || !may_be_of_one_flow(batch.before[i], batch.pkt[i].len,
							  batch.before[k], batch.pkt[k].len));
		}
}

static void check_undo(const struct cv_gather *gathers, size_t n)
{
	struct cv_pkt *pkts[PKTS_MAX];

	for (size_t g = 0; g < n; g++)
		must(cv_merge_undo(merge, g, pkts) == gathers[g].pkts);
	for (size_t i = 0; i < batch.n; i++)
		must(!memcmp(batch.pkt[i].data, batch.before[i], batch.pkt[i].len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cv_gather *gathers;
	size_t n;

	if (!merge)
		merge = cv_merge_new();
	must(merge);
	if (!size)
		return 0;
	read_batch(data, size);
	n = cv_merge_finish(merge, &gathers);
	check_gathers(gathers, n);
	check_order();
	check_undo(gathers, n);
	for (size_t i = 0; i < batch.n; i++) {
		free(batch.pkt[i].data);
		free(batch.before[i]);
	}
	return 0;
}
