/* Links and their addresses. */
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "internal.h"

void cv_link_parse(const struct nlmsghdr *message, struct cv_link *ret_link)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attrs[IFLA_MTU + 1];

	cv_netlink_attrs(message, sizeof(*info), attrs, IFLA_MTU + 1);
	*ret_link = (struct cv_link){
		.ifindex = (uint32_t)info->ifi_index,
		.flags = info->ifi_flags,
		.mtu = cv_netlink_u32(attrs[IFLA_MTU], 0),
		.up = info->ifi_flags & IFF_UP,
		.running = info->ifi_flags & IFF_RUNNING,
		.deleted = message->nlmsg_type == RTM_DELLINK,
	};
	if (attrs[IFLA_IFNAME])
		snprintf(ret_link->name, IFNAMSIZ, "%.*s",
			 (int)mnl_attr_get_payload_len(attrs[IFLA_IFNAME]),
			 mnl_attr_get_str(attrs[IFLA_IFNAME]));
}

static int take_link(const struct nlmsghdr *message, void *arg)
{
	if (message->nlmsg_type == RTM_NEWLINK &&
	    mnl_nlmsg_get_payload_len(message) >= sizeof(struct ifinfomsg))
		cv_link_parse(message, arg);
	return 0;
}

static int get(struct cv_netlink *nl, struct cv_link *ret_link)
{
	struct cv_link link = { 0 };
	int ret = cv_netlink_do(nl, take_link, &link);

	if (!ret)
		*ret_link = link;
	return ret;
}

int cv_link_get(struct cv_netlink *nl, const char *name, struct cv_link *ret_link)
{
	const struct ifinfomsg info = { .ifi_family = AF_UNSPEC };

	if (!name[0] || strlen(name) >= IFNAMSIZ)
		return -ENODEV;
	mnl_attr_put_strz(cv_netlink_begin(nl, RTM_GETLINK, 0, &info, sizeof(info)), IFLA_IFNAME,
			  name);
	return get(nl, ret_link);
}

int cv_link_get_by_index(struct cv_netlink *nl, uint32_t ifindex, struct cv_link *ret_link)
{
	const struct ifinfomsg info = { .ifi_family = AF_UNSPEC, .ifi_index = (int)ifindex };

	cv_netlink_begin(nl, RTM_GETLINK, 0, &info, sizeof(info));
	return get(nl, ret_link);
}

static struct nlmsghdr *begin_change(struct cv_netlink *nl, uint32_t ifindex)
{
	const struct ifinfomsg info = { .ifi_family = AF_UNSPEC, .ifi_index = (int)ifindex };

	return cv_netlink_begin(nl, RTM_NEWLINK, 0, &info, sizeof(info));
}

int cv_link_set_mtu(struct cv_netlink *nl, uint32_t ifindex, uint32_t mtu)
{
	mnl_attr_put_u32(begin_change(nl, ifindex), IFLA_MTU, mtu);
	return cv_netlink_do(nl, NULL, NULL);
}

int cv_link_set_up(struct cv_netlink *nl, uint32_t ifindex, bool up)
{
	const struct ifinfomsg info = {
		.ifi_family = AF_UNSPEC,
		.ifi_index = (int)ifindex,
		.ifi_flags = up ? IFF_UP : 0,
		.ifi_change = IFF_UP,
	};

	cv_netlink_begin(nl, RTM_NEWLINK, 0, &info, sizeof(info));
	return cv_netlink_do(nl, NULL, NULL);
}

int cv_link_set_gso(struct cv_netlink *nl, uint32_t ifindex, uint32_t max_segs, uint32_t max_size)
{
	struct nlmsghdr *message = begin_change(nl, ifindex);

	if (max_segs)
		mnl_attr_put_u32(message, IFLA_GSO_MAX_SEGS, max_segs);
	if (max_size)
		mnl_attr_put_u32(message, IFLA_GSO_MAX_SIZE, max_size);
	return cv_netlink_do(nl, NULL, NULL);
}

int cv_link_set_quiet(struct cv_netlink *nl, uint32_t ifindex)
{
	struct nlmsghdr *message = begin_change(nl, ifindex);
	struct nlattr *families = mnl_attr_nest_start(message, IFLA_AF_SPEC);
	struct nlattr *inet6 = mnl_attr_nest_start(message, AF_INET6);

	mnl_attr_put_u8(message, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(message, inet6);
	mnl_attr_nest_end(message, families);
	return cv_netlink_do(nl, NULL, NULL);
}

int cv_link_set_queue_len(struct cv_netlink *nl, uint32_t ifindex, uint32_t pkts)
{
	mnl_attr_put_u32(begin_change(nl, ifindex), IFLA_TXQLEN, pkts);
	return cv_netlink_do(nl, NULL, NULL);
}

int cv_link_delete(struct cv_netlink *nl, uint32_t ifindex)
{
	const struct ifinfomsg info = { .ifi_family = AF_UNSPEC, .ifi_index = (int)ifindex };

	cv_netlink_begin(nl, RTM_DELLINK, 0, &info, sizeof(info));
	return cv_netlink_do(nl, NULL, NULL);
}

static void begin_addr(struct cv_netlink *nl, uint16_t type, uint16_t flags, uint32_t ifindex,
		       const struct cv_prefix *prefix)
{
	const struct ifaddrmsg info = {
		.ifa_family = prefix->addr.family,
		.ifa_prefixlen = prefix->bits,
		.ifa_flags = prefix->addr.family == AF_INET6 ? IFA_F_NODAD : 0,
		.ifa_scope = RT_SCOPE_UNIVERSE,
		.ifa_index = ifindex,
	};
	struct nlmsghdr *message = cv_netlink_begin(nl, type, flags, &info, sizeof(info));

	/* On a link with two ends IFA_ADDRESS is the far one, and ours when they are the same. */
	cv_netlink_put_addr(message, IFA_LOCAL, &prefix->addr);
	cv_netlink_put_addr(message, IFA_ADDRESS, &prefix->addr);
}

int cv_link_add_addr(struct cv_netlink *nl, uint32_t ifindex, const struct cv_prefix *prefix)
{
	int ret;

	begin_addr(nl, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, ifindex, prefix);
	ret = cv_netlink_do(nl, NULL, NULL);
	if (ret == -EEXIST)
		return 0;
	return ret ? ret : 1;
}

int cv_link_delete_addr(struct cv_netlink *nl, uint32_t ifindex, const struct cv_prefix *prefix)
{
	begin_addr(nl, RTM_DELADDR, 0, ifindex, prefix);
	return cv_netlink_do(nl, NULL, NULL);
}
