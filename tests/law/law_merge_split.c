/*
 * merge and split are inverse: what one makes the other undoes, and no packet is lost, doubled,
 * changed or overtaken on the way, whatever a batch looks like.
 *
 * Batches are made of several flows whose runs are cut at random places, interleaved, and spoilt
 * here and there (bits flipped, neighbours exchanged, headers changed). The seed of a failure is
 * printed; CV_SEED= replays it.
 *
 * What is cut for a path that carries less is no exception: whatever its mtu, the other end makes
 * of it what the TUN gave.
 */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* cmocka.h needs what stands above it. */
#include <cmocka.h>

#include <convoy/path/merge.h>
#include <convoy/path/split.h>

#include "flow_packets.h"
#include "law.h"

enum {
	ROUNDS = 1000,
	FLOWS_MAX = 6,
	PKTS_MAX = 300,
	PAYLOAD_MAX = 1400,
};

static bool one_in(uint32_t n)
{
	return below(n) == 0;
}

/* Batches */

static struct {
	size_t n, gathers_n;
	struct made made[PKTS_MAX];
	struct cv_ip ip[PKTS_MAX];
	struct cv_pkt pkt[PKTS_MAX];
	uint8_t before[PKTS_MAX][PAYLOAD_MAX + 120];
	uint8_t bytes[PKTS_MAX][PAYLOAD_MAX + 120];
	const struct cv_gather *gathers;
	/* By packet: the gather that it is in, and its place in the whole output. */
	size_t gather_of[PKTS_MAX], place[PKTS_MAX];
} batch;

static struct cv_merge *merge;

static struct made random_flow(uint8_t number)
{
	bool v4 = one_in(2), tcp = !one_in(3);

	return (struct made){
		.family = v4 ? AF_INET : AF_INET6,
		.protocol = tcp ? IPPROTO_TCP : IPPROTO_UDP,
		.pair = (uint8_t)below(2),
		.flow = number,
		.id = (uint16_t)below(65536),
		.frag = one_in(4) ? 0 : CV_IP4_DF,
		.tos = (uint8_t)below(256),
		.ttl = (uint8_t)(1 + below(255)),
		.label = below(1 << 20),
		.seq = below(UINT32_MAX),
		.ack = below(UINT32_MAX),
		.window = (uint16_t)below(65536),
		.options = (uint8_t)(4 * below(11)),
		.option = (uint8_t)below(256),
		.payload = 1 + below(one_in(4) ? 20 : PAYLOAD_MAX),
		.at = below(UINT32_MAX),
	};
}

/* The flow goes on behind a packet of it. */
static void advance(struct made *flow, const struct made *sent)
{
	flow->id++;
	flow->at += sent->payload;
	if (flow->protocol == IPPROTO_TCP)
		flow->seq += sent->payload;
}

/* Make a packet into something that ends a run, or not, in one of many ways. */
static void spoil(struct made *made)
{
	switch (below(16)) {
	case 0:
		made->payload = below(made->payload + 1);
		break;
	case 1:
		made->flags = (uint8_t)below(256);
		break;
	case 2:
		made->flags = CV_TCP_PSH;
		break;
	case 3:
		made->flags = CV_TCP_FIN;
		break;
	case 4:
		made->seq += below(3) * made->payload;
		break;
	case 5:
		made->ttl ^= 1;
		break;
	case 6:
		made->tos ^= (uint8_t)(1 << below(8));
		break;
	case 7:
		made->frag = (uint16_t)below(65536);
		break;
	case 8:
		made->id += (uint16_t)below(3);
		break;
	case 9:
		made->ack++;
		break;
	case 10:
		made->option++;
		break;
	case 11:
		made->ip_options = (uint8_t)(4 * below(11));
		break;
	case 12:
		made->no_csum = true;
		break;
	case 13:
		made->protocol = one_in(2) ? IPPROTO_ICMP : IPPROTO_DSTOPTS;
		break;
	default:
		/* Behind the addresses, so that it stays a packet of its hosts. */
		made->flip = made_l4(made) + below(made_len(made) - made_l4(made));
		break;
	}
}

static void random_batch(void)
{
	uint32_t flows_n = 1 + below(FLOWS_MAX), flow = 0, spoilt = 2 + below(40);
	struct made flows[FLOWS_MAX];

	batch.n = 1 + below(PKTS_MAX);
	for (uint32_t i = 0; i < flows_n; i++)
		flows[i] = random_flow((uint8_t)i);
	for (size_t i = 0; i < batch.n; i++) {
		if (one_in(6))
			flow = below(flows_n);
		batch.made[i] = flows[flow];
		if (one_in(spoilt))
			spoil(&batch.made[i]);
		advance(&flows[flow], &batch.made[i]);
		if (i && one_in(2 * spoilt)) {
			struct made last = batch.made[i - 1];

			batch.made[i - 1] = batch.made[i];
			batch.made[i] = last;
		}
	}
}

/* Where the packets went; each must be somewhere, once. */
static void find_packets(void)
{
	size_t place = 0;

	for (size_t i = 0; i < batch.n; i++)
		batch.place[i] = SIZE_MAX;
	for (size_t n = 0; n < batch.gathers_n; n++) {
		const struct cv_gather *gather = &batch.gathers[n];

		assert_int_equal(gather->iovs, gather->pkts + 1);
		for (size_t k = 1; k < gather->iovs; k++) {
			size_t at = (size_t)((uint8_t *)gather->iov[k].iov_base - batch.bytes[0]);
			size_t i = at / sizeof(batch.bytes[0]);

			assert_true(i < batch.n);
			assert_int_equal(batch.place[i], SIZE_MAX);
			batch.place[i] = place++;
			batch.gather_of[i] = n;
		}
	}
	assert_int_equal(place, batch.n);
}

static void merge_batch(struct cv_merge_offloads offloads)
{
	cv_merge_reset(merge, offloads);
	for (size_t i = 0; i < batch.n; i++) {
		struct cv_pkt *pkt = &batch.pkt[i];

		*pkt = (struct cv_pkt){ .data = batch.bytes[i], .len = made_len(&batch.made[i]) };
		make_packet(pkt->data, &batch.made[i]);
		memcpy(batch.before[i], pkt->data, pkt->len);
		assert_int_equal(cv_ip_parse(pkt->data, pkt->len, &batch.ip[i]), 0);
		cv_merge_add(merge, pkt, &batch.ip[i]);
	}
	batch.gathers_n = cv_merge_finish(merge, &batch.gathers);
	find_packets();
}

/* Laws */

static bool has_ports(size_t i)
{
	uint8_t protocol = batch.made[i].protocol;

	return (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP) && !batch.ip[i].fragment;
}

/* Whether the order of two packets is anybody's business. */
static bool ordered(size_t i, size_t j)
{
	const struct made *a = &batch.made[i], *b = &batch.made[j];

	if (a->family != b->family || a->pair != b->pair)
		return false;
	if (!has_ports(i) || !has_ports(j))
		return true;
	/* A flipped bit may have changed a port. */
	return a->protocol == b->protocol &&
	       !memcmp(batch.before[i] + batch.ip[i].l4, batch.before[j] + batch.ip[j].l4, 4);
}

static void check_order(void)
{
	for (size_t i = 0; i < batch.n; i++)
		for (size_t j = i + 1; j < batch.n; j++)
			if (batch.place[i] > batch.place[j])
				assert_false(ordered(i, j));
	/* Gathers stand in the order of their first packets. */
	for (size_t n = 1; n < batch.gathers_n; n++)
		assert_true(batch.gathers[n - 1].iov[1].iov_base <
			    batch.gathers[n].iov[1].iov_base);
}

/* split(gather) is the packets that went in. */
static void check_split(size_t n)
{
	static uint8_t bytes[MADE_MAX], out[MADE_MAX];
	const struct cv_gather *gather = &batch.gathers[n];
	struct cv_super super = { .vnet = gather->vnet, .data = bytes };
	struct cv_split split;

	for (size_t k = 1; k < gather->iovs; k++) {
		memcpy(bytes + super.len, gather->iov[k].iov_base, gather->iov[k].iov_len);
		super.len += (uint32_t)gather->iov[k].iov_len;
	}
	assert_int_equal(super.len, gather->len);
	assert_int_equal(cv_split_begin(&split, &super), 0);
	assert_int_equal(split.segs, gather->pkts);
	for (size_t k = 1; k < gather->iovs; k++) {
		size_t at = (size_t)((uint8_t *)gather->iov[k].iov_base - batch.bytes[0]);
		size_t i = at / sizeof(batch.bytes[0]);
		uint32_t len = cv_split_next(&split, out);

		assert_int_equal(len, batch.pkt[i].len);
		if (gather->pkts == 1)
			assert_memory_equal(out, batch.before[i], len);
		else
			assert_true(equal_but_for_unkept(out, batch.before[i], len));
	}
	assert_int_equal(cv_split_next(&split, out), 0);
}

static void split_undoes_merge_law(void)
{
	random_batch();
	merge_batch((struct cv_merge_offloads){ .tcp = !one_in(8), .udp = !one_in(4) });
	check_order();
	for (size_t n = 0; n < batch.gathers_n; n++)
		check_split(n);
}

static void undo_undoes_merge_law(void)
{
	struct cv_pkt *pkts[PKTS_MAX];

	random_batch();
	merge_batch((struct cv_merge_offloads){ .tcp = true, .udp = true });
	for (size_t n = 0; n < batch.gathers_n; n++) {
		size_t pkts_n = cv_merge_undo(merge, n, pkts);

		assert_int_equal(pkts_n, batch.gathers[n].pkts);
		for (size_t k = 0; k < pkts_n; k++) {
			size_t i = (size_t)(pkts[k] - batch.pkt);

			assert_int_equal(batch.gather_of[i], n);
			assert_true(!k || pkts[k - 1] < pkts[k]);
			assert_memory_equal(pkts[k]->data, batch.before[i], pkts[k]->len);
		}
	}
}

/* A super that the kernel could hand over, and that merge may make again. */
static struct made random_super(uint16_t *ret_gso_size)
{
	struct made whole = random_flow(0);
	uint32_t room = 65535 - made_header(&whole), size = 1 + below(one_in(4) ? 20 : 1460);
	uint32_t segs = whole.protocol == IPPROTO_UDP ? 64 : 1000;

	if (segs > room / size)
		segs = room / size;
	whole.payload = size + 1 + below((segs - 1) * size);
	if (whole.protocol == IPPROTO_TCP)
		whole.flags = (uint8_t)(below(2) * CV_TCP_PSH + below(2) * CV_TCP_FIN);
	*ret_gso_size = (uint16_t)size;
	return whole;
}

/* Cut a super into packets, each in a buffer of its own, and add them to a batch. */
static void split_into_merge(struct cv_split *split, uint8_t *buffers, struct cv_pkt *pkts)
{
	uint32_t longest = cv_split_longest(split);
	struct cv_ip ip;

	cv_merge_reset(merge, (struct cv_merge_offloads){ .tcp = true, .udp = true });
	for (size_t i = 0; split->next < split->segs; i++) {
		pkts[i].data = buffers;
		pkts[i].len = cv_split_next(split, buffers);
		assert_true(pkts[i].len <= longest);
		assert_true(packet_is_right(buffers, pkts[i].len));
		assert_int_equal(cv_ip_parse(buffers, pkts[i].len, &ip), 0);
		cv_merge_add(merge, &pkts[i], &ip);
		buffers += pkts[i].len;
	}
}

/* Make the packet whole, to be cut at `size`, and leave its checksum to whoever cuts it. */
static struct cv_super make_super(const struct made *whole, uint16_t size, uint8_t *bytes)
{
	bool tcp = whole->protocol == IPPROTO_TCP;

	make_packet(bytes, whole);
	make_seed(bytes, whole);
	return (struct cv_super){
		.data = bytes,
		.len = made_len(whole),
		.vnet = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
			  .gso_type = !tcp                       ? CV_VNET_GSO_UDP_L4
				      : whole->family == AF_INET ? VIRTIO_NET_HDR_GSO_TCPV4
								 : VIRTIO_NET_HDR_GSO_TCPV6,
			  .gso_size = size,
			  .hdr_len = (uint16_t)made_header(whole),
			  .csum_start = (uint16_t)made_l4(whole),
			  .csum_offset = tcp ? 16 : 6 },
	};
}

/* merge(split) is the super that was cut. */
static void check_merge(struct cv_split *split, const struct cv_super *super)
{
	static uint8_t buffers[1000 * 120 + MADE_MAX];
	static struct cv_pkt pkts[1000];
	const struct cv_gather *gathers;
	uint32_t at = 0;

	split_into_merge(split, buffers, pkts);
	assert_int_equal(cv_merge_finish(merge, &gathers), 1);
	assert_int_equal(gathers->len, super->len);
	assert_memory_equal(&gathers->vnet, &super->vnet, sizeof(super->vnet));
	for (size_t k = 1; k < gathers->iovs; k++) {
		assert_memory_equal(gathers->iov[k].iov_base, super->data + at,
				    gathers->iov[k].iov_len);
		at += (uint32_t)gathers->iov[k].iov_len;
	}
	assert_int_equal(at, super->len);
}

static void merge_undoes_split_law(void)
{
	static uint8_t bytes[MADE_MAX];
	uint16_t size;
	struct made whole = random_super(&size);
	struct cv_super super = make_super(&whole, size, bytes);
	struct cv_split split;

	assert_int_equal(cv_split_begin(&split, &super), 0);
	check_merge(&split, &super);
}

/* TCP that is too long for an mtu: a super, or a packet that the TUN gave whole, summed or not. */
static struct made random_long(uint32_t mtu, uint32_t *ret_gso_size)
{
	struct made whole = random_flow(0);
	uint32_t room = mtu - 120;

	whole.protocol = IPPROTO_TCP;
	whole.frag = CV_IP4_DF;
	whole.flags = (uint8_t)(below(2) * CV_TCP_PSH + below(2) * CV_TCP_FIN);
	whole.option = 1; /* NOPs */
	*ret_gso_size = one_in(2) ? 0 : mtu + below(1500);
	whole.payload = mtu + below(*ret_gso_size ? 64 * room : 1500);
	if (whole.payload > 65000)
		whole.payload = 65000;
	if (*ret_gso_size > whole.payload)
		*ret_gso_size = whole.payload;
	return whole;
}

static void shrink(uint32_t mtu)
{
	static uint8_t bytes[MADE_MAX], given[MADE_MAX];
	uint32_t gso_size;
	struct made whole = random_long(mtu, &gso_size);
	uint32_t size = mtu - made_header(&whole);
	struct cv_super super = make_super(&whole, (uint16_t)size, bytes), tun = super;
	struct cv_split split;

	tun.vnet.gso_size = (uint16_t)gso_size;
	if (!gso_size)
		tun.vnet.gso_type = VIRTIO_NET_HDR_GSO_NONE;
	if (!gso_size && one_in(2)) {
		make_packet(given, &whole);
		tun = (struct cv_super){ .data = given, .len = super.len };
	}
	assert_int_equal(cv_split_begin(&split, &tun), 0);
	assert_int_equal(cv_split_shrink(&split, mtu), 0);
	assert_int_equal(cv_split_longest(&split), mtu);
	check_merge(&split, &super);
}

static void merge_undoes_shrink_law(void)
{
	for (uint32_t mtu = 576; mtu <= 1500; mtu++)
		shrink(mtu);
}

static void split_undoes_merge_and_order_holds(void **state)
{
	for_all_seeds(ROUNDS, split_undoes_merge_law);
}

static void undo_undoes_merge(void **state)
{
	for_all_seeds(ROUNDS, undo_undoes_merge_law);
}

static void merge_undoes_split(void **state)
{
	for_all_seeds(ROUNDS, merge_undoes_split_law);
}

static void merge_undoes_shrink_at_every_mtu(void **state)
{
	for_all_seeds(3, merge_undoes_shrink_law);
}

static int take_merge(void **state)
{
	merge = cv_merge_new();
	return merge ? 0 : -1;
}

static int give_merge(void **state)
{
	cv_merge_free(merge);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(split_undoes_merge_and_order_holds, name_failed_seed),
		cmocka_unit_test_teardown(undo_undoes_merge, name_failed_seed),
		cmocka_unit_test_teardown(merge_undoes_split, name_failed_seed),
		cmocka_unit_test_teardown(merge_undoes_shrink_at_every_mtu, name_failed_seed),
	};

	return cmocka_run_group_tests(tests, take_merge, give_merge);
}
