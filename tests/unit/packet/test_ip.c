/* The IP parser, and TOS and ECN in place. */
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <convoy/packet/csum.h>
#include <convoy/packet/ip.h>

#include "hex.h"

enum { ROOM = 65535 + 40 };

static uint8_t room[ROOM];

/* An IPv4 header in `room`, checksum right, with `ihl` words. */
static struct cv_ip4 *make_ip4(unsigned ihl, unsigned tot_len, uint8_t tos)
{
	struct cv_ip4 *header = (void *)room;

	memset(room, 0x5a, sizeof(room));
	*header = (struct cv_ip4){
		.version_ihl = (uint8_t)(0x40 | ihl),
		.tos = tos,
		.tot_len = cv_be16_of((uint16_t)tot_len),
		.id = cv_be16_of(0xbeef),
		.frag = cv_be16_of(CV_IP4_DF),
		.ttl = 64,
		.protocol = IPPROTO_TCP,
		.src = { 192, 0, 2, 1 },
		.dst = { 198, 51, 100, 2 },
	};
	header->csum = cv_csum_field(cv_csum_add(0, header, ihl * (size_t)4));
	return header;
}

static struct cv_ip6 *make_ip6(unsigned payload_len, uint8_t tos)
{
	struct cv_ip6 *header = (void *)room;

	memset(room, 0x5a, sizeof(room));
	*header = (struct cv_ip6){
		.version_class_flow = cv_be32_of(0x600abcde | (uint32_t)tos << 20),
		.payload_len = cv_be16_of((uint16_t)payload_len),
		.next_header = IPPROTO_UDP,
		.hop_limit = 64,
		.src = { 0x20, 1, [15] = 1 },
		.dst = { 0x20, 1, [15] = 2 },
	};
	return header;
}

static bool ip4_csum_is_right(void)
{
	return cv_csum_fold(cv_csum_add(0, room, 20)) == 0xffff;
}

static void ip4_header_is_read_whole(void **state)
{
	struct cv_ip ip;

	make_ip4(5, 1400, 0xb9);
	assert_int_equal(cv_ip_parse(room, 1400, &ip), 0);
	assert_int_equal(ip.family, AF_INET);
	assert_int_equal(ip.protocol, IPPROTO_TCP);
	assert_int_equal(ip.tos, 0xb9);
	assert_false(ip.fragment);
	assert_int_equal(ip.l4, 20);
	assert_int_equal(ip.len, 1400);
	assert_int_equal(ip.src.family, AF_INET);
	assert_hex_equal(ip.src.b, "c0000201000000000000000000000000");
	assert_hex_equal(ip.dst.b, "c6336402000000000000000000000000");
}

static void ip6_header_is_read_whole(void **state)
{
	struct cv_ip ip;

	make_ip6(1360, 0xb9);
	assert_int_equal(cv_ip_parse(room, 1400, &ip), 0);
	assert_int_equal(ip.family, AF_INET6);
	assert_int_equal(ip.protocol, IPPROTO_UDP);
	assert_int_equal(ip.tos, 0xb9);
	assert_false(ip.fragment);
	assert_int_equal(ip.l4, 40);
	assert_int_equal(ip.len, 1400);
	assert_int_equal(ip.dst.family, AF_INET6);
	assert_hex_equal(ip.src.b, "20010000000000000000000000000001");
	assert_hex_equal(ip.dst.b, "20010000000000000000000000000002");
}

static void ip4_lengths_are_checked_against_the_bytes(void **state)
{
	static const struct {
		unsigned ihl, tot_len;
		size_t len;
		bool good;
	} cases[] = {
		{ 5, 20, 20, true },       { 5, 20, 19, false },       { 5, 20, 1, false },
		{ 5, 20, 21, true },       { 5, 21, 20, false },       { 5, 1400, 1399, false },
		{ 5, 19, 1400, false },    { 5, 0, 1400, false },      { 4, 1400, 1400, false },
		{ 0, 1400, 1400, false },  { 15, 60, 60, true },       { 15, 60, 59, false },
		{ 15, 59, 1400, false },   { 6, 23, 1400, false },     { 6, 24, 24, true },
		{ 5, 65535, 65535, true }, { 5, 65535, 65534, false },
	};
	struct cv_ip ip;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make_ip4(cases[i].ihl, cases[i].tot_len, 0);
		memset(&ip, 0xee, sizeof(ip));
		if (cases[i].good) {
			assert_int_equal(cv_ip_parse(room, cases[i].len, &ip), 0);
			assert_int_equal(ip.len, cases[i].tot_len);
			assert_int_equal(ip.l4, cases[i].ihl * 4);
		} else {
			assert_int_equal(cv_ip_parse(room, cases[i].len, &ip), -EINVAL);
			assert_int_equal(ip.len, 0xeeeeeeee);
		}
	}
}

static void ip6_lengths_are_computed_wider_than_16_bits(void **state)
{
	static const struct {
		unsigned payload_len;
		size_t len;
		bool good;
	} cases[] = {
		{ 0, 40, true },         { 0, 39, false },        { 0, 1, false },
		{ 1, 40, false },        { 1, 41, true },         { 1360, 1400, true },
		{ 1361, 1400, false },   { 1360, 1500, true },    { 65495, 65535, true },
		{ 65496, 1400, false },  { 65496, 65535, false }, { 65535, 1400, false },
		{ 65535, 65535, false }, { 65535, 65574, false }, { 65535, 65575, true },
	};
	struct cv_ip ip;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make_ip6(cases[i].payload_len, 0);
		memset(&ip, 0xee, sizeof(ip));
		if (cases[i].good) {
			assert_int_equal(cv_ip_parse(room, cases[i].len, &ip), 0);
			assert_int_equal(ip.len, 40 + cases[i].payload_len);
		} else {
			assert_int_equal(cv_ip_parse(room, cases[i].len, &ip), -EINVAL);
			assert_int_equal(ip.len, 0xeeeeeeee);
		}
	}
}

static void other_versions_and_nothing_are_refused(void **state)
{
	struct cv_ip ip;
	unsigned version;

	for (version = 0; version < 16; version++) {
		make_ip4(5, 100, 0);
		room[0] = (uint8_t)(version << 4 | 5);
		if (version != 4 && version != 6)
			assert_int_equal(cv_ip_parse(room, 100, &ip), -EINVAL);
	}
	assert_int_equal(cv_ip_parse(NULL, 0, &ip), -EINVAL);
}

static void ip4_fragments_are_told(void **state)
{
	static const struct {
		uint16_t frag;
		bool fragment;
	} cases[] = {
		{ 0, false },     { CV_IP4_DF, false },    { CV_IP4_MF, true }, { 1, true },
		{ 0x1fff, true }, { CV_IP4_MF | 1, true }, { 0x8000, false },
	};
	struct cv_ip ip;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make_ip4(5, 100, 0)->frag = cv_be16_of(cases[i].frag);
		assert_int_equal(cv_ip_parse(room, 100, &ip), 0);
		assert_int_equal(ip.fragment, cases[i].fragment);
	}
}

static void setting_tos_touches_nothing_else_and_keeps_the_ip4_checksum(void **state)
{
	uint8_t before[40];
	unsigned from, to;

	for (from = 0; from < 256; from++) {
		for (to = 0; to < 256; to++) {
			make_ip4(5, 100, (uint8_t)from);
			memcpy(before, room, 40);
			cv_ip_set_tos(room, (uint8_t)to);
			assert_int_equal(cv_ip_tos(room), to);
			assert_true(ip4_csum_is_right());
			before[1] = (uint8_t)to;
			memcpy(before + 10, room + 10, 2);
			assert_memory_equal(before, room, 40);

			make_ip6(100, (uint8_t)from);
			memcpy(before, room, 40);
			cv_ip_set_tos(room, (uint8_t)to);
			assert_int_equal(cv_ip_tos(room), to);
			before[0] = (uint8_t)(0x60 | to >> 4);
			before[1] = (uint8_t)((to & 15) << 4 | 0x0a);
			assert_memory_equal(before, room, 40);
		}
	}
}

static void ecn_goes_out_without_dscp_and_ce_as_ect0(void **state)
{
	static const uint8_t out[4] = { CV_ECN_NOT_ECT, CV_ECN_ECT1, CV_ECN_ECT0, CV_ECN_ECT0 };
	unsigned tos;

	for (tos = 0; tos < 256; tos++)
		assert_int_equal(cv_ecn_encapsulate((uint8_t)tos), out[tos & 3]);
}

/* RFC 6040, figure 4, as the kernel does it: an outer ECT(1) is not carried in. */
static void ecn_comes_home_in_all_sixteen_combinations(void **state)
{
	enum { DROP = 4 };
	static const uint8_t want[4][4] = {
		/* inner:  Not-ECT ECT(1) ECT(0) CE; row: outer */
		[CV_ECN_NOT_ECT] = { 0, 1, 2, 3 },
		[CV_ECN_ECT1] = { 0, 1, 2, 3 },
		[CV_ECN_ECT0] = { 0, 1, 2, 3 },
		[CV_ECN_CE] = { DROP, 3, 3, 3 },
	};
	const uint8_t dscp = 0xb8;
	uint8_t inner, outer;

	for (outer = 0; outer < 4; outer++) {
		for (inner = 0; inner < 4; inner++) {
			uint8_t left = want[outer][inner] == DROP ? inner : want[outer][inner];
			bool kept = want[outer][inner] != DROP;

			make_ip4(5, 100, dscp | inner);
			assert_int_equal(cv_ecn_decapsulate(room, 0x20 | outer), kept);
			assert_int_equal(cv_ip_tos(room), dscp | left);
			assert_true(ip4_csum_is_right());

			make_ip6(100, dscp | inner);
			assert_int_equal(cv_ecn_decapsulate(room, 0x20 | outer), kept);
			assert_int_equal(cv_ip_tos(room), dscp | left);
		}
	}
}

static void a_wrong_checksum_stays_as_wrong_as_it_was(void **state)
{
	struct cv_ip4 *header = make_ip4(5, 100, CV_ECN_ECT0);

	header->csum.b[0] ^= 0x40;
	assert_true(cv_ecn_decapsulate(room, CV_ECN_CE));
	assert_false(ip4_csum_is_right());
	header->csum.b[0] ^= 0x40;
	assert_true(ip4_csum_is_right());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ip4_header_is_read_whole),
		cmocka_unit_test(ip6_header_is_read_whole),
		cmocka_unit_test(ip4_lengths_are_checked_against_the_bytes),
		cmocka_unit_test(ip6_lengths_are_computed_wider_than_16_bits),
		cmocka_unit_test(other_versions_and_nothing_are_refused),
		cmocka_unit_test(ip4_fragments_are_told),
		cmocka_unit_test(setting_tos_touches_nothing_else_and_keeps_the_ip4_checksum),
		cmocka_unit_test(ecn_goes_out_without_dscp_and_ce_as_ect0),
		cmocka_unit_test(ecn_comes_home_in_all_sixteen_combinations),
		cmocka_unit_test(a_wrong_checksum_stays_as_wrong_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
