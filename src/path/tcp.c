/*
 * tcp: what a path that carries less asks of TCP: where it lies, may it be cut, which MSS it says.
 *
 * A SYN says the longest segment that its sender takes. Whoever knows of a lower limit on the way
 * says that one instead, as routers before tunnels do, so that segments fit from the first on.
 */
#include <string.h>

#include <convoy/packet/csum.h>

#include "internal.h"

enum {
	/* RFC 9293, section 3.1; RFC 2385; RFC 5925. */
	OPTION_END = 0,
	OPTION_NOP = 1,
	OPTION_MSS = 2,
	OPTION_MD5 = 19,
	OPTION_AO = 29,
	MSS_LEN = 4,
};

struct options {
	uint32_t mss; /* offset of its value from the TCP header, 0: none */
	bool md5;
	bool ao;
};

bool cv_ip_find_transport(const struct cv_ip *ip, const uint8_t *data, struct cv_ip6_walk *ret_walk)
{
	struct cv_ip6_walk walk = { ip->protocol, ip->l4 };
	uint32_t len;

	while (ip->family == AF_INET6 && cv_ip6_is_extension(walk.protocol)) {
		len = cv_ip6_extension_len(&walk, data, ip->len);
		if (!len || walk.protocol == IPPROTO_FRAGMENT)
			return false;
		if (walk.protocol == IPPROTO_ROUTING && data[walk.at + 3])
			return false;
		walk = (struct cv_ip6_walk){ data[walk.at], walk.at + len };
	}
	*ret_walk = walk;
	return !ip->fragment;
}

static uint32_t header_len(const uint8_t *tcp)
{
	return 4U * (tcp[offsetof(struct cv_tcp, doff)] >> 4);
}

/* Return: false where an option is not whole, or says its MSS twice. */
static bool read_options(const uint8_t *tcp, struct options *ret_options)
{
	uint32_t end = header_len(tcp), len;

	*ret_options = (struct options){ 0 };
	for (uint32_t at = sizeof(struct cv_tcp); at < end; at += len) {
		len = 1;
		if (tcp[at] == OPTION_END)
			break;
		if (tcp[at] == OPTION_NOP)
			continue;
		if (end - at < 2 || tcp[at + 1] < 2 || tcp[at + 1] > end - at)
			return false;
		len = tcp[at + 1];
		if (tcp[at] == OPTION_MSS) {
			if (len != MSS_LEN || ret_options->mss)
				return false;
			ret_options->mss = at + 2;
		}
		ret_options->md5 |= tcp[at] == OPTION_MD5;
		ret_options->ao |= tcp[at] == OPTION_AO;
	}
	return true;
}

bool cv_tcp_may_be_cut(const uint8_t *tcp)
{
	uint8_t flags = tcp[offsetof(struct cv_tcp, flags)];
	struct options options;

	return !(flags & (CV_TCP_SYN | CV_TCP_RST | CV_TCP_URG)) && read_options(tcp, &options) &&
	       !options.md5 && !options.ao;
}

/* Replace a number that lies anywhere in the header: HC' = ~(~HC + ~m + m'), RFC 1624, section 3,
 * m being the words, counted from the header's begin, in which it lies. */
static void replace(uint8_t *l4, uint32_t at, cv_be16 value)
{
	struct cv_tcp *tcp = (struct cv_tcp *)l4;
	const uint8_t *words = l4 + at / 2 * 2;
	size_t len = at % 2 ? 4 : 2;
	const uint8_t csum[2] = { (uint8_t)~tcp->csum.b[0], (uint8_t)~tcp->csum.b[1] };
	uint8_t old[4];
	cv_csum sum;

	for (size_t i = 0; i < len; i++)
		old[i] = (uint8_t)~words[i];
	memcpy(l4 + at, &value, sizeof(value));
	sum = cv_csum_add(0, csum, sizeof(csum));
	sum = cv_csum_add(sum, old, len);
	tcp->csum = cv_csum_field(cv_csum_add(sum, words, len));
}

void cv_tcp_clamp_mss(uint8_t *packet, const struct cv_ip *ip, uint32_t mtu)
{
	uint32_t headers = (ip->family == AF_INET ? sizeof(struct cv_ip4) : sizeof(struct cv_ip6)) +
			   sizeof(struct cv_tcp);
	struct cv_ip6_walk walk;
	struct options options;
	uint8_t *l4;
	cv_be16 mss;

	if (mtu <= headers || !cv_ip_find_transport(ip, packet, &walk) ||
	    walk.protocol != IPPROTO_TCP || ip->len < walk.at + sizeof(struct cv_tcp))
		return;
	l4 = packet + walk.at;
	if (!(l4[offsetof(struct cv_tcp, flags)] & CV_TCP_SYN) ||
	    header_len(l4) > ip->len - walk.at || !read_options(l4, &options) || options.ao ||
	    !options.mss)
		return;
	memcpy(&mss, l4 + options.mss, sizeof(mss));
	if (cv_be16_get(mss) > mtu - headers)
		replace(l4, options.mss, cv_be16_of((uint16_t)(mtu - headers)));
}
