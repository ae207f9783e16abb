/*
 * Other network namespaces: how a TUN is found in one, and a number to speak of it by.
 *
 * A namespace numbers those that it has to do with, and a request to rtnetlink that carries such a
 * number is answered for the namespace behind it.
 */
#include <errno.h>
#include <linux/if_tun.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "internal.h"

static int take_number(const struct nlmsghdr *message, void *arg)
{
	const struct nlattr *attrs[NETNSA_NSID + 1];

	cv_netlink_attrs(message, sizeof(struct rtgenmsg), attrs, NETNSA_NSID + 1);
	*(int *)arg = (int)cv_netlink_u32(attrs[NETNSA_NSID], (uint32_t)NETNSA_NSID_NOT_ASSIGNED);
	return 0;
}

int cv_netns_id(struct cv_netlink *nl, int netns_fd)
{
	const struct rtgenmsg header = { .rtgen_family = AF_UNSPEC };
	struct nlmsghdr *message = cv_netlink_begin(nl, RTM_NEWNSID, 0, &header, sizeof(header));
	int number = NETNSA_NSID_NOT_ASSIGNED, r;

	mnl_attr_put_u32(message, NETNSA_FD, (uint32_t)netns_fd);
	mnl_attr_put_u32(message, NETNSA_NSID, (uint32_t)NETNSA_NSID_NOT_ASSIGNED); /* any */
	r = cv_netlink_do(nl, NULL, NULL);
	if (r < 0 && r != -EEXIST)
		return r;
	message = cv_netlink_begin(nl, RTM_GETNSID, 0, &header, sizeof(header));
	mnl_attr_put_u32(message, NETNSA_FD, (uint32_t)netns_fd);
	r = cv_netlink_do(nl, take_number, &number);
	if (r < 0)
		return r;
	return number < 0 ? -ENOENT : number;
}

int cv_tun_netns(int tun_fd)
{
	int fd = ioctl(tun_fd, TUNGETDEVNETNS);

	return fd < 0 ? -errno : fd;
}
