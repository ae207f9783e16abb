/* icmp: the answers byte by byte, and the packets that get none. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* cmocka.h needs what stands above it. */
#include <cmocka.h>

#include <convoy/path/icmp.h>

#include "flow_packets.h"

static const struct made udp4 = {
	.family = AF_INET, .protocol = IPPROTO_UDP, .ttl = 64, .pair = 9, .payload = 100
};
static const struct made udp6 = {
	.family = AF_INET6, .protocol = IPPROTO_UDP, .ttl = 64, .pair = 9, .payload = 100
};
static const struct cv_addr from4 = { AF_INET, { 192, 0, 2, 1 } };
static const struct cv_addr from6 = { AF_INET6, { 0x20, 1, 0xd, 0xb8, [15] = 1 } };

static const struct cv_addr *from_of(const struct made *made)
{
	return made->family == AF_INET ? &from4 : &from6;
}

/* Type, code and the four bytes behind the checksum. */
struct word {
	uint32_t type_code;
	uint32_t mtu;
};

static const struct word unreachable4 = { 0x0301, 0 }, unreachable6 = { 0x0103, 0 };

/* The answer to `packet` says this and quotes `quoted` bytes. */
static void check_answer4(const struct word *word, const uint8_t *out, size_t len,
			  const uint8_t *packet, uint32_t quoted)
{
	assert_int_equal(len, 28 + quoted);
	assert_int_equal(out[0], 0x45);
	assert_int_equal(get16(out + 2), len);
	assert_int_equal(get16(out + 6), 0x4000);
	assert_int_equal(out[8], 64);
	assert_int_equal(out[9], IPPROTO_ICMP);
	assert_int_equal(naive_sum(0, out, 20), 0xffff);
	assert_memory_equal(out + 12, from4.b, 4);
	assert_memory_equal(out + 16, packet + 12, 4);
	assert_int_equal(get16(out + 20), word->type_code);
	assert_int_equal(get32(out + 24), word->mtu);
	assert_int_equal(naive_sum(0, out + 20, len - 20), 0xffff);
	assert_memory_equal(out + 28, packet, quoted);
}

static void check_answer6(const struct word *word, const uint8_t *out, size_t len,
			  const uint8_t *packet, uint32_t quoted)
{
	uint32_t l4_len = 8 + quoted;

	assert_int_equal(len, 48 + quoted);
	assert_int_equal(get32(out), UINT32_C(6) << 28);
	assert_int_equal(get16(out + 4), l4_len);
	assert_int_equal(out[6], IPPROTO_ICMPV6);
	assert_int_equal(out[7], 64);
	assert_memory_equal(out + 8, from6.b, 16);
	assert_memory_equal(out + 24, packet + 8, 16);
	assert_int_equal(get16(out + 40), word->type_code);
	assert_int_equal(get32(out + 44), word->mtu);
	assert_int_equal(naive_sum(naive_pseudo(out, IPPROTO_ICMPV6, l4_len), out + 40, l4_len),
			 0xffff);
	assert_memory_equal(out + 48, packet, quoted);
}

static void icmp_says_host_unreachable_over_v4(void **state)
{
	uint8_t packet[128], out[CV_ICMP_MAX];

	make_packet(packet, &udp4);
	check_answer4(&unreachable4, out, cv_icmp_unreachable(packet, 128, &from4, out), packet,
		      128);
}

static void icmp_says_address_unreachable_over_v6(void **state)
{
	uint8_t packet[148], out[CV_ICMP_MAX];

	make_packet(packet, &udp6);
	check_answer6(&unreachable6, out, cv_icmp_unreachable(packet, 148, &from6, out), packet,
		      148);
}

static void icmp_says_what_is_too_big_for_what(void **state)
{
	static const struct word too_big4 = { 0x0304, 1380 }, too_big6 = { 0x0200, 65535 };
	static uint8_t packet[MADE_MAX];
	uint8_t out[CV_ICMP_MAX];
	struct made made = udp4;

	made.payload = 1372;
	make_packet(packet, &made);
	check_answer4(&too_big4, out, cv_icmp_too_big(packet, 1400, &from4, 1380, out), packet,
		      548);
	made = udp6;
	made.payload = 65400;
	make_packet(packet, &made);
	check_answer6(&too_big6, out, cv_icmp_too_big(packet, made_len(&made), &from6, 65535, out),
		      packet, 1232);
}

static void icmp_quotes_what_fits(void **state)
{
	static uint8_t packet[MADE_MAX];
	uint8_t out[CV_ICMP_MAX];
	struct made made = udp4;

	for (made.payload = 500; made.payload < 65000; made.payload = 2 * made.payload + 1) {
		uint32_t len = made_len(&made);

		make_packet(packet, &made);
		check_answer4(&unreachable4, out, cv_icmp_unreachable(packet, len, &from4, out),
			      packet, len < 548 ? len : 548);
	}
	made = udp6;
	for (made.payload = 500; made.payload < 65000; made.payload = 2 * made.payload + 1) {
		uint32_t len = made_len(&made);

		make_packet(packet, &made);
		check_answer6(&unreachable6, out, cv_icmp_unreachable(packet, len, &from6, out),
			      packet, len < 1232 ? len : 1232);
	}
}

static void icmp_quotes_nothing_behind_the_ip_length(void **state)
{
	uint8_t packet[200] = { 0 }, out[CV_ICMP_MAX];

	make_packet(packet, &udp4);
	check_answer4(&unreachable4, out, cv_icmp_unreachable(packet, 200, &from4, out), packet,
		      128);
}

/* Silence: a packet, and bytes of it replaced. */
struct strange {
	const struct made *made;
	struct made own; /* where made is NULL */
	uint32_t at[4];  /* put[i] at at[i]; at 0: no more */
	uint8_t put[4];
	bool answered; /* the counter-example: does get its answer */
};

static void silence(void **state)
{
	const struct strange *strange = *state;
	const struct made *made = strange->made ? strange->made : &strange->own;
	uint32_t len = made_len(made);
	uint8_t *packet = malloc(len), out[CV_ICMP_MAX];
	const struct cv_addr *from = from_of(made);

	assert_non_null(packet);
	make_packet(packet, made);
	for (size_t i = 0; i < 4 && strange->at[i]; i++)
		packet[strange->at[i]] = strange->put[i];
	assert_int_equal(!!cv_icmp_unreachable(packet, len, from, out), strange->answered);
	assert_int_equal(!!cv_icmp_too_big(packet, len, from, 1280, out), strange->answered);
	free(packet);
}

#define STRANGE(sentence, ...)                                                              \
	{                                                                                   \
		.name = #sentence, .test_func = silence, .initial_state = &(struct strange) \
		{                                                                           \
			__VA_ARGS__                                                         \
		}                                                                           \
	}
#define OTHER4(number, bytes) .own = { .family = AF_INET, .protocol = number, .payload = bytes }
#define OTHER6(number, bytes) .own = { .family = AF_INET6, .protocol = number, .payload = bytes }

static void icmp_gives_none_from_the_other_family(void **state)
{
	uint8_t packet[148], out[CV_ICMP_MAX];

	make_packet(packet, &udp4);
	assert_int_equal(cv_icmp_unreachable(packet, 128, &from6, out), 0);
	assert_int_equal(cv_icmp_unreachable(packet, 128, &(struct cv_addr){ 0 }, out), 0);
	make_packet(packet, &udp6);
	assert_int_equal(cv_icmp_unreachable(packet, 148, &from4, out), 0);
}

static void icmp_gives_none_to_what_is_no_whole_packet(void **state)
{
	uint8_t packet[148], out[CV_ICMP_MAX];

	make_packet(packet, &udp6);
	for (size_t len = 0; len < 148; len++) {
		uint8_t *exact = malloc(len + 1);

		assert_non_null(exact);
		memcpy(exact, packet, len);
		assert_int_equal(cv_icmp_unreachable(exact, len, &from6, out), 0);
		free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(icmp_says_host_unreachable_over_v4),
		cmocka_unit_test(icmp_says_address_unreachable_over_v6),
		cmocka_unit_test(icmp_says_what_is_too_big_for_what),
		cmocka_unit_test(icmp_quotes_what_fits),
		cmocka_unit_test(icmp_quotes_nothing_behind_the_ip_length),
		cmocka_unit_test(icmp_gives_none_from_the_other_family),
		cmocka_unit_test(icmp_gives_none_to_what_is_no_whole_packet),

		STRANGE(icmp_answers_an_echo_request, OTHER4(IPPROTO_ICMP, 8), .at = { 20 },
			.put = { 8 }, .answered = true),
		STRANGE(icmp_answers_an_echo_request_over_v6, OTHER6(IPPROTO_ICMPV6, 8),
			.at = { 40 }, .put = { 128 }, .answered = true),
		STRANGE(icmp_answers_protocols_it_does_not_know, OTHER4(200, 0), .answered = true),
		STRANGE(icmp_answers_a_first_fragment, .made = &udp4, .at = { 6 }, .put = { 0x20 },
			.answered = true),
		STRANGE(icmp_answers_a_first_fragment_over_v6, OTHER6(IPPROTO_FRAGMENT, 60),
			.at = { 40, 42, 43 }, .put = { IPPROTO_UDP, 0, 1 }, .answered = true),
		STRANGE(icmp_answers_behind_v6_extension_headers, OTHER6(IPPROTO_HOPOPTS, 60),
			.at = { 40, 41, 42 }, .put = { IPPROTO_TCP, 0, 1 }, .answered = true),

		STRANGE(icmp_gives_none_to_unreachable, OTHER4(IPPROTO_ICMP, 36), .at = { 20 },
			.put = { 3 }),
		STRANGE(icmp_gives_none_to_redirect, OTHER4(IPPROTO_ICMP, 36), .at = { 20 },
			.put = { 5 }),
		STRANGE(icmp_gives_none_to_time_exceeded, OTHER4(IPPROTO_ICMP, 36), .at = { 20 },
			.put = { 11 }),
		STRANGE(icmp_gives_none_to_unknown_icmp_types, OTHER4(IPPROTO_ICMP, 36),
			.at = { 20 }, .put = { 77 }),
		STRANGE(icmp_gives_none_to_icmp_without_a_type, OTHER4(IPPROTO_ICMP, 0)),
		STRANGE(icmp_gives_none_to_a_v6_error, OTHER6(IPPROTO_ICMPV6, 48), .at = { 40 },
			.put = { 1 }),
		STRANGE(icmp_gives_none_to_an_unknown_v6_error, OTHER6(IPPROTO_ICMPV6, 48),
			.at = { 40 }, .put = { 127 }),
		STRANGE(icmp_gives_none_to_a_v6_redirect, OTHER6(IPPROTO_ICMPV6, 48), .at = { 40 },
			.put = { 137 }),
		STRANGE(icmp_gives_none_to_icmpv6_without_a_type, OTHER6(IPPROTO_ICMPV6, 0)),
		STRANGE(icmp_gives_none_to_a_v6_error_behind_extension_headers,
			OTHER6(IPPROTO_DSTOPTS, 60), .at = { 40, 48 },
			.put = { IPPROTO_ICMPV6, 3 }),
		STRANGE(icmp_gives_none_where_extension_headers_leave_the_packet,
			OTHER6(IPPROTO_DSTOPTS, 60), .at = { 40, 41 }, .put = { IPPROTO_TCP, 7 }),
		STRANGE(icmp_gives_none_to_a_later_fragment, .made = &udp4, .at = { 7 },
			.put = { 1 }),
		STRANGE(icmp_gives_none_to_a_later_fragment_over_v6, OTHER6(IPPROTO_FRAGMENT, 60),
			.at = { 40, 42, 43 }, .put = { IPPROTO_UDP, 1, 0 }),
		STRANGE(icmp_gives_none_to_multicast, .made = &udp4, .at = { 16 }, .put = { 239 }),
		STRANGE(icmp_gives_none_to_broadcast, .made = &udp4, .at = { 16, 17, 18, 19 },
			.put = { 255, 255, 255, 255 }),
		STRANGE(icmp_gives_none_to_unspecified_sources, .made = &udp4, .at = { 12, 15 },
			.put = { 0, 0 }),
		STRANGE(icmp_gives_none_to_loopback_sources, .made = &udp4, .at = { 12 },
			.put = { 127 }),
		STRANGE(icmp_gives_none_to_multicast_sources, .made = &udp4, .at = { 12 },
			.put = { 224 }),
		STRANGE(icmp_gives_none_to_class_e_sources, .made = &udp4, .at = { 12 },
			.put = { 240 }),
		STRANGE(icmp_gives_none_to_v6_multicast, .made = &udp6, .at = { 24 },
			.put = { 0xff }),
		STRANGE(icmp_gives_none_to_v6_multicast_sources, .made = &udp6, .at = { 8 },
			.put = { 0xff }),
		STRANGE(icmp_gives_none_to_unspecified_v6_sources, .made = &udp6, .at = { 8, 23 },
			.put = { 0, 0 }),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
