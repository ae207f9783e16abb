/* Routing tables and rules, asked for their effect. */
#include <sys/socket.h>

#include "ns.h"

enum { MAIN = 254, OURS = 51820 };

static struct cv_addr addr(const char *text)
{
	struct cv_addr parsed;

	assert_int_equal(cv_addr_parse(text, &parsed), 0);
	return parsed;
}

static struct cv_hop lookup(const char *to, uint32_t fwmark)
{
	struct cv_addr parsed = addr(to);
	struct cv_hop hop;

	assert_int_equal(cv_fib_lookup(nl, &parsed, fwmark, &hop), 0);
	return hop;
}

/* cva holds 10.77.0.2/24 and fd77::2/64, cvb nothing; both are up. */
static int enter_routed(void **state)
{
	const struct cv_prefix v4 = { addr("10.77.0.2"), 24 }, v6 = { addr("fd77::2"), 64 };

	return enter(state) || cv_link_set_mtu(nl, tun_a, 1420) ||
	       cv_link_set_up(nl, tun_a, true) || cv_link_set_up(nl, tun_b, true) ||
	       cv_link_add_addr(nl, tun_a, &v4) != 1 || cv_link_add_addr(nl, tun_a, &v6) != 1;
}

static void second_route_is_eexist_and_deleting_twice_esrch(void **state)
{
	const char *texts[] = { "192.0.2.0/24", "0.0.0.0/0", "2001:db8::/32", "::/0" };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		const struct cv_prefix to = prefix(texts[i]);

		for (uint32_t table = MAIN; table <= OURS; table += OURS - MAIN) {
			assert_int_equal(cv_fib_add(nl, &to, tun_a, table), 0);
			assert_int_equal(cv_fib_add(nl, &to, tun_a, table), -EEXIST);
			assert_int_equal(cv_fib_delete(nl, &to, tun_a, table), 0);
			assert_int_equal(cv_fib_delete(nl, &to, tun_a, table), -ESRCH);
		}
	}
}

static void route_is_as_ip_would_make_it(void **state)
{
	const struct cv_prefix v4 = prefix("192.0.2.0/24"), v6 = prefix("2001:db8::/32");

	assert_int_equal(cv_fib_add(nl, &v4, tun_b, MAIN), 0);
	assert_int_equal(cv_fib_add(nl, &v6, tun_b, MAIN), 0);
	assert_shows("ip route", "192.0.2.0/24 dev cvb scope link");
	assert_shows("ip -6 route", "2001:db8::/32 dev cvb metric 1024");
	/* The tool can undo what we did. */
	output("ip route del 192.0.2.0/24 dev cvb && ip -6 route del 2001:db8::/32 dev cvb");
	assert_int_equal(cv_fib_delete(nl, &v4, tun_b, MAIN), -ESRCH);
}

static void host_bits_of_a_route_are_ignored(void **state)
{
	const struct cv_prefix v4 = prefix("192.0.2.77/24"), v6 = prefix("2001:db8::77/32");

	assert_int_equal(cv_fib_add(nl, &v4, tun_b, MAIN), 0);
	assert_int_equal(cv_fib_add(nl, &v6, tun_b, MAIN), 0);
	assert_int_equal(lookup("192.0.2.1", 0).ifindex, tun_b);
	assert_int_equal(lookup("2001:db8:1::", 0).ifindex, tun_b);
	assert_int_equal(cv_fib_delete(nl, &v4, tun_b, MAIN), 0);
	assert_int_equal(cv_fib_delete(nl, &v6, tun_b, MAIN), 0);
}

static void route_is_deleted_only_from_its_link_and_table(void **state)
{
	const struct cv_prefix to = prefix("192.0.2.0/24");

	assert_int_equal(cv_fib_add(nl, &to, tun_a, MAIN), 0);
	assert_int_equal(cv_fib_add(nl, &to, tun_b, MAIN), -EEXIST);
	assert_int_equal(cv_fib_delete(nl, &to, tun_b, MAIN), -ESRCH);
	assert_int_equal(cv_fib_delete(nl, &to, tun_a, OURS), -ESRCH);
	assert_int_equal(lookup("192.0.2.1", 0).ifindex, tun_a);
}

static void lookup_tells_link_source_and_mtu_of_the_link(void **state)
{
	const struct cv_addr v4 = addr("10.77.0.2"), v6 = addr("fd77::2");
	struct cv_hop hop = lookup("10.77.0.9", 0);

	assert_int_equal(hop.ifindex, tun_a);
	assert_int_equal(hop.mtu, 1420);
	assert_true(cv_addr_equal(&hop.source, &v4));
	hop = lookup("fd77::9", 0);
	assert_int_equal(hop.ifindex, tun_a);
	assert_int_equal(hop.mtu, 1420);
	assert_true(cv_addr_equal(&hop.source, &v6));
}

static void lookup_prefers_the_mtu_of_the_route(void **state)
{
	output("ip route add 192.0.2.0/24 dev cva mtu 1300 && ip -6 route add 2001:db8::/32 dev cva "
	       "mtu 1310");
	assert_int_equal(lookup("192.0.2.1", 0).mtu, 1300);
	assert_int_equal(lookup("2001:db8::1", 0).mtu, 1310);
}

static void lookup_without_a_way_is_enetunreach(void **state)
{
	const char *texts[] = { "192.0.2.1", "2001:db8::1" };
	const char *kinds[] = { "unreachable", "blackhole", "prohibit" };
	struct cv_hop hop = { .mtu = 7 };
	char command[200];

	for (size_t i = 0; i < 2; i++) {
		struct cv_addr to = addr(texts[i]);

		assert_int_equal(cv_fib_lookup(nl, &to, 0, &hop), -ENETUNREACH);
		for (size_t k = 0; k < 3; k++) {
			snprintf(command, sizeof(command), "ip -%s route replace %s %s",
				 i ? "6" : "4", kinds[k], texts[i]);
			output(command);
			assert_int_equal(cv_fib_lookup(nl, &to, 0, &hop), -ENETUNREACH);
		}
	}
	assert_int_equal(hop.mtu, 7);
}

static void table_is_empty_until_it_has_a_route_of_the_family(void **state)
{
	const struct cv_prefix v4 = prefix("192.0.2.0/24"), v6 = prefix("2001:db8::/32");

	assert_int_equal(cv_fib_is_empty(nl, AF_INET, OURS), 1);
	assert_int_equal(cv_fib_is_empty(nl, AF_INET6, OURS), 1);
	assert_int_equal(cv_fib_is_empty(nl, AF_INET, MAIN), 0);
	assert_int_equal(cv_fib_is_empty(nl, AF_INET6, MAIN), 0);
	assert_int_equal(cv_fib_add(nl, &v4, tun_b, OURS), 0);
	assert_int_equal(cv_fib_is_empty(nl, AF_INET, OURS), 0);
	assert_int_equal(cv_fib_is_empty(nl, AF_INET6, OURS), 1);
	assert_int_equal(cv_fib_is_empty(nl, AF_INET, OURS + 1), 1);
	assert_int_equal(cv_fib_add(nl, &v6, tun_b, OURS), 0);
	assert_int_equal(cv_fib_is_empty(nl, AF_INET6, OURS), 0);
	assert_int_equal(cv_fib_delete(nl, &v4, tun_b, OURS), 0);
	assert_int_equal(cv_fib_delete(nl, &v6, tun_b, OURS), 0);
	assert_int_equal(cv_fib_is_empty(nl, AF_INET, OURS), 1);
	assert_int_equal(cv_fib_is_empty(nl, AF_INET6, OURS), 1);
}

static void large_table_is_read_to_its_end(void **state)
{
	char text[32];

	for (int i = 0; i < 2000; i++) {
		struct cv_prefix to;

		snprintf(text, sizeof(text), "172.16.%d.%d/32", i / 250, i % 250);
		to = prefix(text);
		assert_int_equal(cv_fib_add(nl, &to, tun_b, OURS), 0);
	}
	assert_int_equal(cv_fib_is_empty(nl, AF_INET, OURS), 0);
	assert_int_equal(lookup("10.77.0.9", 0).ifindex, tun_a);
}

/* wg-quick's arrangement: the world through cvb, our own marked packets through cva. */
static void rules_part_marked_from_unmarked(const char *everywhere, const char *specific,
					    const char *far, const char *near)
{
	const struct cv_prefix all = prefix(everywhere), some = prefix(specific);
	uint8_t family = all.addr.family;

	assert_int_equal(cv_fib_add(nl, &all, tun_a, MAIN), 0);
	assert_int_equal(cv_fib_add(nl, &some, tun_a, MAIN), 0);
	assert_int_equal(cv_fib_add(nl, &all, tun_b, OURS), 0);
	assert_int_equal(lookup(far, 0).ifindex, tun_a);

	assert_int_equal(cv_rule_add_not_marked(nl, family, OURS, OURS), 0);
	assert_int_equal(cv_rule_add_not_marked(nl, family, OURS, OURS), -EEXIST);
	assert_int_equal(lookup(far, 0).ifindex, tun_b);
	assert_int_equal(lookup(far, OURS).ifindex, tun_a);
	assert_int_equal(lookup(far, OURS + 1).ifindex, tun_b);
	assert_int_equal(lookup(near, 0).ifindex, tun_b);

	assert_int_equal(cv_rule_add_main_specifics(nl, family), 0);
	assert_int_equal(cv_rule_add_main_specifics(nl, family), -EEXIST);
	assert_int_equal(lookup(near, 0).ifindex, tun_a);
	assert_int_equal(lookup(far, 0).ifindex, tun_b);

	assert_int_equal(cv_rule_delete_main_specifics(nl, family), 0);
	assert_int_equal(cv_rule_delete_main_specifics(nl, family), -ENOENT);
	assert_int_equal(lookup(near, 0).ifindex, tun_b);
	assert_int_equal(cv_rule_delete_not_marked(nl, family, OURS + 1, OURS), -ENOENT);
	assert_int_equal(cv_rule_delete_not_marked(nl, family, OURS, OURS), 0);
	assert_int_equal(cv_rule_delete_not_marked(nl, family, OURS, OURS), -ENOENT);
	assert_int_equal(lookup(far, 0).ifindex, tun_a);
}

static void rules_of_ipv4_part_marked_from_unmarked(void **state)
{
	rules_part_marked_from_unmarked("0.0.0.0/0", "198.51.100.0/24", "192.0.2.1",
					"198.51.100.1");
	assert_shows("ip rule", "32766:\tfrom all lookup main");
}

static void rules_of_ipv6_part_marked_from_unmarked(void **state)
{
	rules_part_marked_from_unmarked("::/0", "2001:db8:1::/48", "2001:db8:2::1",
					"2001:db8:1::1");
	assert_shows("ip -6 rule", "32766:\tfrom all lookup main");
}

static void rules_read_as_those_of_wg_quick(void **state)
{
	assert_int_equal(cv_rule_add_not_marked(nl, AF_INET, OURS, OURS), 0);
	assert_int_equal(cv_rule_add_main_specifics(nl, AF_INET), 0);
	assert_shows("ip rule", "32764:\tfrom all lookup main suppress_prefixlength 0");
	assert_shows("ip rule", "32765:\tnot from all fwmark 0xca6c lookup 51820");
	output("ip rule del table 51820 && ip rule del table main suppress_prefixlength 0");
}

static void narrower_rule_is_not_the_same_rule(void **state)
{
	output("ip rule add not fwmark 51820 table 51820 uidrange 5-6");
	output("ip rule add not fwmark 51820/0xffff table 51820");
	output("ip rule add not from 10.0.0.0/8 fwmark 51820 table 51820");
	output("ip rule add fwmark 51820 table 51820");
	output("ip rule add table main suppress_prefixlength 1");
	output("ip rule add iif lo table main suppress_prefixlength 0");
	assert_int_equal(cv_rule_add_not_marked(nl, AF_INET, OURS, OURS), 0);
	assert_int_equal(cv_rule_add_main_specifics(nl, AF_INET), 0);
}

#undef CASE
#define CASE(name) cmocka_unit_test_setup_teardown(name, enter_routed, leave)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(second_route_is_eexist_and_deleting_twice_esrch),
		CASE(route_is_as_ip_would_make_it),
		CASE(host_bits_of_a_route_are_ignored),
		CASE(route_is_deleted_only_from_its_link_and_table),
		CASE(lookup_tells_link_source_and_mtu_of_the_link),
		CASE(lookup_prefers_the_mtu_of_the_route),
		CASE(lookup_without_a_way_is_enetunreach),
		CASE(table_is_empty_until_it_has_a_route_of_the_family),
		CASE(large_table_is_read_to_its_end),
		CASE(rules_of_ipv4_part_marked_from_unmarked),
		CASE(rules_of_ipv6_part_marked_from_unmarked),
		CASE(rules_read_as_those_of_wg_quick),
		CASE(narrower_rule_is_not_the_same_rule),
	};

	return is_able() ? cmocka_run_group_tests_name("netlink/fib", tests, NULL, NULL) : SKIPPED;
}
