/*
 * fuzz netlink: what comes back from rtnetlink, in the place of libmnl's socket.
 *
 * The input begins with a byte that chooses a request. Then come datagrams: a byte 255 is an error
 * of recvfrom(2), whose number follows; else messages follow until one ends the datagram. A message
 * is a byte of HOW_*, its type, its flags, and its payload: fixed bytes, then attributes.
 *
 * Oracle: nothing is read behind a datagram (its end is poisoned); what failed has written
 * nothing; a link has a name that ends; each news was told once, and that some were lost as well.
 */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sanitizer/asan_interface.h>

#include <libmnl/libmnl.h>

#include <convoy/netlink/netlink.h>

#include "fuzz.h"

enum {
	DATAGRAM_MAX = 16384,
	PORT_ID = 77,
	HOW_LAST = 1,        /* of the datagram */
	HOW_RAW = 2,         /* bytes follow as they are, the message's header among them */
	HOW_OTHER_SEQ = 4,   /* as if left over from another request */
	HOW_OTHER_PORT = 8,  /* as if it were for somebody else */
	HOW_LYING = 16,      /* the message's length is another one */
	HOW_LYING_ATTR = 32, /* so is that of the last attribute */
};

static struct input input;
static uint32_t seq;
static int errors; /* of the monitor: how often it was told that something is lost */

/* What libmnl has in this place, but for the kernel -------------------------------------- */

/* Never looked into. */
static char nowhere[64];

struct mnl_socket *mnl_socket_open2(int bus, int flags)
{
	return (struct mnl_socket *)(void *)nowhere;
}

int mnl_socket_bind(struct mnl_socket *socket, unsigned groups, pid_t pid)
{
	return 0;
}

int mnl_socket_close(struct mnl_socket *socket)
{
	return 0;
}

int mnl_socket_setsockopt(const struct mnl_socket *socket, int type, void *value, socklen_t size)
{
	return 0;
}

int mnl_socket_get_fd(const struct mnl_socket *socket)
{
	return -1;
}

unsigned mnl_socket_get_portid(const struct mnl_socket *socket)
{
	return PORT_ID;
}

ssize_t mnl_socket_sendto(const struct mnl_socket *socket, const void *message, size_t len)
{
	const struct nlmsghdr *header = message;

	must(len >= sizeof(*header) && header->nlmsg_len == len);
	must(header->nlmsg_flags & NLM_F_REQUEST && header->nlmsg_flags & NLM_F_ACK);
	seq = header->nlmsg_seq;
	return (ssize_t)len;
}

/* As libmnl's, which takes lengths for signed: a message of 2 GiB and more fits everywhere there.
 */
bool mnl_nlmsg_ok(const struct nlmsghdr *message, int len)
{
	return len >= (int)sizeof(*message) && message->nlmsg_len >= sizeof(*message) &&
	       message->nlmsg_len <= (uint32_t)len;
}

/* Append what fits. */
static size_t put(uint8_t *out, size_t at, const void *bytes, size_t len)
{
	len = len < DATAGRAM_MAX - at ? len : DATAGRAM_MAX - at;
	if (len)
		memcpy(out + at, bytes, len);
	return at + len;
}

static size_t align(uint8_t *out, size_t at)
{
	static const uint8_t zeros[4];

	return at % 4 ? put(out, at, zeros, 4 - at % 4) : at;
}

static size_t put_attrs(uint8_t *out, size_t at, uint8_t how)
{
	for (uint8_t n = read8(&input) % 8; n > 0 && at + 4 < DATAGRAM_MAX; n--) {
		uint16_t type = read8(&input);
		const uint8_t *value;
		size_t len = read_piece(&input, read8(&input), &value);
		struct nlattr attr = { (uint16_t)(len + 4), type };

		if (n == 1 && (how & HOW_LYING_ATTR))
			attr.nla_len = read16(&input);
		at = put(out, at, &attr, sizeof(attr));
		at = put(out, at, value, len);
		if (n > 1)
			at = align(out, at);
	}
	return at;
}

static size_t put_message(uint8_t *out, size_t at, uint8_t how)
{
	static const uint16_t types[] = { RTM_NEWLINK, RTM_DELLINK, RTM_NEWROUTE, RTM_NEWRULE,
					  NLMSG_ERROR, NLMSG_DONE,  RTM_NEWNSID,  NLMSG_NOOP };
	struct nlmsghdr header = { 0 };
	const uint8_t *fixed;
	size_t len, start = at;

	if (how & HOW_RAW) {
		len = read_piece(&input, read8(&input), &fixed);
		return put(out, at, fixed, len);
	}
	header.nlmsg_type = types[read8(&input) % 8];
	header.nlmsg_flags = read16(&input);
	header.nlmsg_seq = seq + !!(how & HOW_OTHER_SEQ);
	header.nlmsg_pid = PORT_ID + !!(how & HOW_OTHER_PORT);
	at = put(out, at, &header, sizeof(header));
	len = read_piece(&input, read8(&input) % 40, &fixed);
	at = put(out, at, fixed, len);
	at = put_attrs(out, at, how);
	header.nlmsg_len = (uint32_t)(at - start);
	if (how & HOW_LYING)
		header.nlmsg_len = read32(&input);
	if (start + sizeof(header) <= DATAGRAM_MAX)
		memcpy(out + start, &header, sizeof(header));
	return how & HOW_LAST ? at : align(out, at);
}

ssize_t mnl_socket_recvfrom(const struct mnl_socket *socket, void *buffer, size_t size)
{
	static uint8_t datagram[DATAGRAM_MAX];
	size_t len = 0;
	uint8_t how;

	must(size > DATAGRAM_MAX);
	ASAN_UNPOISON_MEMORY_REGION(buffer, size);
	if (!input.left) {
		errno = EAGAIN;
		return -1;
	}
	how = read8(&input);
	if (how == 255) {
		static const int numbers[] = { EINTR, ENOBUFS, ENOSPC, EAGAIN, EIO };

		errno = numbers[read8(&input) % 5];
		errors += errno == ENOBUFS || errno == ENOSPC;
		return -1;
	}
	for (;; how = read8(&input)) {
		len = put_message(datagram, len, how);
		if (!input.left || (how & HOW_LAST))
			break;
	}
	memcpy(buffer, datagram, len);
	ASAN_POISON_MEMORY_REGION((uint8_t *)buffer + len, size - len);
	return (ssize_t)len;
}

/* Requests -------------------------------------------------------------------------------- */

static void check_link(const struct cv_link *link)
{
	must(memchr(link->name, '\0', sizeof(link->name)));
}

static void check_link_result(int r, const struct cv_link *link)
{
	struct cv_link untouched;

	memset(&untouched, 0xa5, sizeof(untouched));
	if (r == 0)
		check_link(link);
	else
		must(!memcmp(link, &untouched, sizeof(untouched)));
}

static int look_up(struct cv_netlink *nl)
{
	const struct cv_addr to = { AF_INET, { 192, 0, 2, 1 } };
	struct cv_hop hop, untouched;
	int r;

	memset(&hop, 0xa5, sizeof(hop));
	untouched = hop;
	r = cv_fib_lookup(nl, &to, 0xca6c, &hop);
	if (r)
		must(!memcmp(&hop, &untouched, sizeof(hop)));
	else
		must(hop.source.family == 0 || cv_addr_size(hop.source.family));
	return r;
}

static int ask(struct cv_netlink *nl, uint8_t what)
{
	const struct cv_prefix prefix = { { AF_INET, { 10 } }, 8 };
	struct cv_link link;
	int r;

	memset(&link, 0xa5, sizeof(link));
	switch (what) {
	case 0:
		r = cv_link_get(nl, "wg0", &link);
		check_link_result(r, &link);
		return r;
	case 1:
		r = cv_link_get_by_index(nl, 7, &link);
		check_link_result(r, &link);
		return r;
	case 2:
		return cv_link_set_mtu(nl, 7, 1420);
	case 3:
		return cv_link_add_addr(nl, 7, &prefix);
	case 4:
		return cv_fib_add(nl, &prefix, 7, 51820);
	case 5:
		return look_up(nl);
	case 6:
		return cv_fib_is_empty(nl, AF_INET, 51820);
	case 7:
		return cv_rule_add_not_marked(nl, AF_INET6, 0xca6c, 51820);
	case 8:
		return cv_rule_add_main_specifics(nl, AF_INET);
	default:
		return cv_link_set_quiet(nl, 7);
	}
}

static void request(uint8_t what)
{
	struct cv_netlink *nl;
	int r;

	if (what == 0xff) {
		r = cv_netlink_open_in(3, &nl);
		must(r <= 0);
		if (r < 0)
			return;
	} else {
		must(cv_netlink_open(&nl) == 0);
	}
	ask(nl, what % 10); /* what it returns is the kernel's word */
	must(memchr(cv_netlink_error(nl), '\0', 160));
	cv_netlink_close(nl);
}

static void count_news(const struct cv_link *link, void *owner)
{
	check_link(link);
	++*(int *)owner;
}

static void monitor(void)
{
	struct cv_link_monitor *news;
	int calls = 0, r;

	must(cv_link_monitor_open(&news) == 0);
	r = cv_link_monitor_read(news, count_news, &calls);
	must(r == calls || (r == -ENOBUFS && errors) || r == -EIO);
	must(errors == 0 || r < 0);
	cv_link_monitor_close(news);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t what;

	input = (struct input){ data, size };
	errors = 0;
	what = read8(&input);
	if (what == 0xfe)
		monitor();
	else
		request(what);
	return 0;
}
