/*
 * fuzz split: a super as the TUN may hand it over, any vnet header on any packet (fuzz_super.h),
 * and what the path to its peer carries.
 *
 * Oracle: a super is refused and nothing was written; or its segments are as long as foretold, are
 * whole IP packets with right checksums, have the super's headers but for what must differ, and
 * hold its payload, each byte once and in order. A packet that is not cut comes out as it is, but
 * for the checksum that was asked for. What is too long for the path is left alone, or becomes
 * segments as long as the path carries, if it is TCP that lets itself be cut and is right.
 */
#include <errno.h>

#include "fuzz_super.h"

enum { SEGS_MAX = 1000 }; /* smaller pieces only take longer */

/* The header that segment `number` must have, checksums left out. */
static void expect_header(const struct cv_split *split, uint32_t number, uint32_t len, uint8_t *out)
{
	bool last = number + 1 == split->segs;
	uint8_t *l4 = out + split->l4;

	memcpy(out, split->data, split->header);
	if (split->ip.family == AF_INET) {
		put16(out + 2, len);
		put16(out + 4, (get16(out + 4) + number) & 0xffff);
		put16(out + 10, 0);
	} else {
		put16(out + 4, len - 40);
	}
	if (split->gso == CV_VNET_GSO_UDP_L4) {
		put16(l4 + 4, len - split->l4);
		put16(l4 + 6, 0);
		return;
	}
	put32(l4 + 4, get32(l4 + 4) + number * split->size);
	if (number)
		l4[13] &= 0x7f; /* CWR */
	if (!last)
		l4[13] &= (uint8_t)~0x09; /* PSH, FIN */
	put16(l4 + 16, 0);
}

static void check_segment(const struct cv_split *split, uint32_t number, const uint8_t *out,
			  uint32_t len)
{
	bool udp = split->gso == CV_VNET_GSO_UDP_L4, v4 = split->ip.family == AF_INET;
	uint8_t protocol = udp ? IPPROTO_UDP : IPPROTO_TCP;
	uint8_t expected[2048 + 256], got[2048 + 256];
	uint32_t csum = split->l4 + (udp ? 6 : 16), l4_len = len - split->l4;
	struct cv_ip ip;

	must(cv_ip_parse(out, len, &ip) == 0 && ip.len == len);
	must(!v4 || naive_sum(0, out, split->ip.l4) == 0xffff);
	must(naive_sum(naive_pseudo(out, protocol, l4_len), out + split->l4, l4_len) == 0xffff);
	must(!udp || get16(out + csum));
	if (split->header > sizeof(expected))
		return; /* many extension headers */
	expect_header(split, number, len, expected);
	memcpy(got, out, split->header);
	put16(got + csum, 0);
	if (v4)
		put16(got + 10, 0);
	must(!memcmp(got, expected, split->header));
}

static void check_single(const struct cv_split *split, const struct cv_super *super,
			 const uint8_t *out, uint32_t len)
{
	uint32_t from = split->csum_start, csum = from + split->csum_offset;
	uint32_t right;

	must(len == split->ip.len);
	if (!split->needs_csum) {
		must(!memcmp(out, super->data, len));
		return;
	}
	must(!memcmp(out, super->data, csum));
	must(!memcmp(out + csum + 2, super->data + csum + 2, len - csum - 2));
	right = ~naive_sum(0, super->data + from, len - from) & 0xffff;
	/* A sum over an odd place has its bytes the other way round; one that is 0 is sent as the
	 * other 0 where that means something else. */
	if (split->csum_offset % 2 == 0)
		must(get16(out + csum) == (right || split->csum_offset != 6 ? right : 0xffff));
}

/* The sum of the pseudo header is over the last destination, which a routing header that is not
 * used up has somewhere else (RFC 8200, section 8.1). */
static void check_extensions(const struct cv_split *split)
{
	uint8_t protocol = split->data[6];

	for (uint32_t at = 40; at < split->l4; at += 8 * (split->data[at + 1] + 1U)) {
		must(protocol != IPPROTO_FRAGMENT);
		must(protocol != IPPROTO_ROUTING || !split->data[at + 3]);
		protocol = split->data[at];
	}
}

static void cut(struct cv_split *split, const struct cv_super *super)
{
	bool single = split->gso == VIRTIO_NET_HDR_GSO_NONE;
	uint32_t segs = 0, payload = 0;

	must(split->segs >= 1);
	must(split->header + split->payload == split->ip.len && split->ip.len <= super->len);
	if (!single && split->ip.family == AF_INET6)
		check_extensions(split);
	while (split->next < split->segs) {
		uint32_t len = cv_split_next_len(split), piece = len - split->header;
		uint8_t *out = malloc(len);

		must(out && len <= split->header + split->size);
		must(cv_split_next(split, out) == len);
		if (single)
			check_single(split, super, out, len);
		else
			check_segment(split, segs, out, len);
		must(!memcmp(out + split->header, super->data + split->header + payload, piece));
		payload += piece;
		segs++;
		free(out);
	}
	must(segs == split->segs && payload == split->payload);
	must(cv_split_next(split, NULL) == 0);
}

static bool is_signed(const uint8_t *tcp)
{
	uint32_t end = 4U * (tcp[12] >> 4);

	for (uint32_t at = 20; at < end && tcp[at]; at += tcp[at] == 1 ? 1U : tcp[at + 1])
		if (tcp[at] == 19 || tcp[at] == 29)
			return true;
	return false;
}

static void check_shrunk(const struct cv_split *split, const struct cv_split *before, uint32_t mtu)
{
	const uint8_t *data = split->data, *tcp = data + split->l4;
	uint32_t len = split->ip.len - split->l4;

	must(split->header + split->size == mtu && before->gso != CV_VNET_GSO_UDP_L4);
	must(split->header == split->l4 + 4U * (tcp[12] >> 4) && !split->ip.fragment);
	must(!(tcp[13] & 0x26) && !is_signed(tcp)); /* SYN, RST, URG */
	if (before->gso != VIRTIO_NET_HDR_GSO_NONE)
		return;
	must(split->ip.family == AF_INET6 || naive_sum(0, data, split->l4) == 0xffff);
	if (before->needs_csum)
		must(before->csum_start == split->l4 && before->csum_offset == 16);
	else
		must(naive_sum(naive_pseudo(data, IPPROTO_TCP, len), tcp, len) == 0xffff);
}

static void shrink(struct cv_split *split, uint32_t mtu)
{
	struct cv_split before = *split;
	int r;

	if (split->header + split->size <= mtu || mtu < 256)
		return;
	r = cv_split_shrink(split, mtu);
	must(r == 0 || r == -EMSGSIZE || r == -EBADMSG);
	if (r == 0)
		check_shrunk(split, &before, mtu);
	else
		must(!memcmp(split, &before, sizeof(before)));
	if (split->segs > SEGS_MAX)
		*split = before;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	struct cv_super super;
	struct cv_split split;
	int r;

	read_super(&input, &super);
	if (super.vnet.gso_size && super.len / super.vnet.gso_size > SEGS_MAX)
		super.vnet.gso_size = (uint16_t)(super.len / SEGS_MAX);
	r = cv_split_begin(&split, &super);
	must(r == 0 || r == -EINVAL || r == -EPROTO);
	if (r == 0) {
		shrink(&split, read16(&input));
		cut(&split, &super);
	}
	free(super.data);
	return 0;
}
