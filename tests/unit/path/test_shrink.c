/* shrink: TCP that is too long for its path becomes smaller segments, and what may not become that.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/* cmocka.h needs what stands above it. */
#include <cmocka.h>

#include "supers.h"

/* As the TUN gives it: a super to be cut at gso_size, or one packet (0), its sum left to us. */
static struct cv_split begin(const struct made *whole, uint16_t gso_size, struct cv_super *ret)
{
	struct cv_split split;

	*ret = super_of(whole, gso_size);
	if (!gso_size)
		ret->vnet.gso_type = VIRTIO_NET_HDR_GSO_NONE;
	assert_int_equal(cv_split_begin(&split, ret), 0);
	return split;
}

static void shrinks(const struct made *whole, uint16_t gso_size, uint32_t mtu)
{
	struct cv_super super;
	struct cv_split split = begin(whole, gso_size, &super);

	assert_int_equal(cv_split_shrink(&split, mtu), 0);
	assert_int_equal(cv_split_longest(&split), mtu);
	check_segments(&split, whole, mtu - made_header(whole));
	free(super.data);
}

static void shrink_cuts_a_super_into_smaller_segments(void **state)
{
	shrinks(&(struct made){ TCP4, .payload = 50000 }, 1380, 1300);
	shrinks(&(struct made){ TCP6, .payload = 50000, .options = 12, .option = 1 }, 1348, 1280);
}

static void shrink_cuts_one_packet_into_segments(void **state)
{
	shrinks(&(struct made){ TCP4, .payload = 1380 }, 0, 1300);
	shrinks(&(struct made){ TCP6, .payload = 1340, .options = 12, .option = 1 }, 0, 1280);
	shrinks(&(struct made){ TCP4, .payload = 1380, .ip_options = 8 }, 0, 576);
}

static void shrink_sums_a_packet_that_nobody_vouches_for(void **state)
{
	struct made whole = { TCP6, .payload = 1340 };
	uint8_t bytes[1400];
	struct cv_super super = { .data = bytes, .len = sizeof(bytes) };
	struct cv_split split;

	make_packet(bytes, &whole);
	assert_int_equal(cv_split_begin(&split, &super), 0);
	assert_int_equal(cv_split_shrink(&split, 1280), 0);
	check_segments(&split, &whole, 1220);
}

static void shrink_goes_below_what_every_v6_link_carries(void **state)
{
	shrinks(&(struct made){ TCP6, .payload = 1200 }, 0, 1260 - 16);
	shrinks(&(struct made){ TCP6, .payload = 40000 }, 1200, 576);
}

static void shrink_may_leave_one_byte_a_segment(void **state)
{
	shrinks(&(struct made){ TCP4, .payload = 100 }, 0, 41);
}

static void shrink_leaves_fin_and_psh_to_the_last_and_cwr_to_the_first(void **state)
{
	uint8_t flags = CV_TCP_FIN | CV_TCP_PSH | CV_TCP_CWR | CV_TCP_ECE;

	shrinks(&(struct made){ TCP4, .payload = 1380, .flags = flags }, 0, 600);
	shrinks(&(struct made){ TCP6, .payload = 9000, .flags = flags }, 1340, 600);
}

static void shrink_wraps_sequence_numbers_and_ids(void **state)
{
	shrinks(&(struct made){ TCP4, .payload = 1380, .id = 65535, .seq = UINT32_MAX - 100 }, 0,
		576);
}

static void shrink_cuts_behind_v6_extension_headers(void **state)
{
	struct made whole = { TCP6, .payload = 1300 };
	uint8_t bytes[1368], out[1280];
	struct cv_super super = { .data = bytes, .len = sizeof(bytes) };
	struct cv_split split;

	make_packet(bytes + 8, &whole);
	memmove(bytes, bytes + 8, 40);
	memcpy(bytes + 40, (uint8_t[8]){ IPPROTO_TCP, 0, 1, 4 }, 8);
	put16(bytes + 4, sizeof(bytes) - 40);
	bytes[6] = IPPROTO_DSTOPTS;
	assert_int_equal(cv_split_begin(&split, &super), 0);
	assert_int_equal(cv_split_shrink(&split, 1280), 0);
	assert_int_equal(split.segs, 2);
	for (uint32_t i = 0; i < 2; i++) {
		uint32_t len = cv_split_next(&split, out), l4_len = len - 48;

		assert_int_equal(len, i ? 68 + 88 : 1280);
		assert_memory_equal(out + 40, bytes + 40, 8);
		assert_int_equal(
			naive_sum(naive_pseudo(out, IPPROTO_TCP, l4_len), out + 48, l4_len),
			0xffff);
	}
}

/* Refusals: something too long, bytes of it changed, and the answer. */
struct refusal {
	struct made made;
	uint16_t gso_size;
	uint32_t at[2]; /* put[i] at at[i]; at 0: none */
	uint8_t put[2];
	int want;
};

static void refuses(void **state)
{
	const struct refusal *refusal = *state;
	struct cv_super super;
	struct cv_split split = begin(&refusal->made, refusal->gso_size, &super), before;

	for (size_t i = 0; i < 2 && refusal->at[i]; i++)
		super.data[refusal->at[i]] = refusal->put[i];
	before = split;
	assert_int_equal(cv_split_shrink(&split, 576), refusal->want);
	assert_memory_equal(&split, &before, sizeof(split));
	free(super.data);
}

#define REFUSES(sentence, ...)                                                              \
	{                                                                                   \
		.name = #sentence, .test_func = refuses, .initial_state = &(struct refusal) \
		{                                                                           \
			.want = -EMSGSIZE, .made = __VA_ARGS__                              \
		}                                                                           \
	}

static void shrink_refuses_a_header_of_mtu_bytes(void **state)
{
	struct made whole = { TCP4, .payload = 2000, .options = 40, .option = 1 };
	struct cv_super super;
	struct cv_split split = begin(&whole, 1000, &super);

	assert_int_equal(cv_split_shrink(&split, 80), -EMSGSIZE);
	assert_int_equal(cv_split_shrink(&split, 81), 0);
	free(super.data);
	split = begin(&whole, 0, &super);
	assert_int_equal(cv_split_shrink(&split, 80), -EMSGSIZE);
	assert_int_equal(cv_split_shrink(&split, 81), 0);
	free(super.data);
}

static void shrink_leaves_what_is_broken_as_it_is(void **state)
{
	struct made whole = { TCP4, .payload = 1000 };
	uint8_t bytes[1040];
	struct cv_super super = { .data = bytes, .len = sizeof(bytes) };
	struct cv_split split;

	for (uint32_t at = 1; at < sizeof(bytes); at++) {
		/* Not what says how long things are, that it is TCP, or what it is. */
		if (at == 2 || at == 3 || at == 6 || at == 7 || at == 9 || at == 32 || at == 33)
			continue;
		make_packet(bytes, &whole);
		bytes[at] ^= 1;
		assert_int_equal(cv_split_begin(&split, &super), 0);
		assert_int_equal(cv_split_shrink(&split, 576), -EBADMSG);
		assert_int_equal(split.segs, 1);
	}
}

static void shrink_believes_no_sum_that_lies_elsewhere(void **state)
{
	struct made whole = { TCP4, .payload = 1000 };
	struct cv_super super = super_of(&whole, 0);
	struct cv_split split;

	super.vnet.gso_type = VIRTIO_NET_HDR_GSO_NONE;
	super.vnet.csum_start += 8;
	assert_int_equal(cv_split_begin(&split, &super), 0);
	assert_int_equal(cv_split_shrink(&split, 576), -EBADMSG);
	super.vnet.csum_start -= 8;
	super.vnet.csum_offset -= 10;
	assert_int_equal(cv_split_begin(&split, &super), 0);
	assert_int_equal(cv_split_shrink(&split, 576), -EBADMSG);
	free(super.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shrink_cuts_a_super_into_smaller_segments),
		cmocka_unit_test(shrink_cuts_one_packet_into_segments),
		cmocka_unit_test(shrink_sums_a_packet_that_nobody_vouches_for),
		cmocka_unit_test(shrink_goes_below_what_every_v6_link_carries),
		cmocka_unit_test(shrink_may_leave_one_byte_a_segment),
		cmocka_unit_test(shrink_leaves_fin_and_psh_to_the_last_and_cwr_to_the_first),
		cmocka_unit_test(shrink_wraps_sequence_numbers_and_ids),
		cmocka_unit_test(shrink_cuts_behind_v6_extension_headers),
		cmocka_unit_test(shrink_refuses_a_header_of_mtu_bytes),
		cmocka_unit_test(shrink_leaves_what_is_broken_as_it_is),
		cmocka_unit_test(shrink_believes_no_sum_that_lies_elsewhere),

		REFUSES(shrink_refuses_syn, { TCP4, .payload = 900, .flags = CV_TCP_SYN }),
		REFUSES(shrink_refuses_syn_in_a_super,
			{ TCP4, .payload = 9000, .flags = CV_TCP_SYN }, .gso_size = 1300),
		REFUSES(shrink_refuses_rst, { TCP6, .payload = 900, .flags = CV_TCP_RST }),
		REFUSES(shrink_refuses_urg, { TCP4, .payload = 900, .flags = CV_TCP_URG }),
		REFUSES(shrink_refuses_urg_in_a_super,
			{ TCP6, .payload = 9000, .flags = CV_TCP_URG }, .gso_size = 1300),
		REFUSES(shrink_refuses_what_is_signed_by_md5,
			{ TCP4, .payload = 900, .options = 20, .option = 1 }, .at = { 42, 43 },
			.put = { 19, 18 }),
		REFUSES(shrink_refuses_what_is_signed_by_md5_in_a_super,
			{ TCP6, .payload = 9000, .options = 20, .option = 1 }, .gso_size = 1300,
			.at = { 60, 61 }, .put = { 19, 18 }),
		REFUSES(shrink_refuses_what_is_signed_by_ao,
			{ TCP4, .payload = 900, .options = 20, .option = 1 }, .at = { 44, 45 },
			.put = { 29, 16 }),
		REFUSES(shrink_refuses_an_option_without_a_length,
			{ TCP4, .payload = 900, .options = 4, .option = 1 }, .at = { 43 },
			.put = { 8 }),
		REFUSES(shrink_refuses_an_option_of_one_byte,
			{ TCP4, .payload = 900, .options = 4, .option = 1 }, .at = { 41, 42 },
			.put = { 8, 1 }),
		REFUSES(shrink_refuses_an_option_beyond_the_header,
			{ TCP4, .payload = 900, .options = 4, .option = 1 }, .at = { 41, 42 },
			.put = { 8, 4 }),
		REFUSES(shrink_refuses_a_lying_header_length, { TCP4, .payload = 900 },
			.at = { 32 }, .put = { 0x40 }),
		REFUSES(shrink_refuses_udp, { UDP4, .payload = 900 }),
		/* Its payload where TCP would have its length and flags. */
		REFUSES(shrink_refuses_a_udp_super, { UDP6, .payload = 9000 }, .gso_size = 1300,
			.at = { 52, 53 }, .put = { 0x50, CV_TCP_ACK }),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
