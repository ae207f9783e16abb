/*
 * fuzz icmp: a packet that has no peer, and the address that answers. The first byte: bit 0, the
 * lengths are made right; bit 1, the answer is from the packet's destination, as the path has it;
 * bit 3, it has a peer but is too big.
 *
 * Oracle: what must not be answered is not, and an answer is no answer's cause; an answer goes to
 * the source of the packet, is whole, has right checksums, is not longer than the RFC lets it be,
 * and quotes the packet as it is.
 */
#include <netinet/in.h>

#include <convoy/packet/ip.h>
#include <convoy/path/icmp.h>

#include "flow_packets.h"
#include "fuzz.h"

static void true_lengths(uint8_t *packet, size_t len)
{
	if (len >= 20 && packet[0] >> 4 == 4)
		put16(packet + 2, (uint32_t)len);
	else if (len >= 40)
		put16(packet + 4, (uint32_t)len - 40);
}

/* RFC 1122, section 3.2.2: some of what must stay without an answer. */
static bool is_unanswerable4(const uint8_t *packet, const struct cv_ip *ip)
{
	return packet[12] == 0 || packet[12] == 127 || packet[12] >= 224 ||
	       (packet[16] & 0xf0) == 0xe0 || get32(packet + 16) == UINT32_MAX ||
	       (get16(packet + 6) & 0x1fff) ||
	       (ip->protocol == IPPROTO_ICMP &&
		(ip->len == ip->l4 || packet[ip->l4] == 3 || packet[ip->l4] == 4 ||
		 packet[ip->l4] == 5 || packet[ip->l4] == 11 || packet[ip->l4] == 12));
}

/* RFC 4443, section 2.4 (e). */
static bool is_unanswerable6(const uint8_t *packet, const struct cv_ip *ip)
{
	static const uint8_t unspecified[16];

	return packet[8] == 0xff || !memcmp(packet + 8, unspecified, 16) || packet[24] == 0xff ||
	       (ip->protocol == IPPROTO_ICMPV6 &&
		(ip->len == ip->l4 || !(packet[ip->l4] & 0x80) || packet[ip->l4] == 137));
}

/* A number that is none but its own. */
enum { MTU = 1283 };

static size_t answer_to(bool too_big, const uint8_t *packet, size_t len, const struct cv_addr *from,
			uint8_t *answer)
{
	return too_big ? cv_icmp_too_big(packet, len, from, MTU, answer)
		       : cv_icmp_unreachable(packet, len, from, answer);
}

static void check_word(bool too_big, bool v4, const uint8_t *icmp)
{
	must(get32(icmp + 4) == (too_big ? MTU : 0));
	if (v4)
		must(icmp[0] == 3 && icmp[1] == (too_big ? 4 : 1));
	else
		must(icmp[0] == (too_big ? 2 : 1) && icmp[1] == (too_big ? 0 : 3));
}

static void check_answer(bool too_big, const uint8_t *packet, const struct cv_ip *ip,
			 const struct cv_addr *from, const uint8_t *answer, size_t len)
{
	bool v4 = ip->family == AF_INET;
	uint32_t l4_len, quoted;
	uint8_t again[CV_ICMP_MAX];
	struct cv_ip out;

	must(cv_ip_parse(answer, len, &out) == 0 && out.len == len);
	must(len <= (v4 ? 576 : 1280));
	must(out.family == ip->family && cv_addr_equal(&out.src, from) &&
	     cv_addr_equal(&out.dst, &ip->src));
	must(out.protocol == (v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6));
	check_word(too_big, v4, answer + out.l4);
	l4_len = out.len - out.l4;
	must(!v4 || naive_sum(0, answer, out.l4) == 0xffff);
	must(naive_sum(v4 ? 0 : naive_pseudo(answer, IPPROTO_ICMPV6, l4_len), answer + out.l4,
		       l4_len) == 0xffff);
	quoted = l4_len - 8;
	must(quoted <= ip->len && !memcmp(answer + out.l4 + 8, packet, quoted));
	must(quoted == ip->len || len == (v4 ? 576 : 1280));
	must(answer_to(too_big, answer, len, &out.dst, again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	uint8_t how = read8(&input), *packet, *answer = malloc(CV_ICMP_MAX);
	struct cv_addr from = { .family = AF_INET };
	struct cv_ip ip;
	size_t len;
	bool whole;

	if (!(how & 2)) {
		from.family = how & 4 ? AF_INET6 : AF_INET;
		read_bytes(&input, from.b, cv_addr_size(from.family));
	}
	packet = exact(input.at, input.left);
	if (how & 1)
		true_lengths(packet, input.left);
	whole = cv_ip_parse(packet, input.left, &ip) == 0;
	if (whole && (how & 2))
		from = ip.dst;
	len = answer_to(how & 8, packet, input.left, &from, answer);
	if (!whole || ip.family != from.family ||
	    (ip.family == AF_INET ? is_unanswerable4(packet, &ip) : is_unanswerable6(packet, &ip)))
		must(len == 0);
	if (len)
		check_answer(how & 8, packet, &ip, &from, answer, len);
	free(packet);
	free(answer);
	return 0;
}
