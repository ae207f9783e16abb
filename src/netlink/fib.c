/* Routes: added and deleted, looked up, and counted as far as "none". */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "internal.h"

/* A metric of 0 is the kernel's default (IPv6 makes it 1024), so none is sent. */
static void begin_route(struct cv_netlink *nl, uint16_t type, uint16_t flags, struct rtmsg info,
			struct cv_prefix prefix, uint32_t ifindex, uint32_t table)
{
	struct nlmsghdr *message;

	cv_prefix_mask(&prefix);
	info.rtm_family = prefix.addr.family;
	info.rtm_dst_len = prefix.bits;
	info.rtm_table = table < 256 ? (uint8_t)table : RT_TABLE_UNSPEC;
	message = cv_netlink_begin(nl, type, flags, &info, sizeof(info));
	cv_netlink_put_addr(message, RTA_DST, &prefix.addr);
	mnl_attr_put_u32(message, RTA_OIF, ifindex);
	mnl_attr_put_u32(message, RTA_TABLE, table);
}

int cv_fib_add(struct cv_netlink *nl, const struct cv_prefix *prefix, uint32_t ifindex,
	       uint32_t table)
{
	const struct rtmsg info = {
		.rtm_protocol = RTPROT_BOOT, /* as ip(8) marks what an administrator adds */
		.rtm_scope = prefix->addr.family == AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
		.rtm_type = RTN_UNICAST,
	};

	begin_route(nl, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, info, *prefix, ifindex, table);
	return cv_netlink_do(nl, NULL, NULL);
}

int cv_fib_delete(struct cv_netlink *nl, const struct cv_prefix *prefix, uint32_t ifindex,
		  uint32_t table)
{
	const struct rtmsg info = { .rtm_protocol = RTPROT_BOOT, .rtm_scope = RT_SCOPE_NOWHERE };

	begin_route(nl, RTM_DELROUTE, 0, info, *prefix, ifindex, table);
	return cv_netlink_do(nl, NULL, NULL);
}

static int take_hop(const struct nlmsghdr *message, void *arg)
{
	const struct rtmsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attrs[RTA_MAX + 1], *metrics[RTAX_MAX + 1];
	struct cv_hop *hop = arg;

	if (message->nlmsg_type != RTM_NEWROUTE ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(*info))
		return 0;
	if (info->rtm_type == RTN_UNREACHABLE || info->rtm_type == RTN_BLACKHOLE ||
	    info->rtm_type == RTN_PROHIBIT || info->rtm_type == RTN_THROW)
		return -ENETUNREACH;
	cv_netlink_attrs(message, sizeof(*info), attrs, RTA_MAX + 1);
	hop->ifindex = cv_netlink_u32(attrs[RTA_OIF], 0);
	if (attrs[RTA_METRICS]) {
		cv_netlink_nested(attrs[RTA_METRICS], metrics, RTAX_MAX + 1);
		hop->mtu = cv_netlink_u32(metrics[RTAX_MTU], 0);
	}
	if (attrs[RTA_PREFSRC] && cv_addr_size(info->rtm_family) &&
	    mnl_attr_get_payload_len(attrs[RTA_PREFSRC]) == cv_addr_size(info->rtm_family)) {
		hop->source.family = info->rtm_family;
		memcpy(hop->source.b, mnl_attr_get_payload(attrs[RTA_PREFSRC]),
		       cv_addr_size(info->rtm_family));
	}
	return 0;
}

int cv_fib_lookup(struct cv_netlink *nl, const struct cv_addr *to, uint32_t fwmark,
		  struct cv_hop *ret_hop)
{
	const struct rtmsg info = {
		.rtm_family = to->family,
		.rtm_dst_len = (uint8_t)cv_addr_bits(to->family),
	};
	struct nlmsghdr *message = cv_netlink_begin(nl, RTM_GETROUTE, 0, &info, sizeof(info));
	struct cv_hop hop = { 0 };
	struct cv_link link;
	int ret;

	cv_netlink_put_addr(message, RTA_DST, to);
	if (fwmark)
		mnl_attr_put_u32(message, RTA_MARK, fwmark);
	ret = cv_netlink_do(nl, take_hop, &hop);
	/* Each refusing kind of route has its errno; to a sender they are the same. */
	if (ret == -EHOSTUNREACH || ret == -EACCES || ret == -EINVAL)
		ret = -ENETUNREACH;
	if (!ret && !hop.mtu) {
		ret = cv_link_get_by_index(nl, hop.ifindex, &link);
		if (!ret)
			hop.mtu = link.mtu;
	}
	if (!ret)
		*ret_hop = hop;
	return ret;
}

struct search {
	uint8_t family;
	uint32_t table;
	bool found;
};

/* Older kernels ignore the table asked for and list them all. */
static int take_table(const struct nlmsghdr *message, void *arg)
{
	const struct rtmsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attrs[RTA_TABLE + 1];
	struct search *search = arg;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*info))
		return 0;
	cv_netlink_attrs(message, sizeof(*info), attrs, RTA_TABLE + 1);
	if (message->nlmsg_type == RTM_NEWROUTE && info->rtm_family == search->family &&
	    cv_netlink_u32(attrs[RTA_TABLE], info->rtm_table) == search->table)
		search->found = true;
	return 0;
}

int cv_fib_is_empty(struct cv_netlink *nl, uint8_t family, uint32_t table)
{
	const struct rtmsg info = { .rtm_family = family };
	struct search search = { .family = family, .table = table };
	int ret;

	do {
		mnl_attr_put_u32(
			cv_netlink_begin(nl, RTM_GETROUTE, NLM_F_DUMP, &info, sizeof(info)),
			RTA_TABLE, table);
		ret = cv_netlink_do(nl, take_table, &search);
	} while (ret == -EINTR);
	if (ret && ret != -ENOENT) /* a table that nobody has used yet does not exist */
		return ret;
	return !search.found;
}
