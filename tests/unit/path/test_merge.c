/* merge: what is written, byte for byte: supers, lone packets, and packets undone. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* cmocka.h needs what stands above it. */
#include <cmocka.h>

#include <convoy/path/merge.h>
#include <convoy/path/split.h>

#include "merge_batch.h"

/* The gather's bytes behind the vnet header, in one piece. */
static uint32_t linear(const struct cv_gather *gather, uint8_t *out)
{
	uint32_t len = 0;

	assert_ptr_equal(gather->iov[0].iov_base, &gather->vnet);
	assert_int_equal(gather->iov[0].iov_len, CV_VNET_SIZE);
	for (size_t i = 1; i < gather->iovs; i++) {
		memcpy(out + len, gather->iov[i].iov_base, gather->iov[i].iov_len);
		len += (uint32_t)gather->iov[i].iov_len;
	}
	assert_int_equal(gather->len, len);
	return len;
}

/* Gather n is the super that the kernel would have made of `whole`, with its vnet header. */
static void check_super(size_t n, const struct made *whole, uint16_t gso_size)
{
	static uint8_t got[MADE_MAX], want[MADE_MAX];
	const struct cv_gather *gather = &batch.gathers[n];
	const struct virtio_net_hdr *vnet = &gather->vnet;
	bool tcp = whole->protocol == IPPROTO_TCP, single = gather->pkts == 1;
	uint8_t gso = !tcp                       ? CV_VNET_GSO_UDP_L4
		      : whole->family == AF_INET ? VIRTIO_NET_HDR_GSO_TCPV4
						 : VIRTIO_NET_HDR_GSO_TCPV6;

	assert_int_equal(linear(gather, got), made_len(whole));
	make_packet(want, whole);
	make_seed(want, whole);
	assert_memory_equal(got, want, made_len(whole));
	assert_int_equal(vnet->flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_int_equal(vnet->csum_start, made_l4(whole));
	assert_int_equal(vnet->csum_offset, tcp ? 16 : 6);
	assert_int_equal(vnet->gso_type, single ? VIRTIO_NET_HDR_GSO_NONE : gso);
	assert_int_equal(vnet->gso_size, single ? 0 : gso_size);
	assert_int_equal(vnet->hdr_len, single ? 0 : made_header(whole));
}

/* Merge a run whose last packet has `last` bytes, and compare with the super made from scratch. */
static void merges(const struct made *first, size_t n, uint32_t last)
{
	static struct made made[PKTS_MAX];
	struct made whole = *first;

	run_of(made, n, first);
	made[n - 1].payload = last;
	whole.payload = (uint32_t)(n - 1) * first->payload + last;
	merge_with(made, n, both);
	assert_int_equal(batch.gathers_n, 1);
	assert_int_equal(batch.gathers[0].pkts, n);
	check_super(0, &whole, (uint16_t)first->payload);
}

static void merge_joins_a_run_of_tcp_over_v4(void **state)
{
	merges(&tcp4, 3, 100);
}

static void merge_joins_a_run_of_tcp_over_v6(void **state)
{
	struct made first = tcp6;

	first.tos = 0xb9;
	merges(&first, 3, 100);
}

static void merge_joins_runs_of_udp(void **state)
{
	merges(&udp4, 3, 100);
	merges(&udp6, 3, 100);
}

static void merge_joins_a_shorter_last_packet(void **state)
{
	merges(&tcp4, 3, 1);
	merges(&tcp6, 3, 99);
	merges(&udp4, 2, 7);
	merges(&udp6, 20, 1);
}

static void merge_joins_segments_of_eight_bytes(void **state)
{
	struct made first = tcp4;

	first.payload = 8;
	merges(&first, 1000, 3);
}

static void merge_joins_with_tcp_options(void **state)
{
	struct made first = tcp4;

	first.options = 12;
	first.option = 8;
	merges(&first, 4, 100);
	first.options = 40;
	merges(&first, 4, 100);
}

static void merge_joins_where_sequence_numbers_wrap(void **state)
{
	struct made first = tcp4;

	first.seq = UINT32_MAX - 149;
	merges(&first, 4, 100);
}

static void merge_joins_where_ids_wrap(void **state)
{
	struct made first = tcp4;

	first.id = 65534;
	first.frag = 0;
	merges(&first, 4, 100);
}

static void merge_joins_up_to_65535_bytes_exactly(void **state)
{
	struct made first = tcp4;

	first.payload = (65535 - 40) / 5; /* 13099 */
	merges(&first, 5, first.payload);
	assert_int_equal(batch.gathers[0].len, 65535);
	first = tcp6;
	first.payload = (65535 - 60) / 5; /* 13095 */
	merges(&first, 5, first.payload);
	assert_int_equal(batch.gathers[0].len, 65535);
}

static void merge_begins_anew_beyond_65535_bytes(void **state)
{
	struct made made[7], first = tcp4;

	first.payload = 13099;
	run_of(made, 6, &first);
	made[5].payload = 1;
	check(made, 6, "abcde f");
	first.options = 4;
	run_of(made, 7, &first);
	check(made, 7, "abcd efg");
	first = tcp6;
	first.payload = 65535 - 59; /* a single packet may be larger than any super */
	run_of(made, 2, &first);
	check(made, 2, "a b");
}

static void merge_joins_at_most_64_udp_packets(void **state)
{
	struct made made[70];

	run_of(made, 70, &udp4);
	merge_with(made, 70, both);
	assert_int_equal(batch.gathers_n, 2);
	assert_int_equal(batch.gathers[0].pkts, 64);
	assert_int_equal(batch.gathers[1].pkts, 6);
}

static void merge_stays_within_the_iovecs_of_a_write(void **state)
{
	static struct made made[PKTS_MAX];
	struct made first = tcp4;

	first.payload = 1;
	run_of(made, PKTS_MAX, &first);
	merge_with(made, PKTS_MAX, both);
	assert_int_equal(batch.gathers_n, 2);
	assert_int_equal(batch.gathers[0].iovs, 1024);
	assert_int_equal(batch.gathers[1].pkts, 1);
}

static void merge_leaves_psh_inside_a_run_to_the_whole(void **state)
{
	struct made made[3], whole = tcp4;

	run_of(made, 3, &tcp4);
	made[1].flags = CV_TCP_PSH;
	check(made, 3, "abc");
	whole.payload = 300;
	whole.flags = CV_TCP_PSH;
	check_super(0, &whole, 100);
}

static void merge_takes_fin_as_the_last(void **state)
{
	struct made made[4], whole = tcp4;

	run_of(made, 4, &tcp4);
	made[2].flags = CV_TCP_FIN | CV_TCP_PSH;
	check(made, 4, "abc d");
	whole.payload = 300;
	whole.flags = CV_TCP_FIN | CV_TCP_PSH;
	check_super(0, &whole, 100);
	made[0].flags = CV_TCP_FIN;
	check(made, 4, "a bc d");
}

static void merge_keeps_many_flows_apart(void **state)
{
	static struct made made[PKTS_MAX];
	struct made run[2];

	/* More flows than any neighbourhood of the table can hold: the sums must be right anyway.
	 */
	for (size_t i = 0; i < PKTS_MAX / 2; i++) {
		struct made first = i % 2 ? tcp4 : udp6;

		first.pair = (uint8_t)(i / 64);
		first.flow = (uint8_t)i;
		run_of(run, 2, &first);
		made[i] = run[0];
		made[PKTS_MAX / 2 + i] = run[1];
	}
	merge_with(made, PKTS_MAX, both);
	for (size_t i = 0; i < PKTS_MAX / 2; i++) {
		struct made whole = made[i];

		whole.payload = 100U * batch.gathers[i].pkts;
		check_super(i, &whole, 100);
	}
	/* Few, if any, lose their place to another. */
	assert_in_range(batch.gathers_n, PKTS_MAX / 2, PKTS_MAX / 2 + PKTS_MAX / 8);
}

/* Alone */

/* Gather n is packet i, byte for byte as it came, with an empty vnet header. */
static void check_untouched(size_t n, size_t i)
{
	static const struct virtio_net_hdr empty;
	const struct cv_gather *gather = &batch.gathers[n];

	assert_int_equal(gather->pkts, 1);
	assert_int_equal(gather->iovs, 2);
	assert_ptr_equal(gather->iov[1].iov_base, batch.pkt[i].data);
	assert_int_equal(gather->iov[1].iov_len, batch.pkt[i].len);
	assert_memory_equal(batch.pkt[i].data, batch.before[i], batch.pkt[i].len);
	assert_memory_equal(&gather->vnet, &empty, sizeof(empty));
}

static void merge_leaves_a_packet_with_a_bad_checksum_unmodified(void **state)
{
	struct made made[3];

	/* Any byte but those that make it another kind of packet. */
	for (uint32_t flip = 14; flip < 140; flip++) {
		run_of(made, 3, &tcp4);
		made[1].flip = flip;
		check(made, 3, "a b! c");
		check_untouched(1, 1);
		assert_false(batch.pkt[1].csum_verified);
		assert_true(batch.pkt[2].csum_verified);
	}
}

static void merge_never_joins_behind_a_first_packet_with_a_bad_checksum(void **state)
{
	struct made made[3];

	run_of(made, 3, &udp6);
	made[0].flip = 100;
	check(made, 3, "a! bc");
	check_untouched(0, 0);
}

static void merge_leaves_udp_without_checksum_unmodified(void **state)
{
	struct made made = udp4;

	made.no_csum = true;
	check(&made, 1, "a!");
	check_untouched(0, 0);
}

static void merge_leaves_what_is_neither_tcp_nor_udp_unmodified(void **state)
{
	static const uint8_t protocols[] = { IPPROTO_ICMP, IPPROTO_ESP, IPPROTO_HOPOPTS, 255 };
	struct made made = { .payload = 64 };

	for (size_t i = 0; i < 2 * sizeof(protocols); i++) {
		made.family = i % 2 ? AF_INET : AF_INET6;
		made.protocol = protocols[i / 2];
		check(&made, 1, "a!");
		check_untouched(0, 0);
	}
}

static void merge_leaves_headers_that_are_cut_short_unmodified(void **state)
{
	struct made made = { .family = AF_INET6 };
	uint8_t bytes[60];

	for (made.payload = 0; made.payload < 20; made.payload++) {
		make_packet(bytes, &made);
		bytes[6] = made.payload < 8 ? IPPROTO_UDP : IPPROTO_TCP;
		reset(both);
		add_bytes(bytes, made_len(&made), 0);
		finish();
		check_untouched(0, 0);
	}
}

static void merge_leaves_a_packet_that_was_not_trimmed_unmodified(void **state)
{
	uint8_t bytes[148] = { 0 };

	make_packet(bytes, &tcp4);
	reset(both);
	add_bytes(bytes, 148, 8);
	finish();
	check_untouched(0, 0);
}

static void merge_leaves_headers_that_lie_unmodified_whatever_the_checksum(void **state)
{
	static const struct {
		const struct made *made;
		uint32_t at, value;
	} lies[] = {
		{ &udp4, 24, 107 },    /* UDP length below the packet's */
		{ &udp6, 44, 109 },    /* above */
		{ &udp6, 44, 0 },      /* RFC 2675 means a jumbogram */
		{ &tcp4, 32, 0x4010 }, /* TCP header of 16 bytes */
		{ &tcp6, 52, 0x0010 }, /* of none */
	};
	uint8_t bytes[200];

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		make_packet(bytes, lies[i].made);
		put16_and_sum(bytes, lies[i].made, lies[i].at, lies[i].value);
		reset(both);
		add_bytes(bytes, made_len(lies[i].made), 0);
		finish();
		check_untouched(0, 0);
	}
}

static void merge_leaves_a_tcp_header_beyond_the_packet_unmodified(void **state)
{
	struct made made = tcp4;
	uint8_t bytes[79];

	made.payload = 39;
	make_packet(bytes, &made);
	put16_and_sum(bytes, &made, 32, 0xf010);
	reset(both);
	add_bytes(bytes, sizeof(bytes), 0);
	finish();
	check_untouched(0, 0);
}

static void merge_takes_no_missing_udp_checksum_for_a_right_one(void **state)
{
	uint8_t bytes[128];

	/* A payload for which the sum is zero, so that even a zero field would verify. */
	make_packet(bytes, &udp4);
	put16(bytes + 126, naive_sum(get16(bytes + 126) + get16(bytes + 26), NULL, 0));
	put16(bytes + 26, 0xffff);
	assert_true(packet_is_right(bytes, sizeof(bytes)));
	reset(both);
	add_bytes(bytes, sizeof(bytes), 0);
	put16(bytes + 26, 0);
	add_bytes(bytes, sizeof(bytes), 0);
	finish();
	assert_string_equal(shape(), "a b!");
	check_untouched(1, 1);
}

static void merge_spares_the_kernel_the_sum_of_a_single_packet(void **state)
{
	struct made made[] = { tcp4, tcp6, udp4, udp6, tcp4, tcp4_options, udp4 };

	made[4].payload = 0; /* a pure ACK */
	made[5].ip_options = 40;
	made[6].payload = 0;
	for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
		check(&made[i], 1, "a");
		check_super(0, &made[i], 0);
		assert_true(batch.pkt[0].csum_verified);
	}
}

/* Offloads */

static void merge_joins_no_udp_without_the_offload(void **state)
{
	struct made made[4];

	run_of(made, 2, &udp4);
	run_of(made + 2, 2, &tcp4);
	merge_with(made, 4, (struct cv_merge_offloads){ .tcp = true });
	assert_string_equal(shape(), "a b cd");
}

static void merge_joins_no_tcp_without_the_offload(void **state)
{
	struct made made[4];

	run_of(made, 2, &udp4);
	run_of(made + 2, 2, &tcp4);
	merge_with(made, 4, (struct cv_merge_offloads){ .udp = true });
	assert_string_equal(shape(), "ab c d");
}

static void merge_makes_every_packet_its_own_without_offloads(void **state)
{
	struct made made[4];

	run_of(made, 4, &tcp4);
	made[2].flip = 60;
	merge_with(made, 4, (struct cv_merge_offloads){ 0 });
	assert_string_equal(shape(), "a b c! d");
	check_super(1, &made[1], 0);
	check_untouched(2, 2);
}

/* Undo */

static void check_undo(size_t n, const size_t *want)
{
	struct cv_pkt *pkts[PKTS_MAX];
	size_t pkts_n = batch.gathers[n].pkts;

	assert_int_equal(cv_merge_undo(batch.merge, n, pkts), pkts_n);
	for (size_t i = 0; i < pkts_n; i++) {
		assert_ptr_equal(pkts[i], &batch.pkt[want[i]]);
		assert_memory_equal(pkts[i]->data, batch.before[want[i]], pkts[i]->len);
	}
}

static void merge_undo_gives_back_the_packets_as_they_came(void **state)
{
	struct made a[3], b[3], first = udp6;

	a[0] = tcp4;
	a[0].options = 40;
	run_of(a, 3, &a[0]);
	a[1].flags = CV_TCP_PSH;
	first.payload = 333;
	run_of(b, 3, &first);
	check((struct made[]){ a[0], b[0], b[1], a[1], a[2], b[2] }, 6, "ade bcf");
	check_undo(1, (size_t[]){ 1, 2, 5 });
	check_undo(0, (size_t[]){ 0, 3, 4 });
}

static void merge_undo_restores_a_single_packet(void **state)
{
	struct made made[] = { tcp4_options, udp6, udp6 };

	made[0].ip_options = 40;
	made[2].flip = 50;
	check(made, 3, "a b c!");
	check_undo(0, (size_t[]){ 0 });
	check_undo(1, (size_t[]){ 1 });
	check_undo(2, (size_t[]){ 2 });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(merge_joins_a_run_of_tcp_over_v4),
		CASE(merge_joins_a_run_of_tcp_over_v6),
		CASE(merge_joins_runs_of_udp),
		CASE(merge_joins_a_shorter_last_packet),
		CASE(merge_joins_segments_of_eight_bytes),
		CASE(merge_joins_with_tcp_options),
		CASE(merge_joins_where_sequence_numbers_wrap),
		CASE(merge_joins_where_ids_wrap),
		CASE(merge_joins_up_to_65535_bytes_exactly),
		CASE(merge_begins_anew_beyond_65535_bytes),
		CASE(merge_joins_at_most_64_udp_packets),
		CASE(merge_stays_within_the_iovecs_of_a_write),
		CASE(merge_leaves_psh_inside_a_run_to_the_whole),
		CASE(merge_takes_fin_as_the_last),
		CASE(merge_keeps_many_flows_apart),
		CASE(merge_leaves_a_packet_with_a_bad_checksum_unmodified),
		CASE(merge_never_joins_behind_a_first_packet_with_a_bad_checksum),
		CASE(merge_leaves_udp_without_checksum_unmodified),
		CASE(merge_leaves_what_is_neither_tcp_nor_udp_unmodified),
		CASE(merge_leaves_headers_that_are_cut_short_unmodified),
		CASE(merge_leaves_a_packet_that_was_not_trimmed_unmodified),
		CASE(merge_takes_no_missing_udp_checksum_for_a_right_one),
		CASE(merge_leaves_a_tcp_header_beyond_the_packet_unmodified),
		CASE(merge_leaves_headers_that_lie_unmodified_whatever_the_checksum),
		CASE(merge_spares_the_kernel_the_sum_of_a_single_packet),
		CASE(merge_joins_no_udp_without_the_offload),
		CASE(merge_joins_no_tcp_without_the_offload),
		CASE(merge_makes_every_packet_its_own_without_offloads),
		CASE(merge_undo_gives_back_the_packets_as_they_came),
		CASE(merge_undo_restores_a_single_packet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
