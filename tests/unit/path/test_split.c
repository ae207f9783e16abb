/* split: what a super becomes, and which supers are refused. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* cmocka.h needs what stands above it. */
#include <cmocka.h>

#include <convoy/path/split.h>

#include "supers.h"

/* Cut and compare each segment, byte by byte, with one that was made from scratch. */
static void check_cut(const struct cv_super *super, const struct made *whole, uint32_t gso_size)
{
	struct cv_split split;

	assert_int_equal(cv_split_begin(&split, super), 0);
	check_segments(&split, whole, gso_size);
}

static void cuts(const struct made *whole, uint16_t gso_size)
{
	struct cv_super super = super_of(whole, gso_size);

	check_cut(&super, whole, gso_size);
	free(super.data);
}

static void split_cuts_equal_segments(void **state)
{
	cuts(&(struct made){ TCP4, .payload = 3000 }, 1000);
}

static void split_leaves_the_rest_to_the_last_segment(void **state)
{
	cuts(&(struct made){ TCP4, .payload = 3001 }, 1000);
}

static void split_cuts_tcp_over_v6(void **state)
{
	cuts(&(struct made){ TCP6, .payload = 5000, .tos = 0x2e, .label = 0xabcde }, 1348);
}

static void split_cuts_segments_of_eight_bytes(void **state)
{
	cuts(&(struct made){ TCP4, .payload = 8 * 700 + 3 }, 8);
}

static void split_cuts_segments_of_one_byte(void **state)
{
	cuts(&(struct made){ TCP6, .payload = 97 }, 1);
}

static void split_cuts_segments_of_odd_size(void **state)
{
	cuts(&(struct made){ TCP4, .payload = 4321 }, 1001);
	cuts(&(struct made){ UDP6, .payload = 4321 }, 1001);
}

static void split_cuts_the_largest_super(void **state)
{
	cuts(&(struct made){ TCP4, .payload = 65535 - 40 }, 1368);
	cuts(&(struct made){ TCP6, .payload = 65535 - 60 }, 1348);
}

static void split_cuts_segments_of_65000_bytes(void **state)
{
	cuts(&(struct made){ TCP4, .payload = 65400 }, 65000);
}

static void split_takes_a_super_shorter_than_its_gso_size_as_one(void **state)
{
	struct cv_split split;
	struct made whole = { TCP4, .payload = 500 };
	struct cv_super super = super_of(&whole, 65535);

	cuts(&whole, 65535);
	assert_int_equal(cv_split_begin(&split, &super), 0);
	assert_int_equal(split.header + split.size, super.len);
	free(super.data);
}

static void split_takes_a_super_without_payload_as_one(void **state)
{
	struct made whole = { TCP4 };
	struct cv_super super = super_of(&whole, 1000);
	struct cv_split split;
	uint8_t out[40];

	assert_int_equal(cv_split_begin(&split, &super), 0);
	assert_int_equal(split.segs, 1);
	assert_int_equal(cv_split_next(&split, out), 40);
	assert_true(packet_is_right(out, 40));
	assert_int_equal(cv_split_next(&split, out), 0);
	free(super.data);
}

static void split_wraps_sequence_numbers(void **state)
{
	cuts(&(struct made){ TCP4, .payload = 4000, .seq = UINT32_MAX - 1500 }, 1000);
}

static void split_wraps_ip_ids(void **state)
{
	cuts(&(struct made){ TCP4, .payload = 4000, .id = 65534 }, 1000);
}

static void split_leaves_fin_and_psh_to_the_last_segment(void **state)
{
	cuts(&(struct made){ TCP4, .payload = 3500, .flags = CV_TCP_FIN | CV_TCP_PSH }, 1000);
}

static void split_leaves_cwr_to_the_first_segment_and_ece_to_all(void **state)
{
	struct made whole = { TCP6, .payload = 3500, .flags = CV_TCP_CWR | CV_TCP_ECE };
	struct cv_super super = super_of(&whole, 1000);

	super.vnet.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
	check_cut(&super, &whole, 1000);
	free(super.data);
}

static void split_copies_tcp_options_to_all_segments(void **state)
{
	cuts(&(struct made){ TCP4, .payload = 3500, .options = 12, .option = 7 }, 1000);
	cuts(&(struct made){ TCP6, .payload = 3500, .options = 40, .option = 9 }, 1000);
}

static void split_copies_ip_options_to_all_segments(void **state)
{
	cuts(&(struct made){ TCP4, .payload = 3500, .ip_options = 40, .options = 40 }, 1000);
}

static void split_cuts_udp_and_fixes_its_length(void **state)
{
	cuts(&(struct made){ UDP4, .payload = 5001 }, 1200);
	cuts(&(struct made){ UDP6, .payload = 5001 }, 1200);
}

static void split_writes_a_zero_udp_checksum_as_ffff(void **state)
{
	struct made whole = { UDP4, .payload = 2002 };
	struct cv_super super = super_of(&whole, 1000);
	uint8_t out[1028], *field = super.data + 28 + 998;
	struct cv_split split;

	/* Two bytes of the first payload that make up for the rest. */
	assert_int_equal(cv_split_begin(&split, &super), 0);
	cv_split_next(&split, out);
	put16(field, naive_sum(get16(field) + get16(out + 26), NULL, 0));

	assert_int_equal(cv_split_begin(&split, &super), 0);
	assert_int_equal(cv_split_next(&split, out), 1028);
	assert_int_equal(get16(out + 26), 0xffff);
	assert_true(packet_is_right(out, 1028));
	free(super.data);
}

static void split_believes_the_packet_and_not_hdr_len(void **state)
{
	struct made whole = { TCP4, .payload = 3500, .options = 12 };
	struct cv_super super = super_of(&whole, 1000);

	for (uint32_t hdr_len = 0; hdr_len <= 65535; hdr_len += 257) {
		super.vnet.hdr_len = (uint16_t)hdr_len;
		check_cut(&super, &whole, 1000);
	}
	free(super.data);
}

static void split_needs_no_needs_csum_to_cut(void **state)
{
	struct made whole = { TCP4, .payload = 3500 };
	struct cv_super super = super_of(&whole, 1000);

	super.vnet.flags = 0;
	super.vnet.csum_start = 9999;
	put16(super.data + 36, 0x1234); /* whatever the field holds */
	check_cut(&super, &whole, 1000);
	free(super.data);
}

/* Put extension headers between the IPv6 header and the rest of a packet of len bytes. */
static struct cv_super with_extensions(const struct made *whole, uint16_t gso_size,
				       const uint8_t *ext, uint32_t ext_len)
{
	struct cv_super super = super_of(whole, gso_size);
	uint8_t *data = malloc(super.len + ext_len);

	assert_non_null(data);
	memcpy(data, super.data, 40);
	memcpy(data + 40, ext, ext_len);
	memcpy(data + 40 + ext_len, super.data + 40, super.len - 40);
	free(super.data);
	super.data = data;
	super.len += ext_len;
	super.vnet.csum_start = (uint16_t)(super.vnet.csum_start + ext_len);
	put16(data + 4, super.len - 40);
	return super;
}

static void split_cuts_behind_v6_extension_headers(void **state)
{
	/* Hop-by-hop of 8 bytes, then destination options of 16, then TCP. */
	static const uint8_t ext[24] = { IPPROTO_DSTOPTS, 0, 1, 4, [8] = IPPROTO_TCP, 1, 1, 12 };
	struct made whole = { TCP6, .payload = 2500 };
	struct cv_super super = with_extensions(&whole, 1000, ext, sizeof(ext));
	uint8_t out[1084], want[1060];
	struct cv_split split;

	super.data[6] = IPPROTO_HOPOPTS;
	assert_int_equal(cv_split_begin(&split, &super), 0);
	for (uint32_t i = 0; i < 3; i++) {
		struct made made = segment_of(&whole, 1000, i);
		uint32_t len = made_len(&made);

		make_packet(want, &made);
		put16(want + 4, len + 24 - 40);
		want[6] = IPPROTO_HOPOPTS;
		assert_int_equal(cv_split_next(&split, out), len + 24);
		assert_memory_equal(out, want, 40);
		assert_memory_equal(out + 40, ext, 24);
		assert_memory_equal(out + 64, want + 40, len - 40);
	}
	free(super.data);
}

/* Singles */

static void check_single(const struct cv_super *super, const uint8_t *want, uint32_t len)
{
	uint8_t *out = malloc(len);
	struct cv_split split;

	assert_non_null(out);
	assert_int_equal(cv_split_begin(&split, super), 0);
	assert_int_equal(split.segs, 1);
	assert_int_equal(cv_split_next_len(&split), len);
	assert_int_equal(cv_split_next(&split, out), len);
	assert_memory_equal(out, want, len);
	assert_int_equal(cv_split_next(&split, out), 0);
	free(out);
}

static void untouched(const struct made *made)
{
	uint8_t packet[2000];
	struct cv_super super = { .data = packet, .len = made_len(made) };

	make_packet(packet, made);
	check_single(&super, packet, super.len);
}

static void split_leaves_a_packet_without_wishes_untouched(void **state)
{
	untouched(&(struct made){ TCP4, .payload = 100, .flip = 50 });
	untouched(&(struct made){ UDP6, .payload = 100, .no_csum = true });
	untouched(&(struct made){ TCP4 });
}

static void split_leaves_fragments_untouched(void **state)
{
	untouched(&(struct made){ UDP4, .payload = 80, .frag = CV_IP4_MF });
	untouched(&(struct made){ UDP4, .payload = 80, .frag = 33 });
}

static void split_leaves_other_protocols_untouched(void **state)
{
	untouched(&(struct made){ .family = AF_INET, .protocol = IPPROTO_ICMP, .payload = 60 });
	untouched(&(struct made){ .family = AF_INET6, .protocol = IPPROTO_HOPOPTS, .payload = 60 });
	untouched(&(struct made){ .family = AF_INET6, .protocol = IPPROTO_FRAGMENT, .payload = 9 });
	untouched(&(struct made){ .family = AF_INET, .protocol = 255 });
}

static void split_leaves_out_bytes_behind_the_ip_length(void **state)
{
	struct made made = { TCP4, .payload = 100 };
	uint8_t packet[180] = { 0 };
	struct cv_super super = { .data = packet, .len = sizeof(packet) };

	make_packet(packet, &made);
	check_single(&super, packet, made_len(&made));
}

static void completes(const struct made *made)
{
	struct cv_super super = super_of(made, 0);
	uint8_t want[2000];

	super.vnet.gso_type = VIRTIO_NET_HDR_GSO_NONE;
	make_packet(want, made);
	check_single(&super, want, super.len);
	free(super.data);
}

static void split_completes_the_checksum_of_a_single_packet(void **state)
{
	completes(&(struct made){ TCP4, .payload = 1001 });
	completes(&(struct made){ TCP4, .flags = CV_TCP_SYN, .no_ack = true, .options = 20 });
	completes(&(struct made){ TCP6, .payload = 1000 });
	completes(&(struct made){ UDP4, .payload = 33 });
	completes(&(struct made){ UDP6, .payload = 0 });
}

static void split_completes_a_zero_udp_checksum_as_ffff(void **state)
{
	struct made made = { UDP6, .payload = 100 };
	struct cv_super super = super_of(&made, 0);
	uint8_t want[148];

	make_packet(want, &made);
	put16(want + 146, naive_sum(get16(want + 146) + get16(want + 46), NULL, 0));
	put16(want + 46, 0xffff);
	put16(super.data + 146, get16(want + 146));
	assert_true(packet_is_right(want, 148));
	super.vnet.gso_type = VIRTIO_NET_HDR_GSO_NONE;
	check_single(&super, want, 148);
	free(super.data);
}

/* Refusals: a good super, one thing changed, and the answer. */
struct refusal {
	struct made made;
	int want;
	uint32_t at; /* put16(data + at, put) where put is not 0 */
	uint32_t put;
	int32_t longer;             /* added to the bytes that are there */
	struct virtio_net_hdr vnet; /* fields that are not 0 replace the good ones */
	bool gso_size_zero, single;
};

static void refuses(void **state)
{
	const struct refusal *refusal = *state;
	struct cv_super super = super_of(&refusal->made, 100);
	const struct virtio_net_hdr *vnet = &refusal->vnet;
	struct cv_split split;
	uint32_t len = (uint32_t)((int32_t)super.len + refusal->longer);

	super.data = realloc(super.data, len ? len : 1);
	assert_non_null(super.data);
	super.len = len;
	if (refusal->put)
		put16(super.data + refusal->at, refusal->put);
	if (vnet->gso_type)
		super.vnet.gso_type = vnet->gso_type;
	if (refusal->single)
		super.vnet.gso_type = VIRTIO_NET_HDR_GSO_NONE;
	if (refusal->gso_size_zero)
		super.vnet.gso_size = 0;
	if (vnet->csum_start)
		super.vnet.csum_start = vnet->csum_start;
	if (vnet->csum_offset)
		super.vnet.csum_offset = vnet->csum_offset;
	assert_int_equal(cv_split_begin(&split, &super), refusal->want);
	free(super.data);
}

#define REFUSES(sentence, error, ...)                                                       \
	{                                                                                   \
		.name = #sentence, .test_func = refuses, .initial_state = &(struct refusal) \
		{                                                                           \
			.want = error, .made = __VA_ARGS__                                  \
		}                                                                           \
	}

static void split_refuses_v6_extension_headers_that_lie(void **state)
{
	static const struct {
		uint8_t next, ext[8];
	} lies[] = {
		{ IPPROTO_HOPOPTS, { IPPROTO_TCP, 255 } },      /* longer than the packet */
		{ IPPROTO_HOPOPTS, { IPPROTO_UDP, 0 } },        /* ends in another protocol */
		{ IPPROTO_HOPOPTS, { IPPROTO_NONE, 0 } },       /* ends in nothing */
		{ IPPROTO_ROUTING, { IPPROTO_TCP, 0, 0, 1 } },  /* not at its destination */
		{ IPPROTO_FRAGMENT, { IPPROTO_TCP, 0, 0, 1 } }, /* a fragment */
		{ IPPROTO_FRAGMENT, { IPPROTO_TCP, 0, 0, 0 } }, /* an atomic fragment */
		{ IPPROTO_DSTOPTS, { IPPROTO_TCP, 1 } },        /* TCP is not where csum is */
		{ IPPROTO_AH, { IPPROTO_TCP, 0 } },             /* not one that is cut */
	};
	struct made whole = { TCP6, .payload = 500 };
	struct cv_split split;

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct cv_super super = with_extensions(&whole, 100, lies[i].ext, 8);

		super.data[6] = lies[i].next;
		assert_int_equal(cv_split_begin(&split, &super), -EINVAL);
		free(super.data);
	}
}

static void split_refuses_every_truncation(void **state)
{
	struct made wholes[] = { { TCP4, .payload = 300, .options = 12, .ip_options = 8 },
				 { TCP6, .payload = 300, .options = 12 },
				 { UDP4, .payload = 300 },
				 { UDP6, .payload = 300 } };

	for (size_t i = 0; i < 4; i++) {
		struct cv_super super = super_of(&wholes[i], 100);
		uint32_t len = super.len;
		struct cv_split split;

		for (super.len = 0; super.len < len; super.len++) {
			uint8_t *exact = malloc(super.len + 1);

			assert_non_null(exact);
			memcpy(exact, super.data, super.len);
			assert_int_equal(
				cv_split_begin(&split,
					       &(struct cv_super){ super.vnet, exact, super.len }),
				-EPROTO);
			free(exact);
		}
		free(super.data);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(split_cuts_equal_segments),
		cmocka_unit_test(split_leaves_the_rest_to_the_last_segment),
		cmocka_unit_test(split_cuts_tcp_over_v6),
		cmocka_unit_test(split_cuts_segments_of_eight_bytes),
		cmocka_unit_test(split_cuts_segments_of_one_byte),
		cmocka_unit_test(split_cuts_segments_of_odd_size),
		cmocka_unit_test(split_cuts_the_largest_super),
		cmocka_unit_test(split_cuts_segments_of_65000_bytes),
		cmocka_unit_test(split_takes_a_super_shorter_than_its_gso_size_as_one),
		cmocka_unit_test(split_takes_a_super_without_payload_as_one),
		cmocka_unit_test(split_wraps_sequence_numbers),
		cmocka_unit_test(split_wraps_ip_ids),
		cmocka_unit_test(split_leaves_fin_and_psh_to_the_last_segment),
		cmocka_unit_test(split_leaves_cwr_to_the_first_segment_and_ece_to_all),
		cmocka_unit_test(split_copies_tcp_options_to_all_segments),
		cmocka_unit_test(split_copies_ip_options_to_all_segments),
		cmocka_unit_test(split_cuts_udp_and_fixes_its_length),
		cmocka_unit_test(split_writes_a_zero_udp_checksum_as_ffff),
		cmocka_unit_test(split_believes_the_packet_and_not_hdr_len),
		cmocka_unit_test(split_needs_no_needs_csum_to_cut),
		cmocka_unit_test(split_cuts_behind_v6_extension_headers),
		cmocka_unit_test(split_leaves_a_packet_without_wishes_untouched),
		cmocka_unit_test(split_leaves_fragments_untouched),
		cmocka_unit_test(split_leaves_other_protocols_untouched),
		cmocka_unit_test(split_leaves_out_bytes_behind_the_ip_length),
		cmocka_unit_test(split_completes_the_checksum_of_a_single_packet),
		cmocka_unit_test(split_completes_a_zero_udp_checksum_as_ffff),
		cmocka_unit_test(split_refuses_v6_extension_headers_that_lie),
		cmocka_unit_test(split_refuses_every_truncation),

		REFUSES(split_refuses_gso_size_zero, -EINVAL, { TCP4, .payload = 300 },
			.gso_size_zero = true),
		REFUSES(split_refuses_unknown_gso_type_2, -EINVAL, { TCP4, .payload = 300 },
			.vnet.gso_type = 2),
		REFUSES(split_refuses_ufo, -EINVAL, { UDP4, .payload = 300 },
			.vnet.gso_type = VIRTIO_NET_HDR_GSO_UDP),
		REFUSES(split_refuses_unknown_gso_type_with_ecn_bit, -EINVAL,
			{ TCP4, .payload = 300 }, .vnet.gso_type = 0x86),
		REFUSES(split_refuses_tunnel_gso_bits, -EINVAL, { TCP4, .payload = 300 },
			.vnet.gso_type = 0x21),
		REFUSES(split_refuses_tcpv6_gso_on_v4, -EINVAL, { TCP4, .payload = 300 },
			.vnet.gso_type = VIRTIO_NET_HDR_GSO_TCPV6),
		REFUSES(split_refuses_tcpv4_gso_on_v6, -EINVAL, { TCP6, .payload = 300 },
			.vnet.gso_type = VIRTIO_NET_HDR_GSO_TCPV4),
		REFUSES(split_refuses_tcp_gso_on_udp, -EINVAL, { UDP4, .payload = 300 },
			.vnet.gso_type = VIRTIO_NET_HDR_GSO_TCPV4),
		REFUSES(split_refuses_udp_gso_on_tcp, -EINVAL, { TCP6, .payload = 300 },
			.vnet.gso_type = CV_VNET_GSO_UDP_L4),
		REFUSES(split_refuses_gso_on_another_protocol, -EINVAL, { TCP4, .payload = 300 },
			.at = 8, .put = 64 << 8 | IPPROTO_ICMP),
		REFUSES(split_refuses_gso_on_a_first_fragment, -EINVAL,
			{ UDP4, .frag = CV_IP4_MF, .payload = 300 }),
		REFUSES(split_refuses_gso_on_a_later_fragment, -EINVAL,
			{ UDP4, .frag = 1, .payload = 300 }),
		REFUSES(split_refuses_tcp_header_below_20_bytes, -EINVAL, { TCP4, .payload = 300 },
			.at = 32, .put = 0x4010),
		REFUSES(split_refuses_tcp_header_beyond_the_packet, -EINVAL,
			{ TCP4, .payload = 39 }, .at = 32, .put = 0xf010),
		REFUSES(split_refuses_a_packet_without_a_whole_tcp_header, -EINVAL, { TCP4 },
			.at = 2, .put = 39, .longer = -1),
		REFUSES(split_refuses_a_packet_without_a_whole_udp_header, -EINVAL, { UDP4 },
			.at = 2, .put = 27, .longer = -1),
		REFUSES(split_refuses_udp_length_below_the_packet, -EINVAL,
			{ UDP4, .payload = 300 }, .at = 24, .put = 307),
		REFUSES(split_refuses_udp_length_beyond_the_packet, -EINVAL,
			{ UDP4, .payload = 300 }, .at = 24, .put = 309),
		REFUSES(split_refuses_a_super_longer_than_its_ip_length, -EINVAL,
			{ TCP4, .payload = 300 }, .at = 2, .put = 339),
		REFUSES(split_refuses_a_super_shorter_than_its_ip_length, -EPROTO,
			{ TCP4, .payload = 300 }, .at = 2, .put = 341),
		REFUSES(split_refuses_csum_start_that_is_not_the_transport_header, -EINVAL,
			{ TCP4, .payload = 300 }, .vnet.csum_start = 24),
		REFUSES(split_refuses_csum_start_beyond_the_super, -EINVAL,
			{ TCP4, .payload = 300 }, .vnet.csum_start = 60000),
		REFUSES(split_refuses_csum_offset_that_is_not_the_field, -EINVAL,
			{ TCP4, .payload = 300 }, .vnet.csum_offset = 6),
		REFUSES(split_refuses_version_5, -EPROTO, { TCP4, .payload = 300 }, .at = 0,
			.put = 0x5500),
		REFUSES(split_refuses_ip_header_below_20_bytes, -EPROTO, { TCP4, .payload = 300 },
			.at = 0, .put = 0x4400),
		REFUSES(split_refuses_an_empty_read, -EPROTO, { TCP4 }, .longer = -40),
		REFUSES(split_refuses_single_csum_field_beyond_the_packet, -EINVAL, { TCP4 },
			.single = true, .vnet.csum_offset = 19),
		REFUSES(split_refuses_single_csum_sum_that_overflows, -EINVAL, { TCP4 },
			.single = true, .vnet.csum_start = 65535, .vnet.csum_offset = 65535),
		REFUSES(split_refuses_single_csum_start_in_the_ip_header, -EINVAL, { TCP4 },
			.single = true, .vnet.csum_start = 10),
		REFUSES(split_refuses_needs_csum_on_a_fragment, -EINVAL,
			{ UDP4, .frag = CV_IP4_MF, .payload = 64 }, .single = true),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
