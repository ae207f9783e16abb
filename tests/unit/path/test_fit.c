/* What is longer than the path to its peer carries: cut, told, or let through; and what says so. */
#include <convoy/crypto/init.h>
#include <convoy/path/split.h>

#include "end.h"
#include "supers.h"

#define NOW (1000 * CV_NS_PER_S)

static const uint8_t one[32] = { 1 }, two[32] = { 2 };
static struct end a, b;
static uint8_t came[1 << 20]; /* what came out of b, packet behind packet */
static size_t came_len, came_n;

static int open_ends(void **state)
{
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	end_open(&a, 1, one, two, NOW);
	end_open(&b, 2, two, one, NOW);
	end_connect(&a);
	came_len = came_n = 0;
	return 0;
}

static int close_ends(void **state)
{
	end_close(&a);
	end_close(&b);
	return 0;
}

/* As the kernel has it when it has done what the vnet header asks for. */
static void take(const struct cv_gather *gather)
{
	const struct iovec *packet = &gather->iov[1];
	struct cv_super super = { gather->vnet, packet->iov_base, (uint32_t)packet->iov_len };
	struct cv_split split;

	assert_int_equal(gather->pkts, 1);
	assert_int_equal(cv_split_begin(&split, &super), 0);
	came_len += cv_split_next(&split, came + came_len);
	came_n++;
}

/* Carry what a has sealed to b. Return: length of the longest datagram. */
static uint32_t carry(void)
{
	struct cv_inbound_step step;
	struct cv_train *trains;
	size_t n = cv_path_trains(&a.path, &trains);
	uint32_t longest = 0;

	cv_path_receive(&b.path, trains, n);
	for (size_t i = 0; i < n; i++)
		if (trains[i].seg_size > longest)
			longest = trains[i].seg_size;
	while (cv_path_inbound(&b.path, (struct cv_merge_offloads){ 0 }, NOW, &step))
		for (size_t i = 0; i < step.gathers_n; i++)
			take(&step.gathers[i]);
	cv_path_sent(&a.path, n, NOW);
	return longest;
}

/* Give it to a's TUN, as a super or as one packet with nothing left to do (gso_size 0). Return:
 * length of the longest datagram, 0 when there is none. */
static uint32_t sends(const struct made *made, uint16_t gso_size)
{
	struct cv_super super = super_of(made, gso_size);
	uint32_t longest;

	if (!gso_size) {
		super.vnet = (struct virtio_net_hdr){ 0 };
		make_packet(super.data, made);
	}
	cv_path_load(&a.path, &super, 1, NOW);
	assert_true(cv_path_outbound(&a.path, NOW));
	longest = carry();
	free(super.data);
	return longest;
}

static uint64_t too_big(void)
{
	return a.path.drops.count[CV_DROP_TOO_BIG];
}

static void tcp_follows_the_mtu_down_and_up_at_once(void **state)
{
	static const uint32_t mtus[] = { 1420, 1300, 576, 1200, 1420, 1412 };
	struct made made = { TCP4, .payload = 20000 };

	for (size_t i = 0; i < sizeof(mtus) / sizeof(mtus[0]); i++) {
		cv_peer_set_mtu(a.peer, mtus[i]);
		/* In whole blocks of 16, but not beyond the mtu: so just the mtu. */
		assert_int_equal(sends(&made, 1380), mtus[i] + 32);
		made.family ^= AF_INET ^ AF_INET6;
	}
	assert_int_equal(too_big(), 0);
	assert_int_equal(a.path.counts.icmp_sent, 0);
}

static void tcp_is_cut_where_the_tun_gave_one_packet(void **state)
{
	cv_peer_set_mtu(a.peer, 1000);
	assert_int_equal(sends(&(struct made){ TCP4, .payload = 1380 }, 0), 1032);
	assert_int_equal(came_n, 2);
	assert_int_equal(came_len, 1380 + 80);
	assert_true(packet_is_right(came, 1000));
	assert_true(packet_is_right(came + 1000, 460));
}

static void segments_of_one_super_are_one_train(void **state)
{
	struct made made = { TCP6, .payload = 30 * 1240 + 7 };
	struct cv_super super = super_of(&made, 1340);
	struct cv_train *trains;

	cv_peer_set_mtu(a.peer, 1300);
	cv_path_load(&a.path, &super, 1, NOW);
	assert_true(cv_path_outbound(&a.path, NOW));
	assert_int_equal(cv_path_trains(&a.path, &trains), 1);
	assert_int_equal(trains[0].segs, 31);
	assert_int_equal(trains[0].seg_size, 1332);
	free(super.data);
}

static void nothing_is_cut_where_no_mtu_is_known(void **state)
{
	/* The TUN's is the kernel's affair, which may have changed it a moment ago. */
	assert_int_equal(sends(&(struct made){ UDP4, .frag = CV_IP4_DF, .payload = 3000 }, 0),
			 32 + 3028 + 4);
	cv_peer_set_mtu(a.peer, 1300);
	assert_int_equal(sends(&(struct made){ UDP4, .frag = CV_IP4_DF, .payload = 3000 }, 0), 0);
	cv_peer_set_mtu(a.peer, 0);
	assert_int_equal(sends(&(struct made){ UDP4, .frag = CV_IP4_DF, .payload = 3000 }, 0),
			 32 + 3028 + 4);
}

/* The one answer says `mtu`, in the name of the destination. */
static void check_told(uint8_t family, uint32_t mtu)
{
	bool v4 = family == AF_INET;
	const struct cv_icmp_answer *answers;

	assert_int_equal(cv_path_icmp(&a.path, &answers), 1);
	if (v4) {
		assert_int_equal(get16(answers->data + 20), 0x0304);
		assert_int_equal(get32(answers->data + 24), mtu);
		assert_memory_equal(answers->data + 12, answers->data + 28 + 16, 4);
	} else {
		assert_int_equal(get16(answers->data + 40), 0x0200);
		assert_int_equal(get32(answers->data + 44), mtu);
		assert_memory_equal(answers->data + 8, answers->data + 48 + 24, 16);
	}
}

static void stays_and_is_told(const struct made *made, uint16_t gso_size, uint32_t mtu)
{
	uint64_t before = too_big();

	assert_int_equal(sends(made, gso_size), 0);
	assert_int_equal(too_big() - before,
			 gso_size ? (made->payload + gso_size - 1) / gso_size : 1);
	check_told(made->family, mtu);
}

static void what_cannot_be_cut_is_told(void **state)
{
	cv_peer_set_mtu(a.peer, 1300);
	stays_and_is_told(&(struct made){ UDP4, .frag = CV_IP4_DF, .payload = 1273 }, 0, 1300);
	stays_and_is_told(&(struct made){ UDP6, .payload = 1253 }, 0, 1300);
	stays_and_is_told(&(struct made){ UDP6, .payload = 9000 }, 1300, 1300);
	stays_and_is_told(&(struct made){ TCP6, .payload = 9000, .flags = CV_TCP_URG }, 1340, 1300);
	stays_and_is_told(
		&(struct made){
			.family = AF_INET, .protocol = 47, .frag = CV_IP4_DF, .payload = 1281 },
		0, 1300);
}

static void what_has_no_peer_is_told_that(void **state)
{
	const struct cv_icmp_answer *answers;

	cv_peer_set_mtu(a.peer, 1300);
	cv_routes_remove_peer(a.plane.routes, a.peer);
	assert_int_equal(sends(&(struct made){ UDP4, .frag = CV_IP4_DF, .payload = 1400 }, 0), 0);
	assert_int_equal(a.path.drops.count[CV_DROP_NO_PEER], 1);
	assert_int_equal(too_big(), 0);
	assert_int_equal(cv_path_icmp(&a.path, &answers), 1);
	assert_int_equal(get16(answers->data + 20), 0x0301);
}

static void what_fits_goes(void **state)
{
	cv_peer_set_mtu(a.peer, 1300);
	assert_int_equal(sends(&(struct made){ UDP4, .frag = CV_IP4_DF, .payload = 1272 }, 0),
			 1332);
	assert_int_equal(sends(&(struct made){ UDP6, .payload = 1252 }, 0), 1332);
	assert_int_equal(sends(&(struct made){ UDP6, .payload = 9000 }, 1252), 1332);
	assert_int_equal(too_big(), 0);
}

static void what_may_be_fragmented_goes_as_it_is(void **state)
{
	struct made tcp = { TCP4, .payload = 1380 };

	cv_peer_set_mtu(a.peer, 1000);
	/* Padded as what would follow its last 1000 bytes (5.4.6). */
	assert_int_equal(sends(&(struct made){ UDP4, .payload = 1392 }, 0), 32 + 1432);
	tcp.frag = 0;
	assert_int_equal(sends(&tcp, 0), 32 + 1432);
	assert_int_equal(came_n, 2);
	assert_int_equal(too_big(), 0);
}

static void v6_goes_as_it_is_up_to_what_every_link_carries(void **state)
{
	cv_peer_set_mtu(a.peer, 1000);
	assert_int_equal(sends(&(struct made){ UDP6, .payload = 1232 }, 0), 32 + 1280 + 8);
	assert_int_equal(too_big(), 0);
	stays_and_is_told(&(struct made){ UDP6, .payload = 1233 }, 0, 1280);
}

static void a_broken_segment_goes_as_it_is(void **state)
{
	struct made made = { TCP4, .payload = 1380, .flip = 700 };
	uint8_t want[1420];

	make_packet(want, &made);
	cv_peer_set_mtu(a.peer, 1000);
	assert_int_equal(sends(&made, 0), 32 + 1432);
	assert_memory_equal(came, want, sizeof(want));
	assert_int_equal(a.path.counts.icmp_sent, 0);
}

static void answers_are_few(void **state)
{
	const struct cv_icmp_answer *answers;
	size_t n = 0;

	cv_peer_set_mtu(a.peer, 1300);
	for (int i = 0; i < 100; i++) {
		sends(&(struct made){ UDP6, .payload = 1300 }, 0);
		n += cv_path_icmp(&a.path, &answers);
	}
	assert_int_equal(n, 20);
	assert_int_equal(too_big(), 100);
}

/* A SYN with no option but an MSS of 1460. */
static const struct made syn = { TCP4, .flags = CV_TCP_SYN, .options = 4 };

static void make_syn(uint8_t out[44])
{
	make_packet(out, &syn);
	put32(out + 40, 0x020405b4);
	put16(out + 36, 0);
	put16(out + 36, ~naive_sum(naive_pseudo(out, IPPROTO_TCP, 24), out + 20, 24));
}

static void send_syn(void)
{
	uint8_t bytes[44];
	struct cv_super super = { .data = bytes, .len = sizeof(bytes) };

	make_syn(bytes);
	cv_path_load(&a.path, &super, 1, NOW);
	assert_true(cv_path_outbound(&a.path, NOW));
}

static void check_mss(uint32_t mss)
{
	assert_int_equal(came_len, 44);
	assert_true(packet_is_right(came, 44));
	assert_int_equal(get32(came + 40), 0x02040000 | mss);
	came_len = 0;
}

static void a_syn_says_what_the_path_carries(void **state)
{
	b.plane.mtu = 0; /* it says nothing */
	cv_peer_set_mtu(a.peer, 1300);
	send_syn();
	carry();
	check_mss(1260);
	cv_peer_set_mtu(a.peer, 0);
	send_syn();
	carry();
	check_mss(END_MTU - 40);
}

static void a_syn_that_comes_says_what_the_way_back_carries(void **state)
{
	struct cv_inbound_step step;
	struct cv_train *trains;
	size_t n;

	a.plane.mtu = 0; /* it says nothing */
	cv_peer_set_mtu(b.peer, 1200);
	send_syn();
	n = cv_path_trains(&a.path, &trains);
	cv_path_receive(&b.path, trains, n);
	/* Merge sees the packet as it is then: with a right checksum. */
	assert_true(cv_path_inbound(&b.path, (struct cv_merge_offloads){ 0 }, NOW, &step));
	assert_int_equal(step.gathers[0].vnet.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_int_equal(get32((uint8_t *)step.gathers[0].iov[1].iov_base + 40), 0x02040000 | 1160);
}

static void a_syn_that_waits_for_a_session_is_clamped(void **state)
{
	b.plane.mtu = 0;
	cv_rcu_publish(&a.peer->current, NULL);
	send_syn();
	assert_int_equal(a.path.counts.staged_pkts, 1);
	end_connect(&a);
	assert_true(cv_path_unstage(&a.path, a.peer, NOW));
	carry();
	check_mss(END_MTU - 40);
}

static void padding_ends_at_the_mtu_of_the_path(void **state)
{
	cv_peer_set_mtu(a.peer, 1301);
	assert_int_equal(sends(&(struct made){ UDP4, .payload = 1297 - 28 }, 0), 32 + 1301);
	assert_int_equal(sends(&(struct made){ UDP4, .payload = 1290 - 28 }, 0), 32 + 1296);
	cv_rcu_publish(&a.peer->current, NULL);
	sends(&(struct made){ UDP4, .payload = 1298 - 28 }, 0);
	end_connect(&a);
	assert_true(cv_path_unstage(&a.path, a.peer, NOW));
	assert_int_equal(carry(), 32 + 1301);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_ends, close_ends)
	const struct CMUnitTest tests[] = {
		CASE(tcp_follows_the_mtu_down_and_up_at_once),
		CASE(tcp_is_cut_where_the_tun_gave_one_packet),
		CASE(segments_of_one_super_are_one_train),
		CASE(nothing_is_cut_where_no_mtu_is_known),
		CASE(what_cannot_be_cut_is_told),
		CASE(what_has_no_peer_is_told_that),
		CASE(what_fits_goes),
		CASE(what_may_be_fragmented_goes_as_it_is),
		CASE(v6_goes_as_it_is_up_to_what_every_link_carries),
		CASE(a_broken_segment_goes_as_it_is),
		CASE(answers_are_few),
		CASE(a_syn_says_what_the_path_carries),
		CASE(a_syn_that_comes_says_what_the_way_back_carries),
		CASE(a_syn_that_waits_for_a_session_is_clamped),
		CASE(padding_ends_at_the_mtu_of_the_path),
	};

	cv_crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
