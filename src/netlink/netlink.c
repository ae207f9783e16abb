/*
 * The handle: one socket, one request at a time.
 *
 * Each request asks for an ACK. The kernel answers with the messages asked for, if any, and then
 * with NLMSG_ERROR (0: done) or, after a dump, with NLMSG_DONE. What carries another sequence
 * number is left over from a request that was given up, and skipped.
 */
#include <errno.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "internal.h"

struct cv_netlink {
	struct mnl_socket *socket;
	uint32_t seq, portid;
	bool elsewhere; /* requests are for the namespace that ours knows as nsid */
	int nsid;
	char error[160];
	_Alignas(NLMSG_ALIGNTO) uint8_t request[CV_NETLINK_REQUEST_SIZE];
	_Alignas(NLMSG_ALIGNTO) uint8_t answer[CV_NETLINK_ANSWER_SIZE];
};

static int open_socket(struct cv_netlink *nl)
{
	int on = 1;

	nl->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!nl->socket || mnl_socket_bind(nl->socket, 0, MNL_SOCKET_AUTOPID))
		return -errno;
	nl->portid = mnl_socket_get_portid(nl->socket);
	/* Comforts of Linux 4.12, 4.3 and 4.20: reasons; errors without an echo of the request;
	 * dumps that the kernel filters. Nothing depends on them. */
	mnl_socket_setsockopt(nl->socket, NETLINK_EXT_ACK, &on, sizeof(on));
	mnl_socket_setsockopt(nl->socket, NETLINK_CAP_ACK, &on, sizeof(on));
	mnl_socket_setsockopt(nl->socket, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	return 0;
}

int cv_netlink_open(struct cv_netlink **ret_nl)
{
	struct cv_netlink *nl = calloc(1, sizeof(*nl));
	int ret;

	if (!nl)
		return -ENOMEM;
	ret = open_socket(nl);
	if (ret) {
		cv_netlink_close(nl);
		return ret;
	}
	*ret_nl = nl;
	return 0;
}

int cv_netlink_open_in(int netns_fd, struct cv_netlink **ret_nl)
{
	struct cv_netlink *nl;
	int ret = cv_netlink_open(&nl);

	if (ret)
		return ret;
	nl->nsid = cv_netns_id(nl, netns_fd);
	if (nl->nsid < 0) {
		ret = nl->nsid;
		cv_netlink_close(nl);
		return ret;
	}
	nl->elsewhere = true;
	*ret_nl = nl;
	return 0;
}

void cv_netlink_close(struct cv_netlink *nl)
{
	if (!nl)
		return;
	if (nl->socket)
		mnl_socket_close(nl->socket);
	free(nl);
}

const char *cv_netlink_error(const struct cv_netlink *nl)
{
	return nl->error;
}

struct nlmsghdr *cv_netlink_begin(struct cv_netlink *nl, uint16_t type, uint16_t flags,
				  const void *header, size_t size)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(nl->request);

	message->nlmsg_type = type;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	message->nlmsg_seq = ++nl->seq;
	memcpy(mnl_nlmsg_put_extra_header(message, size), header, size);
	if (nl->elsewhere && type == RTM_GETLINK)
		mnl_attr_put_u32(message, IFLA_TARGET_NETNSID, (uint32_t)nl->nsid);
	return message;
}

void cv_netlink_put_addr(struct nlmsghdr *message, uint16_t type, const struct cv_addr *addr)
{
	mnl_attr_put(message, type, cv_addr_size(addr->family), addr->b);
}

static void index_attrs(const void *payload, const void *end, const struct nlattr **ret_attrs,
			size_t n)
{
	const struct nlattr *attr = payload;

	memset(ret_attrs, 0, n * sizeof(*ret_attrs));
	for (; mnl_attr_ok(attr, (int)((const uint8_t *)end - (const uint8_t *)attr));
	     attr = mnl_attr_next(attr))
		if (mnl_attr_get_type(attr) < n)
			ret_attrs[mnl_attr_get_type(attr)] = attr;
}

void cv_netlink_attrs(const struct nlmsghdr *message, size_t offset,
		      const struct nlattr **ret_attrs, size_t n)
{
	index_attrs(mnl_nlmsg_get_payload_offset(message, offset),
		    mnl_nlmsg_get_payload_tail(message), ret_attrs, n);
}

void cv_netlink_nested(const struct nlattr *nest, const struct nlattr **ret_attrs, size_t n)
{
	const uint8_t *payload = mnl_attr_get_payload(nest);

	index_attrs(payload, payload + mnl_attr_get_payload_len(nest), ret_attrs, n);
}

uint32_t cv_netlink_u32(const struct nlattr *attr, uint32_t otherwise)
{
	if (!attr || mnl_attr_get_payload_len(attr) < sizeof(uint32_t))
		return otherwise;
	return mnl_attr_get_u32(attr);
}

/* The kernel's own words lie behind the error, and behind the request where it is echoed. */
static void keep_reason(struct cv_netlink *nl, const struct nlmsghdr *message)
{
	const struct nlmsgerr *error = mnl_nlmsg_get_payload(message);
	const struct nlattr *attrs[NLMSGERR_ATTR_MSG + 1];
	size_t offset = sizeof(*error);

	if (!(message->nlmsg_flags & NLM_F_ACK_TLVS) ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(*error))
		return;
	if (!(message->nlmsg_flags & NLM_F_CAPPED))
		offset += mnl_nlmsg_get_payload_len(&error->msg);
	if (offset > mnl_nlmsg_get_payload_len(message))
		return;
	cv_netlink_attrs(message, offset, attrs, NLMSGERR_ATTR_MSG + 1);
	if (attrs[NLMSGERR_ATTR_MSG])
		snprintf(nl->error, sizeof(nl->error), "%.*s",
			 (int)mnl_attr_get_payload_len(attrs[NLMSGERR_ATTR_MSG]),
			 mnl_attr_get_str(attrs[NLMSGERR_ATTR_MSG]));
}

/* The number at the head of NLMSG_ERROR and NLMSG_DONE: 0 or -errno. */
static int take_result(struct cv_netlink *nl, const struct nlmsghdr *message)
{
	int result;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(result))
		return -EBADMSG;
	memcpy(&result, mnl_nlmsg_get_payload(message), sizeof(result));
	if (result && message->nlmsg_type == NLMSG_ERROR)
		keep_reason(nl, message);
	return result;
}

/* One datagram of the answer. Return: 1 when the last message was among it, else 0. */
static int take_answer(struct cv_netlink *nl, int len, cv_netlink_handler *handler, void *arg,
		       int *result)
{
	const struct nlmsghdr *message = (const struct nlmsghdr *)nl->answer;

	for (; mnl_nlmsg_ok(message, len); message = mnl_nlmsg_next(message, &len)) {
		if (message->nlmsg_seq != nl->seq || message->nlmsg_pid != nl->portid)
			continue;
		if (message->nlmsg_flags & NLM_F_DUMP_INTR)
			*result = -EINTR; /* things changed while the kernel listed them */
		if (message->nlmsg_type == NLMSG_ERROR || message->nlmsg_type == NLMSG_DONE) {
			int last = take_result(nl, message);

			*result = last ? last : *result;
			return 1;
		}
		if (handler && !*result)
			*result = handler(message, arg);
	}
	return 0;
}

int cv_netlink_do(struct cv_netlink *nl, cv_netlink_handler *handler, void *arg)
{
	const struct nlmsghdr *request = (const struct nlmsghdr *)nl->request;
	int result = 0, done = 0;

	nl->error[0] = 0;
	/* The kernel would do it here, to another link of the same number. */
	if (nl->elsewhere && request->nlmsg_type != RTM_GETLINK)
		return -EOPNOTSUPP;
	if (mnl_socket_sendto(nl->socket, request, request->nlmsg_len) < 0)
		return -errno;
	while (!done) {
		ssize_t len = mnl_socket_recvfrom(nl->socket, nl->answer, sizeof(nl->answer));

		if (len >= 0)
			done = take_answer(nl, (int)len, handler, arg, &result);
		else if (errno != EINTR)
			return -errno;
	}
	return result;
}
