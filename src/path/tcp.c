/* tcp: what a path that carries less asks of TCP: where it lies, and may it be cut. */
#include "internal.h"

enum {
	/* RFC 9293, section 3.1; RFC 2385; RFC 5925. */
	OPTION_END = 0,
	OPTION_NOP = 1,
	OPTION_MD5 = 19,
	OPTION_AO = 29,
};

struct options {
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

/* Return: false where an option is not whole. */
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
