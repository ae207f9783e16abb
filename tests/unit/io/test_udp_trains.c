/* Trains over loopback between two real pairs of sockets: shape, TOS, addresses, stale sources. */
#include <errno.h>

#include "trains.h"

/* Two ends, and what the second has received. */
static struct world {
	struct cv_udp a, b;
	uint8_t mem[MEM_SIZE];
	uint8_t slots[CV_UDP_RECEIVE_MAX * CV_UDP_SLOT_SIZE];
	struct cv_train got[CV_UDP_RECEIVE_MAX];
	struct cv_drops drops;
} w;

static int world_open(void **state)
{
	struct cv_udp_options options = { .gso = true, .gro = true, .buffer_size = 4 << 20 };

	pattern_fill(w.mem);
	memset(&w.drops, 0, sizeof(w.drops));
	if (netns_fresh(state) < 0 || cv_udp_open(&options, &w.a) < 0)
		return -1;
	return cv_udp_open(&options, &w.b);
}

static int world_close(void **state)
{
	cv_udp_close(&w.a);
	cv_udp_close(&w.b);
	return 0;
}

static void send_all(struct cv_train *trains, size_t n)
{
	size_t sent = 0;
	int blocked;

	assert_int_equal(cv_udp_send(&w.a, trains, n, &w.drops, &sent, &blocked), 0);
	assert_int_equal(sent, n);
	for (int i = 0; i < CV_DROP_COUNT; i++)
		assert_int_equal(w.drops.count[i], 0);
}

/* Receive n trains at `end`; they must come in one call. */
static void receive(struct cv_udp *end, int fd, int n)
{
	bool empty = false;

	await(fd);
	assert_int_equal(cv_udp_receive(end, fd, w.slots, w.got, &w.drops, &empty), n);
	assert_true(empty);
}

static int fd_of(const struct cv_udp *end, const char *text)
{
	return strchr(text, ':') ? end->fd6 : end->fd4;
}

static void assert_bytes(const struct cv_train *got, const struct cv_train *sent)
{
	assert_int_equal(got->len, sent->len);
	assert_int_equal(got->seg_size, sent->seg_size);
	assert_int_equal(got->segs, sent->segs);
	assert_memory_equal(got->data, sent->data, sent->len);
}

static void a_train_arrives_as_a_train(void **state)
{
	static const char *const addresses[] = { "127.0.0.1", "::1" };

	for (int i = 0; i < 2; i++) {
		const char *to = addresses[i];
		/* The kernel cuts what exceeds 65535 bytes with all its headers. */
		const uint32_t longest = i == 0 ? 65535 - 42 : 65535 - 62;
		struct cv_train trains[] = {
			train_to(to, w.b.port, w.mem, 20500, 1000),
			train_to(to, w.b.port, w.mem + 30000, 45 * 1452, 1452),
			train_to(to, w.b.port, w.mem + 100000, 1, 1),
			train_to(to, w.b.port, w.mem + 200000, longest, 1452),
		};

		send_all(trains, 4);
		receive(&w.b, fd_of(&w.b, to), 4);
		for (int k = 0; k < 4; k++) {
			assert_bytes(&w.got[k], &trains[k]);
			assert_addr(&w.got[k].remote.addr, to);
			assert_int_equal(w.got[k].remote.port, w.a.port);
		}
	}
	assert_int_equal(w.a.send_calls, 2);
	assert_int_equal(w.a.send_trains, 8);
	assert_int_equal(w.a.send_datagrams, 2 * (21 + 45 + 1 + 46));
	assert_int_equal(w.a.send_bytes, 2 * (20500 + 45 * 1452 + 1 + 65535) - 42 - 62);
	assert_int_equal(w.a.send_fallbacks, 0);
	assert_int_equal(w.b.receive_calls, 2);
	assert_int_equal(w.b.receive_trains, w.a.send_trains);
	assert_int_equal(w.b.receive_datagrams, w.a.send_datagrams);
	assert_int_equal(w.b.receive_bytes, w.a.send_bytes);
}

static void a_plain_train_arrives_datagram_by_datagram(void **state)
{
	struct cv_train train = train_to("127.0.0.1", w.b.port, w.mem, 10100, 1000);

	train.plain = true;
	send_all(&train, 1);
	receive(&w.b, w.b.fd4, 11);
	for (uint32_t i = 0; i < 11; i++) {
		struct cv_train one = { w.mem + i * 1000, i < 10 ? 1000 : 100 };

		one.segs = 1;
		one.seg_size = (uint16_t)one.len;
		assert_bytes(&w.got[i], &one);
	}
	assert_int_equal(w.a.send_calls, 1);
	assert_int_equal(w.a.send_trains, 11);
	assert_int_equal(w.a.send_datagrams, 11);
	assert_false(train.gso_refused);
}

/* More datagrams than one sendmmsg takes, and than one recvmmsg gives. */
static void long_plain_trains_go_in_several_calls(void **state)
{
	struct cv_train train = train_to("::1", w.b.port, w.mem, 600 * 10, 10);
	bool empty = false;
	uint32_t at = 0;

	train.plain = true;
	send_all(&train, 1);
	assert_int_equal(w.a.send_calls, 3);
	while (at < train.len) {
		int n;

		await(w.b.fd6);
		n = cv_udp_receive(&w.b, w.b.fd6, w.slots, w.got, &w.drops, &empty);
		for (int i = 0; i < n; i++) {
			assert_int_equal(w.got[i].len, 10);
			assert_memory_equal(w.got[i].data, w.mem + at, 10);
			at += 10;
		}
	}
	/* 16 in the first call, 64 in the rest. */
	assert_int_equal(w.b.receive_calls, 1 + (600 - 16 + 63) / 64);
}

static void tos_is_carried_both_ways(void **state)
{
	static const char *const addresses[] = { "127.0.0.1", "::1" };
	static const uint8_t values[] = { 0, 1, 2, 3, 0x88, 0xfe };

	for (int i = 0; i < 2; i++) {
		for (int k = 0; k < 6; k++) {
			struct cv_train train = train_to(addresses[i], w.b.port, w.mem, 2500, 1000);

			train.tos = values[k];
			send_all(&train, 1);
			receive(&w.b, fd_of(&w.b, addresses[i]), 1);
			assert_bytes(&w.got[0], &train);
			assert_int_equal(w.got[0].tos, values[k]);
			train.len = 7;
			train.segs = 1;
			assert_int_equal(cv_udp_send_one(&w.a, &train), 0);
			receive(&w.b, fd_of(&w.b, addresses[i]), 1);
			assert_int_equal(w.got[0].len, 7);
			assert_int_equal(w.got[0].tos, values[k]);
		}
	}
}

/* a asks b at `second`, an address that is not the one the kernel would answer from. */
static void answer_comes_from(const char *second, bool by_train)
{
	struct cv_train train = train_to(second, w.b.port, w.mem, 2500, 1000);

	send_all(&train, 1);
	receive(&w.b, fd_of(&w.b, second), 1);
	assert_addr(&w.got[0].local.addr, second);
	assert_int_equal(w.got[0].local.ifindex, if_nametoindex("lo"));
	train = train_to("127.0.0.1", 1, w.mem, by_train ? 2500 : 500, 1000);
	train.remote = w.got[0].remote;
	train.local = w.got[0].local;
	if (by_train) {
		size_t sent;
		int blocked;

		assert_int_equal(cv_udp_send(&w.b, &train, 1, &w.drops, &sent, &blocked), 0);
	} else {
		assert_int_equal(cv_udp_send_one(&w.b, &train), 0);
	}
	assert_false(train.source_refused);
	receive(&w.a, fd_of(&w.a, second), 1);
	assert_int_equal(w.got[0].len, train.len);
	assert_addr(&w.got[0].remote.addr, second);
}

static void answers_come_from_the_address_that_was_asked(void **state)
{
	address_add("fd00::5", 128);
	for (int i = 0; i < 2; i++) {
		answer_comes_from("127.0.0.5", i == 0);
		answer_comes_from("fd00::5", i == 0);
	}
}

/* Send with a source that is not there (any more): it arrives all the same. */
static void stale_source(const char *to, struct cv_source source, bool by_train)
{
	struct cv_train train = train_to(to, w.b.port, w.mem, by_train ? 2500 : 1000, 1000);
	uint64_t fallbacks = w.a.send_fallbacks;

	train.local = source;
	if (by_train)
		send_all(&train, 1);
	else
		assert_int_equal(cv_udp_send_one(&w.a, &train), 0);
	assert_true(train.source_refused);
	assert_false(train.gso_refused || train.plain);
	assert_int_equal(train.local.addr.family, 0);
	receive(&w.b, fd_of(&w.b, to), 1);
	assert_bytes(&w.got[0], &train);
	assert_addr(&w.got[0].remote.addr, to);
	assert_int_equal(w.a.send_fallbacks - fallbacks, by_train ? 1 : 0);
}

/* Neither end of a link-local pair of addresses means anything without its interface. */
static void link_local_addresses_go_with_their_interface(void **state)
{
	const unsigned lo = if_nametoindex("lo");
	struct cv_train train = train_to("fe80::7", w.b.port, w.mem, 2500, 1000);

	address_add("fe80::7", 64);
	address_add("fd00::7", 128);
	train.remote.scope = lo;
	send_all(&train, 1);
	receive(&w.b, w.b.fd6, 1);
	assert_addr(&w.got[0].remote.addr, "fe80::7");
	assert_int_equal(w.got[0].remote.scope, lo);
	train = train_to("fd00::7", w.b.port, w.mem, 2500, 1000);
	train.local = (struct cv_source){ addr_of("fe80::7"), lo };
	send_all(&train, 1);
	assert_false(train.source_refused);
	receive(&w.b, w.b.fd6, 1);
	assert_addr(&w.got[0].remote.addr, "fe80::7");
}

static void stale_sources_are_given_up(void **state)
{
	for (int i = 0; i < 2; i++) {
		stale_source("127.0.0.1", (struct cv_source){ addr_of("10.1.2.3"), 1 }, i == 0);
		stale_source("::1", (struct cv_source){ addr_of("fd00::99"), 1 }, i == 0);
		stale_source("::1", (struct cv_source){ addr_of("fe80::1"), 4711 }, i == 0);
	}
}

static void a_source_goes_stale_when_its_address_is_removed(void **state)
{
	static const char *const sources[] = { "10.1.2.3", "fd00::99" };
	static const char *const addresses[] = { "127.0.0.1", "::1" };

	for (int i = 0; i < 2; i++) {
		struct cv_source source = { addr_of(sources[i]), if_nametoindex("lo") };
		struct cv_train train = train_to(addresses[i], w.b.port, w.mem, 2500, 1000);

		if (i == 0)
			run("ip addr add %s dev lo", sources[i]);
		else
			address_add(sources[i], 128);
		train.local = source;
		send_all(&train, 1);
		assert_false(train.source_refused);
		receive(&w.b, fd_of(&w.b, sources[i]), 1);
		assert_addr(&w.got[0].remote.addr, sources[i]);
		run("ip addr del %s%s dev lo", sources[i], i == 0 ? "/32" : "/128");
		stale_source(addresses[i], source, true);
	}
}

/* What an interface index in IP_PKTINFO would break: the source's interface is not the way out. */
static void an_ipv4_source_does_not_bind_to_its_interface(void **state)
{
	struct cv_train train = train_to("127.0.0.1", w.b.port, w.mem, 2500, 1000);

	train.local = (struct cv_source){ addr_of("127.0.0.9"), 4711 };
	send_all(&train, 1);
	assert_false(train.source_refused);
	receive(&w.b, w.b.fd4, 1);
	assert_addr(&w.got[0].remote.addr, "127.0.0.9");
}

static void a_source_of_the_other_family_is_left_alone(void **state)
{
	struct cv_train train = train_to("127.0.0.1", w.b.port, w.mem, 2500, 1000);

	train.local = (struct cv_source){ addr_of("fd00::1"), 1 };
	send_all(&train, 1);
	assert_false(train.source_refused);
	receive(&w.b, w.b.fd4, 1);
	assert_bytes(&w.got[0], &train);
}

/* IPv6 minds the path MTU, and UDP_SEGMENT refuses segments above it: EMSGSIZE from the kernel. */
static void a_small_path_is_sent_plainly(void **state)
{
	struct cv_train trains[2];

	run("ip -6 route add local fd00::7 dev lo mtu 1300 table local");
	trains[0] = train_to("fd00::7", w.b.port, w.mem, 3500, 1400);
	trains[1] = train_to("fd00::7", w.b.port, w.mem + 5000, 2500, 1000);
	send_all(trains, 2);
	assert_true(trains[0].gso_refused && trains[0].plain);
	assert_false(trains[1].gso_refused || trains[1].plain);
	assert_true(w.a.gso);
	receive(&w.b, w.b.fd6, 4);
	for (uint32_t i = 0; i < 3; i++)
		assert_memory_equal(w.got[i].data, w.mem + i * 1400, w.got[i].len);
	assert_int_equal(w.got[0].len + w.got[1].len + w.got[2].len, 3500);
	assert_bytes(&w.got[3], &trains[1]);
}

/* IPv4 does not: the same path carries the train whole, in fragments. */
static void a_small_ipv4_path_keeps_its_trains(void **state)
{
	struct cv_train train;

	run("ip route add local 10.7.7.7 dev lo mtu 1300 table local");
	train = train_to("10.7.7.7", w.b.port, w.mem, 3500, 1400);
	send_all(&train, 1);
	assert_false(train.gso_refused);
	await(w.b.fd4);
}

static void empty_datagrams_are_counted_and_passed_over(void **state)
{
	struct cv_train trains[] = { train_to("127.0.0.1", w.b.port, w.mem, 0, 1000),
				     train_to("127.0.0.1", w.b.port, w.mem, 5, 5) };

	send_all(trains, 2);
	receive(&w.b, w.b.fd4, 1);
	assert_int_equal(w.got[0].len, 5);
	assert_int_equal(w.drops.count[CV_DROP_MALFORMED], 1);
}

static void what_the_kernel_had_no_room_for_is_counted(void **state)
{
	struct cv_train train = train_to("127.0.0.1", w.b.port, w.mem, 1000, 1000);
	const int room = 4096;
	uint64_t got = 0;
	bool empty = false;

	assert_int_equal(setsockopt(w.b.fd4, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)), 0);
	for (int i = 0; i < 40; i++)
		send_all(&train, 1);
	while (!empty)
		got += (uint64_t)cv_udp_receive(&w.b, w.b.fd4, w.slots, w.got, &w.drops, &empty);
	/* The next message that finds room tells of those before it that did not. */
	assert_in_range(got, 1, 39);
	assert_int_equal(w.drops.count[CV_DROP_RECV_OVERFLOW], 0);
	for (int i = 0; i < 2; i++) {
		struct cv_drops none = { 0 };

		assert_int_equal(cv_udp_send_one(&w.a, &train), 0);
		await(w.b.fd4);
		got += (uint64_t)cv_udp_receive(&w.b, w.b.fd4, w.slots, w.got, i ? &none : &w.drops,
						&empty);
		assert_int_equal(none.count[CV_DROP_RECV_OVERFLOW], 0);
	}
	assert_int_equal(got + w.drops.count[CV_DROP_RECV_OVERFLOW], 42);
}

#define in_world(test) cmocka_unit_test_setup_teardown(test, world_open, world_close)

static const struct CMUnitTest tests[] = {
	in_world(a_train_arrives_as_a_train),
	in_world(a_plain_train_arrives_datagram_by_datagram),
	in_world(long_plain_trains_go_in_several_calls),
	in_world(tos_is_carried_both_ways),
	in_world(answers_come_from_the_address_that_was_asked),
	in_world(link_local_addresses_go_with_their_interface),
	in_world(stale_sources_are_given_up),
	in_world(a_source_goes_stale_when_its_address_is_removed),
	in_world(an_ipv4_source_does_not_bind_to_its_interface),
	in_world(a_source_of_the_other_family_is_left_alone),
	in_world(a_small_path_is_sent_plainly),
	in_world(a_small_ipv4_path_keeps_its_trains),
	in_world(empty_datagrams_are_counted_and_passed_over),
	in_world(what_the_kernel_had_no_room_for_is_counted),
};

NETNS_MAIN(tests)
