/* The MSS that a SYN says: made less, never more, and nothing else of the packet changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/* cmocka.h needs what stands above it. */
#include <path/internal.h>

#include <cmocka.h>

#include "supers.h"

enum { OPTIONS = 24 };

/* A SYN of which option bytes [at, at + n) are these, the others NOPs. */
struct syn {
	uint8_t family;
	uint8_t flags;
	uint8_t at;
	uint8_t n;
	uint8_t bytes[OPTIONS];
};

/* Return: bytes of it. The place of its options is OPTIONS before that. */
static uint32_t make_syn(const struct syn *syn, uint8_t *out)
{
	struct made made = { .family = syn->family,
			     .protocol = IPPROTO_TCP,
			     .flags = syn->flags,
			     .no_ack = true,
			     .ttl = 64,
			     .seq = 99,
			     .options = OPTIONS,
			     .option = 1 };
	uint32_t len = made_len(&made), l4 = made_l4(&made);
	uint8_t *tcp = out + l4;

	make_packet(out, &made);
	memcpy(out + len - OPTIONS + syn->at, syn->bytes, syn->n);
	put16(tcp + 16, 0);
	put16(tcp + 16, ~naive_sum(naive_pseudo(out, IPPROTO_TCP, len - l4), tcp, len - l4));
	return len;
}

static void clamp(uint8_t *packet, uint32_t len, uint32_t mtu)
{
	struct cv_ip ip;

	assert_int_equal(cv_ip_parse(packet, len, &ip), 0);
	if (cv_tcp_may_be_syn(packet, &ip))
		cv_tcp_clamp_mss(packet, &ip, mtu);
}

/* What the SYN becomes is the one that was made with the other MSS. */
static void becomes(struct syn syn, uint32_t mtu, uint32_t mss)
{
	uint8_t packet[120], want[120];
	uint32_t len = make_syn(&syn, packet);

	clamp(packet, len, mtu);
	put16(syn.bytes + 2, mss);
	make_syn(&syn, want);
	assert_true(packet_is_right(packet, len));
	assert_memory_equal(packet, want, len);
}

#define MSS(family_, flags_, at_, mss)                                            \
	(struct syn)                                                              \
	{                                                                         \
		.family = family_, .flags = flags_, .at = at_, .n = 4, .bytes = { \
			2,                                                        \
			4,                                                        \
			(mss) >> 8,                                               \
			(mss)&255                                                 \
		}                                                                 \
	}

static void mss_is_the_mtu_less_the_headers(void **state)
{
	becomes(MSS(AF_INET, CV_TCP_SYN, 0, 1460), 1420, 1380);
	becomes(MSS(AF_INET6, CV_TCP_SYN, 0, 1440), 1420, 1360);
	becomes(MSS(AF_INET6, CV_TCP_SYN, 0, 65535), 65535, 65475);
}

static void mss_of_a_syn_ack_is_clamped_too(void **state)
{
	becomes(MSS(AF_INET, CV_TCP_SYN | CV_TCP_ACK, 0, 1460), 1280, 1240);
}

static void mss_is_never_made_more(void **state)
{
	becomes(MSS(AF_INET, CV_TCP_SYN, 0, 536), 1420, 536);
	becomes(MSS(AF_INET, CV_TCP_SYN, 0, 1380), 1420, 1380);
	becomes(MSS(AF_INET, CV_TCP_SYN, 0, 0), 1420, 0);
	becomes(MSS(AF_INET6, CV_TCP_SYN, 0, 1361), 1420, 1360);
}

static void mss_is_found_at_every_place_and_summed(void **state)
{
	for (uint8_t at = 0; at <= OPTIONS - 4; at++)
		for (uint32_t mss = 1; mss < 65536; mss += 251) {
			becomes(MSS(AF_INET, CV_TCP_SYN, at, mss), 1396, mss < 1356 ? mss : 1356);
			becomes(MSS(AF_INET6, CV_TCP_SYN, at, mss), 600, mss < 540 ? mss : 540);
		}
}

static void mss_stays_where_no_mtu_is_known(void **state)
{
	becomes(MSS(AF_INET, CV_TCP_SYN, 0, 1460), 0, 1460);
	becomes(MSS(AF_INET, CV_TCP_SYN, 0, 1460), 40, 1460);
	becomes(MSS(AF_INET, CV_TCP_SYN, 0, 1460), 41, 1);
}

static void mss_stays_without_syn(void **state)
{
	becomes(MSS(AF_INET, CV_TCP_ACK, 0, 1460), 1280, 1460);
	becomes(MSS(AF_INET6, CV_TCP_ACK | CV_TCP_PSH, 0, 1460), 1280, 1460);
}

static void mss_beside_other_options_is_clamped(void **state)
{
	/* SACK permitted, timestamps, window scale. */
	becomes((struct syn){ AF_INET,
			      CV_TCP_SYN,
			      0,
			      19,
			      { 2, 4, 5, 180, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 3, 3, 7 } },
		1300, 1260);
}

/* The SYN stays as it is. */
static void untouched(const struct syn *syn)
{
	uint8_t want[120];
	uint32_t len = make_syn(syn, want);
	uint8_t *packet = malloc(len);

	assert_non_null(packet);
	memcpy(packet, want, len);
	clamp(packet, len, 1000);
	assert_memory_equal(packet, want, len);
	free(packet);
}

static void mss_stays_in_options_that_are_not_whole(void **state)
{
	static const struct syn syns[] = {
		{ AF_INET, CV_TCP_SYN, 0, 4, { 2, 3, 5, 180 } },
		{ AF_INET, CV_TCP_SYN, 0, 5, { 2, 5, 5, 180, 0 } },
		{ AF_INET, CV_TCP_SYN, 0, 5, { 2, 4, 5, 180, 8, 0 } },
		{ AF_INET, CV_TCP_SYN, 0, 6, { 2, 4, 5, 180, 8, 1 } },
		{ AF_INET, CV_TCP_SYN, 0, 6, { 2, 4, 5, 180, 8, 21 } },
		{ AF_INET, CV_TCP_SYN, 23, 1, { 2 } },
		{ AF_INET, CV_TCP_SYN, 21, 3, { 2, 4, 5 } },
		{ AF_INET6, CV_TCP_SYN, 0, 8, { 2, 4, 5, 180, 2, 4, 5, 180 } },
		{ AF_INET, CV_TCP_SYN, 0, 6, { 0, 1, 2, 4, 5, 180 } },
	};

	for (size_t i = 0; i < sizeof(syns) / sizeof(syns[0]); i++)
		untouched(&syns[i]);
}

static void mss_stays_where_options_are_signed(void **state)
{
	untouched(&(struct syn){ AF_INET, CV_TCP_SYN, 0, 20, { 2, 4, 5, 180, 29, 16 } });
}

static void mss_under_md5_is_clamped(void **state)
{
	/* RFC 2385 does not sign options. */
	becomes((struct syn){ AF_INET, CV_TCP_SYN, 0, 6, { 2, 4, 5, 180, 19, 18 } }, 1000, 960);
}

static void mss_of_a_fragment_stays(void **state)
{
	struct syn syn = MSS(AF_INET, CV_TCP_SYN, 0, 1460);
	uint8_t packet[120], want[120];
	uint32_t len = make_syn(&syn, packet);

	put16(packet + 6, CV_IP4_MF);
	memcpy(want, packet, len);
	clamp(packet, len, 1000);
	assert_memory_equal(packet, want, len);
}

static void mss_behind_v6_extension_headers_is_clamped(void **state)
{
	struct syn syn = MSS(AF_INET6, CV_TCP_SYN, 3, 1440);
	uint8_t packet[120], *data = packet + 8;
	uint32_t len = make_syn(&syn, data) + 8;

	memmove(packet, data, 40);
	memcpy(packet + 40, (uint8_t[8]){ IPPROTO_TCP, 0, 1, 4 }, 8);
	put16(packet + 4, len - 40);
	packet[6] = IPPROTO_HOPOPTS;
	clamp(packet, len, 1280);
	assert_int_equal(get16(packet + 68 + 5), 1220);
	assert_int_equal(
		naive_sum(naive_pseudo(packet, IPPROTO_TCP, len - 48), packet + 48, len - 48),
		0xffff);
	packet[6] = IPPROTO_FRAGMENT;
	clamp(packet, len, 1000);
	assert_int_equal(get16(packet + 68 + 5), 1220);
}

static void mss_of_a_wrong_checksum_stays_wrong(void **state)
{
	struct syn syn = MSS(AF_INET, CV_TCP_SYN, 1, 1460);
	uint8_t packet[120];
	uint32_t len = make_syn(&syn, packet);

	packet[34] ^= 4;
	clamp(packet, len, 1000);
	assert_int_equal(get16(packet + 43), 960);
	packet[34] ^= 4;
	assert_true(packet_is_right(packet, len));
}

static void mss_is_not_looked_for_outside_the_packet(void **state)
{
	struct syn syn = MSS(AF_INET6, CV_TCP_SYN, 16, 1460);
	uint8_t packet[120];
	uint32_t whole = make_syn(&syn, packet);

	for (uint32_t len = 40; len < whole; len++) {
		uint8_t *exact = malloc(len);

		assert_non_null(exact);
		memcpy(exact, packet, len);
		put16(exact + 4, len - 40);
		clamp(exact, len, 1000);
		assert_memory_equal(exact + 6, packet + 6, len - 6);
		free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mss_is_the_mtu_less_the_headers),
		cmocka_unit_test(mss_of_a_syn_ack_is_clamped_too),
		cmocka_unit_test(mss_is_never_made_more),
		cmocka_unit_test(mss_is_found_at_every_place_and_summed),
		cmocka_unit_test(mss_stays_where_no_mtu_is_known),
		cmocka_unit_test(mss_stays_without_syn),
		cmocka_unit_test(mss_beside_other_options_is_clamped),
		cmocka_unit_test(mss_stays_in_options_that_are_not_whole),
		cmocka_unit_test(mss_stays_where_options_are_signed),
		cmocka_unit_test(mss_under_md5_is_clamped),
		cmocka_unit_test(mss_of_a_fragment_stays),
		cmocka_unit_test(mss_behind_v6_extension_headers_is_clamped),
		cmocka_unit_test(mss_of_a_wrong_checksum_stays_wrong),
		cmocka_unit_test(mss_is_not_looked_for_outside_the_packet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
