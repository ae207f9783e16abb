/* Links and addresses, read back by ourselves and by ip(8). */
#include "ns.h"

static void link_is_found_by_name_and_by_index(void **state)
{
	struct cv_link by_name, by_index;

	assert_int_equal(cv_link_get(nl, "cva", &by_name), 0);
	assert_int_equal(cv_link_get_by_index(nl, tun_a, &by_index), 0);
	assert_memory_equal(&by_name, &by_index, sizeof(by_name));
	assert_string_equal(by_index.name, "cva");
	assert_int_equal(by_index.ifindex, if_nametoindex("cva"));
	assert_int_equal(by_index.mtu, 1500);
	assert_false(by_index.up);
	assert_false(by_index.running);
	assert_false(by_index.deleted);
	assert_true(by_index.flags & IFF_POINTOPOINT);
}

static void absent_link_is_enodev_and_leaves_the_output_alone(void **state)
{
	struct cv_link link = { .mtu = 7 };

	assert_int_equal(cv_link_get(nl, "cvz", &link), -ENODEV);
	assert_int_equal(cv_link_get(nl, "", &link), -ENODEV);
	assert_int_equal(cv_link_get(nl, "a-name-that-is-too-long", &link), -ENODEV);
	assert_int_equal(cv_link_get_by_index(nl, 4711, &link), -ENODEV);
	assert_int_equal(cv_link_set_mtu(nl, 4711, 1420), -ENODEV);
	assert_int_equal(cv_link_set_up(nl, 4711, true), -ENODEV);
	assert_int_equal(link.mtu, 7);
}

static void mtu_and_up_and_down_take_effect(void **state)
{
	struct cv_link link;

	assert_int_equal(cv_link_set_mtu(nl, tun_a, 1420), 0);
	assert_int_equal(cv_link_set_up(nl, tun_a, true), 0);
	assert_int_equal(cv_link_set_up(nl, tun_a, true), 0);
	assert_int_equal(cv_link_get_by_index(nl, tun_a, &link), 0);
	assert_int_equal(link.mtu, 1420);
	assert_true(link.up);
	assert_int_equal(cv_link_set_up(nl, tun_a, false), 0);
	assert_int_equal(cv_link_get_by_index(nl, tun_a, &link), 0);
	assert_false(link.up);
	assert_false(link.running);
	/* The other one was left alone. */
	assert_int_equal(cv_link_get_by_index(nl, tun_b, &link), 0);
	assert_int_equal(link.mtu, 1500);
}

static void refusal_carries_the_words_of_the_kernel(void **state)
{
	assert_string_equal(cv_netlink_error(nl), "");
	assert_int_equal(cv_link_set_mtu(nl, tun_a, 10 * 1000 * 1000), -EINVAL);
	assert_non_null(strstr(cv_netlink_error(nl), "mtu greater than device maximum"));
	assert_int_equal(cv_link_set_mtu(nl, tun_a, 1400), 0);
	assert_string_equal(cv_netlink_error(nl), "");
}

static void gso_limits_and_queue_length_take_effect(void **state)
{
	assert_int_equal(cv_link_set_gso(nl, tun_a, 45, 0), 0);
	assert_shows("ip -d link show cva", "gso_max_segs 45 ");
	assert_shows("ip -d link show cva", "gso_max_size 65536 ");
	assert_int_equal(cv_link_set_gso(nl, tun_a, 0, 60000), 0);
	assert_shows("ip -d link show cva", "gso_max_segs 45 ");
	assert_shows("ip -d link show cva", "gso_max_size 60000 ");
	assert_int_equal(cv_link_set_queue_len(nl, tun_a, 123), 0);
	assert_shows("ip link show cva", "qlen 123\n");
}

static void quiet_link_gets_no_address_of_the_kernels(void **state)
{
	assert_int_equal(cv_link_set_quiet(nl, tun_a), 0);
	assert_shows("ip -d link show cva", "addrgenmode none ");
	assert_int_equal(cv_link_set_up(nl, tun_a, true), 0);
	assert_shows("ip -6 addr show cva | wc -l", "0\n");
}

static void deleted_link_is_gone(void **state)
{
	struct cv_link link;

	assert_int_equal(cv_link_delete(nl, tun_a), 0);
	assert_int_equal(cv_link_get_by_index(nl, tun_a, &link), -ENODEV);
	assert_int_equal(cv_link_delete(nl, tun_a), -ENODEV);
	assert_int_equal(cv_tun_netns(fd_a), -EBADFD);
}

static void address_is_ours_only_the_first_time(void **state)
{
	const struct cv_prefix v4 = prefix("10.77.0.2/24"), v6 = prefix("fd77::2/64");

	assert_int_equal(cv_link_set_up(nl, tun_a, true), 0);
	assert_int_equal(cv_link_add_addr(nl, tun_a, &v4), 1);
	assert_int_equal(cv_link_add_addr(nl, tun_a, &v4), 0);
	assert_int_equal(cv_link_add_addr(nl, tun_a, &v6), 1);
	assert_int_equal(cv_link_add_addr(nl, tun_a, &v6), 0);
	assert_shows("ip addr show cva", "inet 10.77.0.2/24 scope global cva");
	assert_shows("ip addr show cva", "inet6 fd77::2/64 scope global nodad");
	assert_int_equal(cv_link_delete_addr(nl, tun_a, &v4), 0);
	assert_int_equal(cv_link_delete_addr(nl, tun_a, &v6), 0);
	assert_hides("ip addr show cva", "10.77.0.2");
	assert_hides("ip addr show cva", "fd77::2");
	assert_int_equal(cv_link_delete_addr(nl, tun_a, &v4), -EADDRNOTAVAIL);
	assert_int_equal(cv_link_delete_addr(nl, tun_a, &v6), -EADDRNOTAVAIL);
}

static void several_addresses_of_a_network_live_side_by_side(void **state)
{
	const char *texts[] = { "10.77.0.2/24", "10.77.0.3/24", "10.78.0.1/32", "fd77::1/128" };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		const struct cv_prefix each = prefix(texts[i]);

		assert_int_equal(cv_link_add_addr(nl, tun_a, &each), 1);
		assert_int_equal(cv_link_add_addr(nl, tun_b, &each), 1);
	}
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_shows("ip addr show cvb", texts[i]);
}

/* A namespace beside ours; the caller of this stays in its own. */
static int other_netns(void)
{
	int home = current_netns(), away;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	away = current_netns();
	assert_int_equal(setns(home, CLONE_NEWNET), 0);
	close(home);
	return away;
}

static void run_in(int netns, const char *command)
{
	int home = current_netns();

	assert_int_equal(setns(netns, CLONE_NEWNET), 0);
	output(command);
	assert_int_equal(setns(home, CLONE_NEWNET), 0);
	close(home);
}

static void other_namespace_is_looked_into_without_going_there(void **state)
{
	int away = other_netns();
	struct cv_netlink *there, *again;
	struct cv_link link;

	assert_int_equal(cv_netlink_open_in(away, &there), 0);
	assert_int_equal(cv_netlink_open_in(away, &again), 0);
	assert_int_equal(cv_link_get(there, "cva", &link), -ENODEV);
	run_in(away, "ip link set lo up mtu 12345");
	assert_int_equal(cv_link_get(there, "lo", &link), 0);
	assert_true(link.up);
	assert_int_equal(link.mtu, 12345);
	assert_int_equal(cv_link_get_by_index(again, link.ifindex, &link), 0);
	assert_int_equal(link.mtu, 12345);
	assert_int_equal(cv_link_get(nl, "lo", &link), 0);
	assert_false(link.up);
	cv_netlink_close(there);
	cv_netlink_close(again);
	close(away);
}

static void nothing_is_changed_in_another_namespace_nor_here_instead(void **state)
{
	const struct cv_prefix address = prefix("10.77.0.2/24");
	int away = other_netns();
	struct cv_netlink *there;
	struct cv_link link;

	assert_int_equal(cv_netlink_open_in(away, &there), 0);
	assert_int_equal(cv_link_get(there, "lo", &link), 0);
	assert_int_equal(cv_link_set_up(there, link.ifindex, true), -EOPNOTSUPP);
	assert_int_equal(cv_link_set_mtu(there, link.ifindex, 1400), -EOPNOTSUPP);
	assert_int_equal(cv_link_add_addr(there, tun_a, &address), -EOPNOTSUPP);
	assert_int_equal(cv_fib_is_empty(there, AF_INET, 254), -EOPNOTSUPP);
	assert_int_equal(cv_link_get(nl, "lo", &link), 0);
	assert_false(link.up);
	assert_hides("ip addr show cva", "10.77.0.2");
	cv_netlink_close(there);
	close(away);
}

static void what_is_no_namespace_is_refused(void **state)
{
	struct cv_netlink *there;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_int_equal(cv_netlink_open_in(fd, &there), -EINVAL);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(link_is_found_by_name_and_by_index),
		CASE(absent_link_is_enodev_and_leaves_the_output_alone),
		CASE(mtu_and_up_and_down_take_effect),
		CASE(refusal_carries_the_words_of_the_kernel),
		CASE(gso_limits_and_queue_length_take_effect),
		CASE(quiet_link_gets_no_address_of_the_kernels),
		CASE(deleted_link_is_gone),
		CASE(address_is_ours_only_the_first_time),
		CASE(several_addresses_of_a_network_live_side_by_side),
		CASE(other_namespace_is_looked_into_without_going_there),
		CASE(nothing_is_changed_in_another_namespace_nor_here_instead),
		CASE(what_is_no_namespace_is_refused),
	};

	return is_able() ? cmocka_run_group_tests_name("netlink/link", tests, NULL, NULL) : SKIPPED;
}
