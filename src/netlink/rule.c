/*
 * Policy rules.
 *
 * The kernel refuses a rule as a double only when it has the same priority; left to choose, it
 * gives each a new one, and doubles pile up. So we look through the rules before we add.
 */
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "internal.h"

/* The part of a rule that we use; the rest is "any". */
struct rule {
	uint8_t family;
	bool invert;
	uint32_t fwmark; /* 0: any */
	uint32_t table;
	uint32_t suppress_bits; /* routes of this many bits or fewer are passed over */
};

#define SUPPRESS_NONE UINT32_MAX

struct search {
	const struct rule *wanted;
	bool found;
};

/* Attributes that every rule may have, or that we compare. Any other narrows the rule. */
#define FAMILIAR                                                                                \
	(1U << FRA_TABLE | 1U << FRA_FWMARK | 1U << FRA_FWMASK | 1U << FRA_SUPPRESS_PREFIXLEN | \
	 1U << FRA_PRIORITY | 1U << FRA_PROTOCOL)

static int take_rule(const struct nlmsghdr *message, void *arg)
{
	const struct fib_rule_hdr *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attrs[FRA_MAX + 1];
	struct search *search = arg;
	const struct rule *wanted = search->wanted;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*info))
		return 0;
	cv_netlink_attrs(message, sizeof(*info), attrs, FRA_MAX + 1);
	for (unsigned i = 0; i <= FRA_MAX; i++)
		if (attrs[i] && !(FAMILIAR >> i & 1))
			return 0;
	if (message->nlmsg_type == RTM_NEWRULE && info->family == wanted->family &&
	    info->action == FR_ACT_TO_TBL && !info->tos &&
	    !!(info->flags & FIB_RULE_INVERT) == wanted->invert &&
	    cv_netlink_u32(attrs[FRA_TABLE], info->table) == wanted->table &&
	    cv_netlink_u32(attrs[FRA_FWMARK], 0) == wanted->fwmark &&
	    cv_netlink_u32(attrs[FRA_FWMASK], UINT32_MAX) == UINT32_MAX &&
	    cv_netlink_u32(attrs[FRA_SUPPRESS_PREFIXLEN], SUPPRESS_NONE) == wanted->suppress_bits)
		search->found = true;
	return 0;
}

static int find(struct cv_netlink *nl, const struct rule *rule, bool *ret_found)
{
	const struct fib_rule_hdr info = { .family = rule->family };
	struct search search = { .wanted = rule };
	int ret;

	do {
		cv_netlink_begin(nl, RTM_GETRULE, NLM_F_DUMP, &info, sizeof(info));
		ret = cv_netlink_do(nl, take_rule, &search);
	} while (ret == -EINTR);
	if (!ret)
		*ret_found = search.found;
	return ret;
}

static int change(struct cv_netlink *nl, uint16_t type, uint16_t flags, const struct rule *rule)
{
	const struct fib_rule_hdr info = {
		.family = rule->family,
		.table = rule->table < 256 ? (uint8_t)rule->table : RT_TABLE_UNSPEC,
		.action = FR_ACT_TO_TBL,
		.flags = rule->invert ? FIB_RULE_INVERT : 0,
	};
	struct nlmsghdr *message = cv_netlink_begin(nl, type, flags, &info, sizeof(info));

	mnl_attr_put_u32(message, FRA_TABLE, rule->table);
	if (rule->fwmark)
		mnl_attr_put_u32(message, FRA_FWMARK, rule->fwmark);
	if (rule->suppress_bits != SUPPRESS_NONE)
		mnl_attr_put_u32(message, FRA_SUPPRESS_PREFIXLEN, rule->suppress_bits);
	return cv_netlink_do(nl, NULL, NULL);
}

static int add(struct cv_netlink *nl, const struct rule *rule)
{
	bool found;
	int ret = find(nl, rule, &found);

	if (ret)
		return ret;
	return found ? -EEXIST : change(nl, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule);
}

static struct rule not_marked(uint8_t family, uint32_t fwmark, uint32_t table)
{
	return (struct rule){ .family = family,
			      .invert = true,
			      .fwmark = fwmark,
			      .table = table,
			      .suppress_bits = SUPPRESS_NONE };
}

static struct rule main_specifics(uint8_t family)
{
	return (struct rule){ .family = family, .table = RT_TABLE_MAIN, .suppress_bits = 0 };
}

int cv_rule_add_not_marked(struct cv_netlink *nl, uint8_t family, uint32_t fwmark, uint32_t table)
{
	const struct rule rule = not_marked(family, fwmark, table);

	return add(nl, &rule);
}

int cv_rule_delete_not_marked(struct cv_netlink *nl, uint8_t family, uint32_t fwmark,
			      uint32_t table)
{
	const struct rule rule = not_marked(family, fwmark, table);

	return change(nl, RTM_DELRULE, 0, &rule);
}

int cv_rule_add_main_specifics(struct cv_netlink *nl, uint8_t family)
{
	const struct rule rule = main_specifics(family);

	return add(nl, &rule);
}

int cv_rule_delete_main_specifics(struct cv_netlink *nl, uint8_t family)
{
	const struct rule rule = main_specifics(family);

	return change(nl, RTM_DELRULE, 0, &rule);
}
