/* merge: which packets become one run and which end it, and the order of all. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* cmocka.h needs what stands above it. */
#include <cmocka.h>

#include <convoy/path/merge.h>

#include "merge_batch.h"

/* Flows */

static void merge_takes_runs_of_interleaved_flows(void **state)
{
	struct made a[3], b[3], c[3], other = tcp4;

	other.flow = 1;
	run_of(a, 3, &tcp4);
	run_of(b, 3, &other);
	other.pair = 1;
	run_of(c, 3, &other);
	check((struct made[]){ a[0], b[0], c[0], b[1], a[1], c[1], c[2], a[2], b[2] }, 9,
	      "aeh bdi cfg");
}

static void merge_tells_tcp_from_udp_and_v4_from_v6(void **state)
{
	struct made a[2], b[2], c[2], d[2];

	run_of(a, 2, &tcp4);
	run_of(b, 2, &udp4);
	run_of(c, 2, &tcp6);
	run_of(d, 2, &udp6);
	check((struct made[]){ a[0], b[0], c[0], d[0], a[1], b[1], c[1], d[1] }, 8, "ae bf cg dh");
}

/* Add `number` to the 8 bytes at p, in the machine's byte order. */
static void add64(uint8_t *p, uint64_t number)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	word += number;
	memcpy(p, &word, sizeof(word));
}

/*
 * Packet of the k-th of many flows whose hashes are all the same: flow.c multiplies the words of
 * the addresses, so that what is added to one can be taken from another.
 */
static uint32_t colliding(uint8_t *bytes, const struct made *made, uint64_t k)
{
	uint64_t inverse = 1, k3 = UINT64_C(0x165667b19e3779f9);

	for (int i = 0; i < 6; i++)
		inverse *= 2 - k3 * inverse; /* Newton's method: 2, 4, 8... bits are right */
	make_packet(bytes, made);
	add64(bytes + 8, k);
	add64(bytes + 24, -k * UINT64_C(0x9e3779b97f4a7c15) * inverse);
	if (made->protocol == IPPROTO_UDP)
		put16_and_sum(bytes, made, 44, made_len(made) - 40);
	return made_len(made);
}

static void merge_tells_flows_apart_whose_hashes_collide(void **state)
{
	enum { FLOWS = 20 }; /* more than the table keeps for one hash */
	struct made other = { .family = AF_INET6, .protocol = IPPROTO_NONE };
	uint8_t bytes[148];

	for (uint64_t i = 0; i < 2 * FLOWS; i++) {
		if (i == 0)
			reset(both);
		add_bytes(bytes, colliding(bytes, &udp6, i % FLOWS), 0);
	}
	finish();
	for (size_t n = 0; n < batch.gathers_n; n++) {
		size_t first = packet_of(batch.gathers[n].iov[1].iov_base);

		for (size_t k = 2; k < batch.gathers[n].iovs; k++)
			assert_int_equal(packet_of(batch.gathers[n].iov[k].iov_base) % FLOWS,
					 first % FLOWS);
	}
	/* They do collide: a packet without ports of one pair ends the other's runs. */
	reset(both);
	add_bytes(bytes, colliding(bytes, &udp6, 1), 0);
	add_bytes(bytes, colliding(bytes, &other, 2), 0);
	add_bytes(bytes, colliding(bytes, &udp6, 1), 0);
	finish();
	assert_string_equal(shape(), "a b! c");
}

static void add_colliding(const struct made *made, uint64_t k)
{
	uint8_t bytes[1000];

	add_bytes(bytes, colliding(bytes, made, k), 0);
}

static void merge_keeps_the_order_of_flows_that_push_each_other_out(void **state)
{
	struct made empty = udp6, longer = udp6;

	empty.payload = 0;
	longer.payload = 200;
	reset(both);
	for (uint64_t k = 0; k < 8; k++)
		add_colliding(&udp6, k); /* a..h: as many as there is room for */
	add_colliding(&empty, 8);        /* i: needs no room, and may make none */
	add_colliding(&longer, 3);       /* j: ends d */
	add_colliding(&udp6, 9);         /* k: pushes a flow out */
	add_colliding(&udp6, 3);         /* l: may not go back to d */
	finish();
	assert_string_equal(shape(), "a b c d e f g h i jl k");
}

static void merge_forgets_flows_at_reset(void **state)
{
	struct made made[4];

	run_of(made, 4, &tcp4);
	check(made, 2, "ab");
	check(made + 2, 2, "ab");
	check(made, 4, "abcd");
}

/* Order */

static void merge_keeps_the_order_of_a_shuffled_flow(void **state)
{
	struct made run[6];

	run_of(run, 6, &tcp4);
	check((struct made[]){ run[0], run[2], run[1], run[3], run[4], run[5] }, 6, "a b c def");
	check((struct made[]){ run[0], run[1], run[1], run[2], run[3], run[5] }, 6, "ab cde f");
	check((struct made[]){ run[3], run[4], run[5], run[0], run[1], run[2] }, 6, "abc def");
	check((struct made[]){ run[5], run[4], run[3], run[2], run[1], run[0] }, 6, "a b c d e f");
}

static void merge_lets_nothing_pass_a_pure_ack(void **state)
{
	struct made run[3], ack = tcp4;

	run_of(run, 3, &tcp4);
	ack.seq = run[2].seq;
	ack.payload = 0;
	check((struct made[]){ run[0], run[1], ack, run[2] }, 4, "ab c d");
}

static void merge_lets_nothing_pass_a_fragment_of_the_same_hosts(void **state)
{
	struct made a[4], b[2], fragment = udp4, other = tcp4;

	other.flow = 1;
	run_of(a, 4, &tcp4);
	run_of(b, 2, &other);
	fragment.frag = CV_IP4_MF;
	check((struct made[]){ a[0], b[0], fragment, a[1], b[1], a[2] }, 6, "a b c! df e");
	/* Between other hosts it is in nobody's way. */
	fragment.pair = 1;
	check((struct made[]){ a[0], b[0], fragment, a[1], b[1], a[2] }, 6, "adf be c!");
}

static void merge_is_rarely_disturbed_by_fragments_of_neighbours(void **state)
{
	const struct made *first[] = { &tcp4, &tcp6 };
	unsigned disturbed = 0;

	for (unsigned i = 0; i < 2; i++) {
		struct made run[2], other = { .family = first[i]->family, .payload = 40 };

		other.protocol = i ? IPPROTO_FRAGMENT : IPPROTO_ESP;
		run_of(run, 2, first[i]);
		for (other.pair = 1; other.pair < 200; other.pair++) {
			merge_with((struct made[]){ run[0], other, run[1] }, 3, both);
			disturbed += batch.gathers_n == 3;
		}
	}
	/* One in 256 by chance. */
	assert_in_range(disturbed, 0, 8);
}

static void merge_lets_nothing_pass_another_protocol_of_the_same_hosts(void **state)
{
	struct made a[2],
		other = { .family = AF_INET6, .protocol = IPPROTO_DSTOPTS, .payload = 40 };

	run_of(a, 2, &tcp6);
	check((struct made[]){ a[0], other, a[1] }, 3, "a b! c");
	run_of(a, 2, &udp6);
	check((struct made[]){ a[0], other, a[1] }, 3, "a b! c");
}

/* A barrier of an earlier batch must not matter, and a later one must. */
static void merge_forgets_barriers_at_reset(void **state)
{
	struct made a[3], icmp = { .family = AF_INET, .protocol = IPPROTO_ICMP, .payload = 9 };

	run_of(a, 3, &tcp4);
	check((struct made[]){ a[0], icmp }, 2, "a b!");
	check(a, 3, "abc");
	check((struct made[]){ icmp, a[0], a[1], icmp, a[2] }, 5, "a! bc d! e");
}

/* Differences: the second of four packets is not like the others. */
struct difference {
	const struct made *first;
	const char *want;
	struct made change; /* bits that are flipped in the second packet's description */
	bool rest;          /* in the third and fourth, too */
};

static void differs(void **state)
{
	const struct difference *difference = *state;
	const uint8_t *mask = (const uint8_t *)&difference->change;
	struct made made[4];

	run_of(made, 4, difference->first);
	for (size_t k = 1; k < (difference->rest ? 4 : 2); k++)
		for (size_t i = 0; i < sizeof(made[k]); i++)
			((uint8_t *)&made[k])[i] ^= mask[i];
	check(made, 4, difference->want);
}

#define DIFFERS(sentence, first_, want_, ...)                                       \
	{                                                                           \
		.name = #sentence, .test_func = differs, .setup_func = begin_batch, \
		.teardown_func = end_batch, .initial_state = &(struct difference)   \
		{                                                                   \
			.first = first_, .want = want_, __VA_ARGS__                 \
		}                                                                   \
	}

static const struct made tcp4_without_df = {
	.family = AF_INET, .protocol = IPPROTO_TCP, .ttl = 64, .id = 7, .payload = 100
};

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(merge_takes_runs_of_interleaved_flows),
		CASE(merge_tells_tcp_from_udp_and_v4_from_v6),
		CASE(merge_tells_flows_apart_whose_hashes_collide),
		CASE(merge_keeps_the_order_of_flows_that_push_each_other_out),
		CASE(merge_forgets_flows_at_reset),
		CASE(merge_keeps_the_order_of_a_shuffled_flow),
		CASE(merge_lets_nothing_pass_a_pure_ack),
		CASE(merge_lets_nothing_pass_a_fragment_of_the_same_hosts),
		CASE(merge_is_rarely_disturbed_by_fragments_of_neighbours),
		CASE(merge_lets_nothing_pass_another_protocol_of_the_same_hosts),
		CASE(merge_forgets_barriers_at_reset),

		DIFFERS(merge_ends_a_run_where_ttl_differs, &tcp4, "a b cd", .change.ttl = 1),
		DIFFERS(merge_ends_a_run_where_hop_limit_differs, &udp6, "a b cd", .change.ttl = 1),
		DIFFERS(merge_ends_a_run_where_tos_differs, &tcp4, "a b cd", .change.tos = 3),
		DIFFERS(merge_ends_a_run_where_traffic_class_differs_in_its_high_bits, &tcp6,
			"a b cd", .change.tos = 0x40),
		DIFFERS(merge_ends_a_run_where_traffic_class_differs_in_its_low_bits, &tcp6,
			"a b cd", .change.tos = 1),
		DIFFERS(merge_ends_a_run_where_the_flow_label_differs, &tcp6, "a b cd",
			.change.label = 1),
		DIFFERS(merge_ends_a_run_where_df_differs, &tcp4, "a b cd",
			.change.frag = CV_IP4_DF),
		DIFFERS(merge_ends_a_run_where_the_reserved_bit_differs, &udp4, "a b cd",
			.change.frag = 0x8000),
		DIFFERS(merge_joins_whatever_the_ids_with_df, &tcp4, "abcd", .change.id = 0x5555),
		DIFFERS(merge_ends_a_run_where_ids_without_df_jump, &tcp4_without_df, "a b cd",
			.change.id = 0x100),
		DIFFERS(merge_ends_a_run_where_the_ack_differs, &tcp4, "a b cd", .change.ack = 1),
		DIFFERS(merge_ends_a_run_where_the_window_differs, &tcp6, "a b cd",
			.change.window = 1),
		DIFFERS(merge_ends_a_run_where_the_urgent_pointer_differs, &tcp4, "a b cd",
			.change.urgent = 1),
		DIFFERS(merge_ends_a_run_where_tcp_options_differ, &tcp4_options, "a b cd",
			.change.option = 1),
		DIFFERS(merge_ends_a_run_where_the_length_of_tcp_options_differs, &tcp4_options,
			"a b cd", .change.options = 12 ^ 16),
		DIFFERS(merge_ends_a_run_where_ip_options_appear, &tcp4, "a b cd",
			.change.ip_options = 4),
		DIFFERS(merge_joins_no_packets_with_ip_options, &tcp4, "a b c d",
			.change.ip_options = 4, .rest = true),
		DIFFERS(merge_ends_a_run_at_syn, &tcp4, "a b cd", .change.flags = CV_TCP_SYN),
		DIFFERS(merge_ends_a_run_at_rst, &tcp4, "a b cd", .change.flags = CV_TCP_RST),
		DIFFERS(merge_ends_a_run_at_urg, &tcp4, "a b cd", .change.flags = CV_TCP_URG),
		DIFFERS(merge_ends_a_run_at_ece, &tcp6, "a b cd", .change.flags = CV_TCP_ECE),
		DIFFERS(merge_ends_a_run_at_cwr, &tcp6, "a b cd", .change.flags = CV_TCP_CWR),
		DIFFERS(merge_joins_no_packets_with_ece, &tcp4, "a b c d",
			.change.flags = CV_TCP_ECE, .rest = true),
		DIFFERS(merge_ends_a_run_where_ack_is_missing, &tcp4, "a b cd",
			.change.no_ack = true),
		DIFFERS(merge_joins_on_across_psh, &tcp4, "abcd", .change.flags = CV_TCP_PSH),
		DIFFERS(merge_ends_a_run_behind_fin, &tcp4, "ab cd", .change.flags = CV_TCP_FIN),
		DIFFERS(merge_ends_a_run_at_a_gap, &tcp4, "a b cd", .change.seq = 1 << 20),
		DIFFERS(merge_ends_a_run_at_a_retransmission, &tcp4, "a b cd",
			.change.seq = 1000 ^ 1100),
		DIFFERS(merge_ends_a_run_at_a_pure_ack, &tcp4, "a b cd", .change.payload = 100),
		DIFFERS(merge_ends_a_run_behind_a_shorter_tcp_packet, &tcp4, "ab cd",
			.change.payload = 100 ^ 99),
		DIFFERS(merge_ends_a_run_behind_a_shorter_udp_packet, &udp4, "ab cd",
			.change.payload = 100 ^ 99),
		DIFFERS(merge_ends_a_run_at_a_longer_tcp_packet, &tcp4, "a b cd",
			.change.payload = 100 ^ 101),
		DIFFERS(merge_ends_a_run_at_a_longer_udp_packet, &udp6, "a bc d",
			.change.payload = 100 ^ 101),
		DIFFERS(merge_ends_a_run_at_empty_udp, &udp4, "a b cd", .change.payload = 100),
		DIFFERS(merge_ends_a_run_at_udp_without_checksum, &udp4, "a b! cd",
			.change.no_csum = true),
		DIFFERS(merge_ends_a_run_at_a_broken_payload, &tcp4, "a b! cd", .change.flip = 120),
		DIFFERS(merge_ends_a_run_at_a_broken_ip_header, &tcp4, "a b! cd", .change.flip = 4),
		DIFFERS(merge_ends_a_run_at_a_tcp_header_length_that_lies, &tcp6, "a b! cd",
			.change.flip = 40 + 12),
		DIFFERS(merge_ends_a_run_at_a_udp_length_that_lies, &udp6, "a b! cd",
			.change.flip = 40 + 5),
		DIFFERS(merge_ends_a_run_at_a_first_fragment, &udp4, "a b! cd",
			.change.frag = CV_IP4_MF),
		DIFFERS(merge_ends_a_run_at_a_later_fragment, &udp4, "a b! cd", .change.frag = 9),
		DIFFERS(merge_ends_a_run_at_icmp, &tcp4, "a b! cd",
			.change.protocol = IPPROTO_TCP ^ IPPROTO_ICMP),
		DIFFERS(merge_ends_a_run_at_v6_extension_headers, &udp6, "a b! cd",
			.change.protocol = IPPROTO_UDP ^ IPPROTO_DSTOPTS),
		DIFFERS(merge_tells_flows_apart_by_ports, &udp4, "acd b", .change.flow = 1),
		DIFFERS(merge_tells_flows_apart_by_addresses, &udp6, "acd b", .change.pair = 1),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
