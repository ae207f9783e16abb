/* News of links: a socket that has joined RTNLGRP_LINK and only listens. */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "internal.h"

struct cv_link_monitor {
	struct mnl_socket *socket;
	_Alignas(NLMSG_ALIGNTO) uint8_t buffer[CV_NETLINK_ANSWER_SIZE];
};

static int open_socket(struct cv_link_monitor *monitor)
{
	monitor->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!monitor->socket)
		return -errno;
	return mnl_socket_bind(monitor->socket, RTMGRP_LINK, MNL_SOCKET_AUTOPID) ? -errno : 0;
}

int cv_link_monitor_open(struct cv_link_monitor **ret_monitor)
{
	struct cv_link_monitor *monitor = calloc(1, sizeof(*monitor));
	int ret;

	if (!monitor)
		return -ENOMEM;
	ret = open_socket(monitor);
	if (ret) {
		cv_link_monitor_close(monitor);
		return ret;
	}
	*ret_monitor = monitor;
	return 0;
}

void cv_link_monitor_close(struct cv_link_monitor *monitor)
{
	if (!monitor)
		return;
	if (monitor->socket)
		mnl_socket_close(monitor->socket);
	free(monitor);
}

int cv_link_monitor_fd(const struct cv_link_monitor *monitor)
{
	return mnl_socket_get_fd(monitor->socket);
}

/* Whether a message speaks of a link itself. Bridges send RTM_DELLINK of their own family when a
 * link leaves them. */
static bool is_news(const struct nlmsghdr *message)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);

	return (message->nlmsg_type == RTM_NEWLINK || message->nlmsg_type == RTM_DELLINK) &&
	       mnl_nlmsg_get_payload_len(message) >= sizeof(*info) && info->ifi_family == AF_UNSPEC;
}

int cv_link_monitor_read(struct cv_link_monitor *monitor,
			 void (*news)(const struct cv_link *link, void *owner), void *owner)
{
	const struct nlmsghdr *message;
	int calls = 0, error = 0, len;
	struct cv_link link;

	for (;;) {
		len = (int)mnl_socket_recvfrom(monitor->socket, monitor->buffer,
					       sizeof(monitor->buffer));
		if (len < 0 && errno == EAGAIN)
			return error ? error : calls;
		if (len < 0 && errno == EINTR)
			continue;
		/* Truncated (ENOSPC) is lost as well. After an overrun the queue is still full. */
		if (len < 0 && errno != ENOBUFS && errno != ENOSPC)
			return -errno;
		if (len < 0)
			error = -ENOBUFS;
		message = (const struct nlmsghdr *)monitor->buffer;
		for (; mnl_nlmsg_ok(message, len); message = mnl_nlmsg_next(message, &len)) {
			if (!is_news(message))
				continue;
			cv_link_parse(message, &link);
			news(&link, owner);
			calls++;
		}
	}
}
