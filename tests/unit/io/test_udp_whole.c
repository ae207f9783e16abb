/* Datagrams that nobody may cut in pieces, against the kernel, beside others that it may. */
#include <errno.h>
#include <netinet/ip.h>

#include "trains.h"

enum { LINK_MTU = 1400, HEADERS_V4 = 28, HEADERS_V6 = 48 };

static struct {
	uint8_t mem[MEM_SIZE];
	struct cv_udp a, b;
	int raw; /* sees each IPv4 datagram with its header, put together again */
} w;

static int open_both(void **state)
{
	const struct cv_udp_options options = { .gso = true };

	if (netns_fresh(state) < 0)
		return -1;
	run("ip link set lo mtu %d", LINK_MTU);
	address_add("fd00::1", 128);
	assert_int_equal(cv_udp_open(&options, &w.a), 0);
	assert_int_equal(cv_udp_open(&options, &w.b), 0);
	w.raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_UDP);
	return w.raw < 0 ? -1 : 0;
}

static int close_both(void **state)
{
	(void)state;
	cv_udp_close(&w.a);
	cv_udp_close(&w.b);
	return close(w.raw);
}

static struct cv_train to_b(const char *address, uint32_t len)
{
	return train_to(address, w.b.port, w.mem, len, (uint16_t)len);
}

/* Whether the next datagram of IPv4 carries DF. */
static bool next_has_df(uint32_t len)
{
	uint8_t packet[2 * LINK_MTU];
	struct iphdr ip;

	await(w.raw);
	assert_int_equal(recv(w.raw, packet, sizeof(packet), 0), len + HEADERS_V4);
	memcpy(&ip, packet, sizeof(ip));
	return ntohs(ip.frag_off) & IP_DF;
}

static void df_is_set_for_that_one_only(void **state)
{
	struct cv_train train = to_b("127.0.0.1", LINK_MTU - HEADERS_V4);

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(cv_udp_send_one(&w.a, &train), 0);
		assert_false(next_has_df(train.len));
		assert_int_equal(cv_udp_send_whole(&w.a, &train), 0);
		assert_true(next_has_df(train.len));
	}
}

static void more_than_the_link_takes_is_refused(void **state)
{
	const char *const addresses[] = { "127.0.0.1", "fd00::1" };
	const uint32_t most[] = { LINK_MTU - HEADERS_V4, LINK_MTU - HEADERS_V6 };

	(void)state;
	for (int i = 0; i < 2; i++) {
		const int fd = i == 0 ? w.b.fd4 : w.b.fd6;
		struct cv_train fits = to_b(addresses[i], most[i]);
		struct cv_train wide = to_b(addresses[i], most[i] + 1);

		assert_int_equal(cv_udp_send_whole(&w.a, &wide), -EMSGSIZE);
		assert_int_equal(cv_udp_send_whole(&w.a, &fits), 0);
		/* The same bytes as data: in pieces, which b gets as one. */
		assert_int_equal(cv_udp_send_one(&w.a, &wide), 0);
		await(fd);
		assert_int_equal(recv(fd, w.mem, MEM_SIZE, 0), most[i]);
		await(fd);
		assert_int_equal(recv(fd, w.mem, MEM_SIZE, 0), most[i] + 1);
	}
}

/* What the kernel was told of the path is for data. */
static void the_paths_mtu_is_not_minded(void **state)
{
	struct cv_train train = to_b("fd00::2", LINK_MTU - HEADERS_V6);

	(void)state;
	run("ip route add local fd00::2 dev lo table local mtu 1300");
	assert_int_equal(cv_udp_send_whole(&w.a, &train), 0);
	await(w.b.fd6);
}

static void without_ipv6_there_is_nothing_to_set(void **state)
{
	struct cv_train train = to_b("fd00::1", 1);
	int fd6 = w.a.fd6;

	(void)state;
	w.a.fd6 = -1;
	assert_int_equal(cv_udp_send_whole(&w.a, &train), -EAFNOSUPPORT);
	w.a.fd6 = fd6;
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, open_both, close_both)

static const struct CMUnitTest tests[] = {
	CASE(df_is_set_for_that_one_only),
	CASE(more_than_the_link_takes_is_refused),
	CASE(the_paths_mtu_is_not_minded),
	CASE(without_ipv6_there_is_nothing_to_set),
};

NETNS_MAIN(tests)
