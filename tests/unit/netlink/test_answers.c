/* Answers that are shorter than they should be, from a kernel in the place of libmnl's socket. */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* cmocka.h needs what stands above it. */
#include <cmocka.h>
#include <libmnl/libmnl.h>

#include <convoy/netlink/netlink.h>

enum { ANSWERS_MAX = 4 };

static struct {
	_Alignas(NLMSG_ALIGNTO) uint8_t bytes[ANSWERS_MAX][256];
	size_t n, next;
} answers;

static uint32_t seq;
static char nowhere; /* the socket, which nobody looks into */

struct mnl_socket *mnl_socket_open2(int bus, int flags)
{
	return (struct mnl_socket *)(void *)&nowhere;
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

unsigned mnl_socket_get_portid(const struct mnl_socket *socket)
{
	return 0;
}

int mnl_socket_get_fd(const struct mnl_socket *socket)
{
	return -1;
}

ssize_t mnl_socket_sendto(const struct mnl_socket *socket, const void *message, size_t len)
{
	seq = ((const struct nlmsghdr *)message)->nlmsg_seq;
	return (ssize_t)len;
}

/* One message a datagram, under the request's number. */
ssize_t mnl_socket_recvfrom(const struct mnl_socket *socket, void *buffer, size_t size)
{
	struct nlmsghdr *message = (void *)answers.bytes[answers.next];

	if (answers.next == answers.n) {
		errno = EIO;
		return -1;
	}
	answers.next++;
	message->nlmsg_seq = seq;
	memcpy(buffer, message, message->nlmsg_len);
	return (ssize_t)message->nlmsg_len;
}

static struct nlmsghdr *answer(uint16_t type)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(answers.bytes[answers.n++]);

	message->nlmsg_type = type;
	return message;
}

static void answer_done(int result)
{
	struct nlmsgerr *error =
		mnl_nlmsg_put_extra_header(answer(NLMSG_ERROR), sizeof(struct nlmsgerr));

	error->error = result;
}

static struct cv_netlink *nl;

static int begin(void **state)
{
	memset(&answers, 0, sizeof(answers));
	return cv_netlink_open(&nl);
}

static int end(void **state)
{
	cv_netlink_close(nl);
	return 0;
}

static struct ifinfomsg *answer_link(struct nlmsghdr **ret_message)
{
	*ret_message = answer(RTM_NEWLINK);
	return mnl_nlmsg_put_extra_header(*ret_message, sizeof(struct ifinfomsg));
}

static void a_name_ends_where_its_attribute_ends(void **state)
{
	struct nlmsghdr *message;
	struct cv_link link;

	answer_link(&message)->ifi_index = 7;
	mnl_attr_put(message, IFLA_IFNAME, 4, "abcd");
	mnl_attr_put_u32(message, IFLA_MTU, 0x41414141);
	answer_done(0);
	assert_int_equal(cv_link_get(nl, "abcd", &link), 0);
	assert_int_equal(link.ifindex, 7);
	assert_string_equal(link.name, "abcd");
}

static void a_message_without_its_header_says_nothing(void **state)
{
	struct nlmsghdr *message;
	struct cv_link link;

	answer_link(&message)->ifi_index = 7; /* what lies behind the short one in the buffer */
	message->nlmsg_type = NLMSG_NOOP;
	answer(RTM_NEWLINK);
	answer_done(0);
	assert_int_equal(cv_link_get(nl, "cva", &link), 0);
	assert_int_equal(link.ifindex, 0);
}

static void a_route_without_its_header_is_none(void **state)
{
	struct nlmsghdr *message = answer(NLMSG_NOOP);
	struct rtmsg *route = mnl_nlmsg_put_extra_header(message, sizeof(*route));

	route->rtm_family = AF_INET;
	route->rtm_table = RT_TABLE_MAIN;
	answer(RTM_NEWROUTE);
	answer_done(0);
	assert_int_equal(cv_fib_is_empty(nl, AF_INET, RT_TABLE_MAIN), 1);
}

static void a_source_of_no_known_family_is_none(void **state)
{
	const struct cv_addr to = { AF_INET, { 192, 0, 2, 1 } };
	struct nlmsghdr *message = answer(RTM_NEWROUTE);
	struct rtmsg *route = mnl_nlmsg_put_extra_header(message, sizeof(*route));
	struct nlattr *metrics;
	struct cv_hop hop;

	route->rtm_family = AF_UNIX;
	mnl_attr_put(message, RTA_PREFSRC, 0, NULL);
	metrics = mnl_attr_nest_start(message, RTA_METRICS);
	mnl_attr_put_u32(message, RTAX_MTU, 1420); /* or the link would be asked for it */
	mnl_attr_nest_end(message, metrics);
	answer_done(0);
	assert_int_equal(cv_fib_lookup(nl, &to, 0, &hop), 0);
	assert_int_equal(hop.mtu, 1420);
	assert_int_equal(hop.source.family, 0);
}

static void an_echo_longer_than_its_message_has_no_reason_behind_it(void **state)
{
	struct nlmsghdr *message = answer(NLMSG_ERROR);
	struct nlmsgerr *error = mnl_nlmsg_put_extra_header(message, sizeof(*error));

	message->nlmsg_flags = NLM_F_ACK_TLVS;
	error->error = -EPERM;
	error->msg.nlmsg_len = UINT32_C(0x90000000);
	assert_int_equal(cv_link_set_mtu(nl, 7, 1420), -EPERM);
	assert_string_equal(cv_netlink_error(nl), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_name_ends_where_its_attribute_ends, begin, end),
		cmocka_unit_test_setup_teardown(a_message_without_its_header_says_nothing, begin,
						end),
		cmocka_unit_test_setup_teardown(a_route_without_its_header_is_none, begin, end),
		cmocka_unit_test_setup_teardown(a_source_of_no_known_family_is_none, begin, end),
		cmocka_unit_test_setup_teardown(
			an_echo_longer_than_its_message_has_no_reason_behind_it, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
