/* The Internet checksum at known answers. Its law, against a naive sum, is law_csum. */
#include <netinet/in.h>
#include <sys/socket.h>

#include <convoy/packet/csum.h>

#include "hex.h"

static void the_sum_of_rfc_1071_is_the_rfcs(void **state)
{
	const uint8_t data[] = { 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7 };
	const cv_csum sum = cv_csum_add(0, data, sizeof(data));

	assert_hex_equal(cv_csum_seed(sum).b, "ddf2");
	assert_hex_equal(cv_csum_field(sum).b, "220d");
}

static void an_odd_last_byte_counts_as_the_high_half_of_a_word(void **state)
{
	const uint8_t data[] = { 0x01, 0x02, 0x03, 0x04, 0x05 };

	assert_hex_equal(cv_csum_seed(cv_csum_add(0, data, 1)).b, "0100");
	assert_hex_equal(cv_csum_seed(cv_csum_add(0, data, 3)).b, "0402");
	assert_hex_equal(cv_csum_seed(cv_csum_add(0, data, 5)).b, "0906");
}

static void nothing_sums_to_zero_and_zeros_too(void **state)
{
	static const uint8_t zeros[200];

	assert_int_equal(cv_csum_fold(0), 0);
	assert_int_equal(cv_csum_fold(cv_csum_add(0, zeros, 0)), 0);
	assert_int_equal(cv_csum_fold(cv_csum_add(0, zeros, sizeof(zeros))), 0);
	assert_hex_equal(cv_csum_field(0).b, "ffff");
}

static void fold_carries_from_every_part(void **state)
{
	assert_int_equal(cv_csum_fold(UINT64_MAX), 0xffff);
	assert_int_equal(cv_csum_fold(UINT64_C(0xffffffff00000001)), 1);
	assert_int_equal(cv_csum_fold(UINT64_C(0x0001000100010001)), 4);
	assert_int_equal(cv_csum_fold(UINT64_C(0xffff0000ffff0001)), 1);
	assert_int_equal(cv_csum_fold(UINT64_C(0x00000000fffeffff)), 0xfffe);
	assert_int_equal(cv_csum_fold(UINT64_C(0xfffffffffffffffe)), 0xfffe);
}

/* Checksums computed by another implementation. */
static void transport_checksums_of_known_packets_verify(void **state)
{
	static const struct {
		const char *packet;
		size_t l4;
		uint8_t family, protocol;
	} cases[] = {
		/* 192.0.2.1 -> 198.51.100.2, UDP 4660 -> 53, "abcd" */
		{ "450000200001000040118e95c0000201c6336402"
		  "12340035000c3c6f61626364",
		  20, AF_INET, IPPROTO_UDP },
		/* 2001::1 -> 2001::2, UDP 1 -> 2, "abc" */
		{ "60000000000b11402001000000000000000000000000000120010000000000000000000000000002"
		  "00010002000bfb6d616263",
		  40, AF_INET6, IPPROTO_UDP },
	};
	uint8_t packet[128];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = unhex(cases[i].packet, packet);
		uint32_t l4_len = (uint32_t)(len - cases[i].l4);
		cv_csum sum = cv_csum_pseudo(packet, cases[i].family, cases[i].protocol, l4_len);

		sum = cv_csum_add(sum, packet + cases[i].l4, l4_len);
		assert_int_equal(cv_csum_fold(sum), 0xffff);
	}
}

static void the_pseudo_header_holds_addresses_protocol_and_a_32_bit_length(void **state)
{
	const uint8_t packet[40] = { 0x60, [8] = 0x20, 0x01, [24] = 0x30, 0x02 };

	/* 2001 + 3002 + 0001 + 0002 + 0006 */
	assert_hex_equal(cv_csum_seed(cv_csum_pseudo(packet, AF_INET6, 6, 0x10002)).b, "500c");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_sum_of_rfc_1071_is_the_rfcs),
		cmocka_unit_test(an_odd_last_byte_counts_as_the_high_half_of_a_word),
		cmocka_unit_test(nothing_sums_to_zero_and_zeros_too),
		cmocka_unit_test(fold_carries_from_every_part),
		cmocka_unit_test(transport_checksums_of_known_packets_verify),
		cmocka_unit_test(the_pseudo_header_holds_addresses_protocol_and_a_32_bit_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
