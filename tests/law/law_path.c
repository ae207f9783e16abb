/*
 * Law: a tunnel without a file descriptor. Two ends, outbound of one wired to inbound of the other,
 * over a wire that loses, repeats, reorders and corrupts datagrams.
 *
 *   - Over a clean wire every flow's bytes arrive, all of them, in order.
 *   - Over any wire nothing arrives that was not sent, nothing arrives twice, and every datagram is
 *     accounted for: received = delivered + keepalives + drops by reason.
 *   - What has no session is staged, and leaves the stage when there is one.
 */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <convoy/base/wire.h>
#include <convoy/crypto/init.h>
#include <convoy/packet/csum.h>
#include <convoy/packet/ip.h>
#include <convoy/path/path.h>
#include <convoy/path/split.h>

#include "end.h"

enum {
	FLOWS = 5,
	MSS = END_MTU - 40,
	WIRE_MAX = 4096,
	STREAM_MAX = 8 << 20,
};

static uint64_t state;

static uint32_t draw(uint32_t bound)
{
	state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(state >> 33) % bound;
}

/* What a flow has sent, and what of it has arrived. */
struct flow {
	uint32_t sent;
	uint8_t *arrived; /* arrived[STREAM_MAX]: times each byte came */
	uint32_t next;    /* in order so far */
	bool in_order;
};

struct world {
	struct end a, b;
	struct flow flows[FLOWS];
	uint8_t *wire[WIRE_MAX]; /* datagrams, each with its length before it */
	uint32_t wire_len[WIRE_MAX];
	size_t wire_n;
	cv_time now;
};

static uint8_t pattern(unsigned flow, uint32_t position)
{
	return (uint8_t)(position * 2654435761u >> 13 ^ flow * 77);
}

static struct world *world_open(void)
{
	static const uint8_t one[32] = { 1, 2, 3 }, two[32] = { 4, 5, 6 };
	struct world *world = calloc(1, sizeof(*world));

	world->now = CV_NS_PER_S * 1000;
	end_open(&world->a, 1, one, two, world->now);
	end_open(&world->b, 2, two, one, world->now);
	for (unsigned i = 0; i < FLOWS; i++) {
		world->flows[i].arrived = calloc(1, STREAM_MAX);
		world->flows[i].in_order = true;
	}
	return world;
}

static void world_close(struct world *world)
{
	end_close(&world->a);
	end_close(&world->b);
	for (unsigned i = 0; i < FLOWS; i++)
		free(world->flows[i].arrived);
	for (size_t i = 0; i < world->wire_n; i++)
		free(world->wire[i]);
	free(world);
}

/* A TCP super of `flow` with len bytes of its stream, as a TUN would give it. */
static void make_super(struct flow *flow, unsigned id, uint32_t len, uint8_t *mem,
		       struct cv_super *ret_super)
{
	bool v6 = id & 1;
	uint32_t l4 = v6 ? 40 : 20, total = l4 + 20 + len;
	struct cv_tcp *tcp = (void *)(mem + l4);

	memset(mem, 0, l4 + 20);
	if (v6) {
		struct cv_ip6 *ip = (void *)mem;

		ip->version_class_flow = cv_be32_of(6u << 28);
		ip->payload_len = cv_be16_of((uint16_t)(total - 40));
		ip->next_header = IPPROTO_TCP;
		ip->hop_limit = 64;
		ip->src[15] = 1;
		ip->dst[15] = (uint8_t)id;
	} else {
		struct cv_ip4 *ip = (void *)mem;

		ip->version_ihl = 0x45;
		ip->tot_len = cv_be16_of((uint16_t)total);
		ip->frag = cv_be16_of(CV_IP4_DF);
		ip->ttl = 64;
		ip->protocol = IPPROTO_TCP;
		ip->src[0] = ip->dst[0] = 10;
		ip->dst[3] = (uint8_t)id;
		ip->csum = cv_csum_field(cv_csum_add(0, ip, 20));
	}
	tcp->src = cv_be16_of(1000);
	tcp->dst = cv_be16_of((uint16_t)id);
	tcp->seq = cv_be32_of(flow->sent);
	tcp->doff = 5 << 4;
	tcp->flags = CV_TCP_ACK;
	for (uint32_t i = 0; i < len; i++)
		mem[l4 + 20 + i] = pattern(id, flow->sent + i);
	tcp->csum =
		cv_csum_seed(cv_csum_pseudo(mem, v6 ? AF_INET6 : AF_INET, IPPROTO_TCP, total - l4));
	flow->sent += len;
	*ret_super = (struct cv_super){ .data = mem, .len = total };
	ret_super->vnet.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	ret_super->vnet.csum_start = (uint16_t)l4;
	ret_super->vnet.csum_offset = 16;
	if (len > MSS - 20) {
		ret_super->vnet.gso_type = v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
		ret_super->vnet.gso_size = MSS - 20;
	}
}

static void to_wire(struct world *world)
{
	struct cv_train *trains;
	size_t n = cv_path_trains(&world->a.path, &trains);

	for (size_t t = 0; t < n; t++) {
		uint32_t segs = 0;

		for (uint32_t at = 0; at < trains[t].len; at += trains[t].seg_size, segs++) {
			uint32_t len = trains[t].len - at;

			if (len > trains[t].seg_size)
				len = trains[t].seg_size;
			assert_true(len <= END_MTU + 32);
			assert_true(world->wire_n < WIRE_MAX);
			world->wire[world->wire_n] = malloc(len);
			memcpy(world->wire[world->wire_n], trains[t].data + at, len);
			world->wire_len[world->wire_n++] = len;
		}
		assert_int_equal(segs, trains[t].segs);
		assert_true(trains[t].segs <= CV_TRAIN_SEGS_MAX);
		assert_true(trains[t].len <= CV_TRAIN_BYTES_MAX);
	}
	cv_path_sent(&world->a.path, n, world->now);
}

static void send_some(struct world *world, unsigned supers_n)
{
	static uint8_t mem[CV_PATH_SUPERS_MAX][65536];
	struct cv_super supers[CV_PATH_SUPERS_MAX];

	for (unsigned i = 0; i < supers_n; i++) {
		unsigned id = draw(FLOWS);
		uint32_t len = 1 + draw(draw(2) ? 200 : 60000);

		make_super(&world->flows[id], id, len, mem[i], &supers[i]);
	}
	cv_path_load(&world->a.path, supers, supers_n, world->now);
	while (!cv_path_outbound(&world->a.path, world->now))
		to_wire(world);
	to_wire(world);
}

/* A packet that came out of the tunnel: its bytes are its flow's, and come once. */
static void take_packet(struct world *world, const uint8_t *packet, uint32_t len)
{
	struct cv_ip ip;
	const struct cv_tcp *tcp;
	struct flow *flow;
	uint32_t seq, id;

	assert_int_equal(cv_ip_parse(packet, len, &ip), 0);
	assert_int_equal(ip.len, len);
	tcp = (const void *)(packet + ip.l4);
	id = cv_be16_get(tcp->dst);
	seq = cv_be32_get(tcp->seq);
	assert_true(id < FLOWS);
	flow = &world->flows[id];
	assert_true(seq + (len - ip.l4 - 20) <= flow->sent);
	for (uint32_t i = ip.l4 + 20u; i < len; i++, seq++) {
		assert_int_equal(packet[i], pattern(id, seq));
		assert_int_equal(flow->arrived[seq]++, 0);
		if (seq != flow->next)
			flow->in_order = false;
		flow->next = seq + 1;
	}
}

static void take_gather(struct world *world, const struct cv_gather *gather)
{
	static uint8_t super[65536];
	static uint8_t segment[65536];
	struct cv_super whole = { .vnet = gather->vnet, .data = super };
	struct cv_split split;
	uint32_t len;

	for (unsigned i = 1; i < gather->iovs; i++) {
		memcpy(super + whole.len, gather->iov[i].iov_base, gather->iov[i].iov_len);
		whole.len += (uint32_t)gather->iov[i].iov_len;
	}
	assert_int_equal(whole.len, gather->len);
	assert_int_equal(cv_split_begin(&split, &whole), 0);
	while ((len = cv_split_next(&split, segment)))
		take_packet(world, segment, len);
}

static void receive_datagrams(struct world *world)
{
	static const struct cv_merge_offloads all = { true, true };
	struct cv_train trains[64];
	struct cv_inbound_step step;
	size_t done = 0;

	while (done < world->wire_n) {
		size_t n = 0;

		for (; n < 64 && done + n < world->wire_n; n++)
			trains[n] = (struct cv_train){
				.data = world->wire[done + n],
				.len = world->wire_len[done + n],
				.seg_size = (uint16_t)world->wire_len[done + n],
				.segs = 1,
				.remote = { .addr = { AF_INET, { 192, 0, 2, 9 } }, .port = 7 },
			};
		cv_path_receive(&world->b.path, trains, n);
		while (cv_path_inbound(&world->b.path, all, world->now, &step))
			for (size_t i = 0; i < step.gathers_n; i++)
				take_gather(world, &step.gathers[i]);
		for (size_t i = 0; i < n; i++)
			free(world->wire[done + i]);
		done += n;
	}
	world->wire_n = 0;
}

static uint64_t drops_sum(const struct cv_drops *drops)
{
	uint64_t sum = 0;

	for (int i = 0; i < CV_DROP_COUNT; i++)
		sum += drops->count[i];
	return sum;
}

static void assert_all_accounted_for(const struct end *end)
{
	const struct cv_path_counts *counts = &end->path.counts;

	assert_int_equal(counts->in_datagrams, counts->in_pkts + counts->in_keepalives +
						       counts->in_handshakes + counts->in_frames +
						       drops_sum(&end->path.drops));
}

static void clean_wire_delivers_every_flow_in_order(void **unused)
{
	struct world *world = world_open();

	end_connect(&world->a);
	for (int round = 0; round < 30; round++) {
		send_some(world, 1 + draw(8));
		receive_datagrams(world);
	}
	for (unsigned i = 0; i < FLOWS; i++) {
		assert_int_equal(world->flows[i].next, world->flows[i].sent);
		assert_true(world->flows[i].in_order);
	}
	assert_int_equal(drops_sum(&world->a.path.drops), 0);
	assert_int_equal(drops_sum(&world->b.path.drops), 0);
	assert_int_equal(world->a.path.counts.out_pkts, world->b.path.counts.in_pkts);
	assert_all_accounted_for(&world->b);
	world_close(world);
}

static void copy_to_wire_end(struct world *world, size_t from)
{
	uint32_t len = world->wire_len[from];

	world->wire[world->wire_n] = malloc(len);
	memcpy(world->wire[world->wire_n], world->wire[from], len);
	world->wire_len[world->wire_n++] = len;
}

static void spoil_wire(struct world *world, size_t *lost)
{
	size_t sent = world->wire_n;

	for (size_t i = 0; i < sent; i++) {
		size_t other = draw((uint32_t)sent);
		uint8_t *swap = world->wire[i];
		uint32_t swap_len = world->wire_len[i];

		switch (draw(12)) {
		case 0: /* repeat */
			if (world->wire_n < WIRE_MAX)
				copy_to_wire_end(world, i);
			break;
		case 1: /* corrupt anything: type, index, counter, text, tag */
			world->wire[i][draw(world->wire_len[i])] ^= (uint8_t)(1 << draw(8));
			break;
		case 2: /* cut short */
			world->wire_len[i] = 1 + draw(world->wire_len[i]);
			break;
		case 3: /* reorder */
			world->wire[i] = world->wire[other];
			world->wire_len[i] = world->wire_len[other];
			world->wire[other] = swap;
			world->wire_len[other] = swap_len;
			break;
		case 4: /* lose */
			free(world->wire[i]);
			world->wire[i] = world->wire[--world->wire_n];
			world->wire_len[i] = world->wire_len[world->wire_n];
			sent = sent > world->wire_n ? world->wire_n : sent;
			(*lost)++;
			break;
		}
	}
}

static void hostile_wire_delivers_nothing_wrong_and_loses_nothing_uncounted(void **unused)
{
	struct world *world = world_open();
	size_t lost = 0;

	end_connect(&world->a);
	for (int round = 0; round < 30; round++) {
		send_some(world, 1 + draw(8));
		spoil_wire(world, &lost);
		receive_datagrams(world);
		assert_all_accounted_for(&world->b);
	}
	assert_true(lost > 0);
	assert_true(world->b.path.drops.count[CV_DROP_AUTH_FAILED] > 0);
	assert_true(world->b.path.drops.count[CV_DROP_REPLAY] > 0);
	assert_true(world->b.path.counts.in_pkts > 0);
	world_close(world);
}

static void without_a_session_packets_wait_and_then_leave_in_order(void **unused)
{
	struct world *world = world_open();
	static uint8_t mem[65536];
	struct cv_super super;
	uint32_t bits;

	for (int i = 0; i < 3; i++) {
		make_super(&world->flows[0], 0, 40 * (MSS - 20), mem, &super);
		cv_path_load(&world->a.path, &super, 1, world->now);
		assert_true(cv_path_outbound(&world->a.path, world->now));
	}
	assert_int_equal(world->a.path.counts.staged_pkts, 120);
	assert_int_equal(world->wire_n, 0);
	assert_true(world->a.path.wake_control);
	assert_ptr_equal(cv_wishes_take(&world->a.plane.wishes, &bits), world->a.peer);
	assert_true(bits & CV_WISH_HANDSHAKE);

	end_connect(&world->a);
	while (!cv_path_unstage(&world->a.path, world->a.peer, world->now))
		to_wire(world);
	to_wire(world);
	receive_datagrams(world);
	assert_int_equal(world->flows[0].next, world->flows[0].sent);
	assert_true(world->flows[0].in_order);
	assert_int_equal(drops_sum(&world->a.path.drops), 0);
	world_close(world);
}

static void more_than_128_waiting_drop_the_oldest(void **unused)
{
	struct world *world = world_open();
	static uint8_t mem[65536];
	struct cv_super super;

	for (int i = 0; i < 4; i++) {
		make_super(&world->flows[0], 0, 40 * (MSS - 20), mem, &super);
		cv_path_load(&world->a.path, &super, 1, world->now);
		assert_true(cv_path_outbound(&world->a.path, world->now));
	}
	assert_int_equal(world->a.path.drops.count[CV_DROP_STAGE_FULL], 160 - 128);
	end_connect(&world->a);
	while (!cv_path_unstage(&world->a.path, world->a.peer, world->now))
		to_wire(world);
	to_wire(world);
	receive_datagrams(world);
	assert_int_equal(world->b.path.counts.in_pkts, 128);
	assert_int_equal(world->flows[0].next, world->flows[0].sent); /* the newest came */
	world_close(world);
}

static void an_old_session_opens_nothing_and_sends_nothing(void **unused)
{
	struct world *world = world_open();

	end_connect(&world->a);
	send_some(world, 4);
	world->now += CV_REJECT_AFTER_TIME_S * CV_NS_PER_S;
	receive_datagrams(world);
	assert_int_equal(world->b.path.counts.in_pkts, 0);
	assert_int_equal(world->b.path.drops.count[CV_DROP_KEY_EXPIRED],
			 world->b.path.counts.in_datagrams);
	send_some(world, 4);
	assert_int_equal(world->wire_n, 0);
	assert_true(world->a.path.counts.staged_pkts > 0);
	world_close(world);
}

static void a_source_of_another_peer_is_refused_but_the_peer_is_believed(void **unused)
{
	struct world *world = world_open();
	struct cv_prefix src = { .addr = { AF_INET, { 10 } }, .bits = 32 };
	struct cv_peer *other;
	uint8_t key[32] = { 99 };
	static uint8_t mem[65536];
	struct cv_super super;

	assert_int_equal(cv_peers_add(world->b.peers, key, &other), 0);
	assert_int_equal(cv_routes_insert(world->b.plane.routes, &src, other), 0);
	end_connect(&world->a);
	make_super(&world->flows[0], 0, 5000, mem, &super);
	cv_path_load(&world->a.path, &super, 1, world->now);
	assert_true(cv_path_outbound(&world->a.path, world->now));
	to_wire(world);
	receive_datagrams(world);
	assert_int_equal(world->b.path.counts.in_pkts, 0);
	assert_int_equal(world->b.path.drops.count[CV_DROP_SOURCE_NOT_ALLOWED], 4);
	assert_int_equal(world->b.peer->remote.port, 7); /* it has roamed */
	cv_routes_remove_peer(world->b.plane.routes, other);
	cv_peers_remove(world->b.peers, other);
	cv_peer_release(other);
	world_close(world);
}

static void a_super_that_lies_is_counted_and_nothing_else_happens(void **unused)
{
	struct world *world = world_open();
	struct cv_super supers[3];
	static uint8_t mem[3][65536];

	end_connect(&world->a);
	for (int i = 0; i < 3; i++)
		make_super(&world->flows[0], 0, 4000, mem[i], &supers[i]);
	supers[0].vnet.gso_size = 0;
	supers[1].vnet.gso_type = VIRTIO_NET_HDR_GSO_TCPV6;
	supers[2].data[0] = 0x75; /* version 7 */
	cv_path_load(&world->a.path, supers, 3, world->now);
	assert_true(cv_path_outbound(&world->a.path, world->now));
	to_wire(world);
	assert_int_equal(world->wire_n, 0);
	assert_int_equal(world->a.path.drops.count[CV_DROP_VNET_HEADER], 2);
	assert_int_equal(world->a.path.drops.count[CV_DROP_NOT_IP], 1);
	assert_int_equal(drops_sum(&world->a.path.drops), 3);
	assert_int_equal(world->a.path.counts.out_supers, 0);
	assert_int_equal(world->a.peer->tx_bytes, 0);
	world_close(world);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(clean_wire_delivers_every_flow_in_order),
		cmocka_unit_test(hostile_wire_delivers_nothing_wrong_and_loses_nothing_uncounted),
		cmocka_unit_test(without_a_session_packets_wait_and_then_leave_in_order),
		cmocka_unit_test(more_than_128_waiting_drop_the_oldest),
		cmocka_unit_test(an_old_session_opens_nothing_and_sends_nothing),
		cmocka_unit_test(a_super_that_lies_is_counted_and_nothing_else_happens),
		cmocka_unit_test(a_source_of_another_peer_is_refused_but_the_peer_is_believed),
	};
	const char *seed = getenv("CV_SEED");

	state = seed ? strtoull(seed, NULL, 0) : 20260707;
	printf("# CV_SEED=%llu\n", (unsigned long long)state);
	if (cv_crypto_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
