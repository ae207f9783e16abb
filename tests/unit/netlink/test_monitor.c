/* News of links: what the kernel tells, in which order, and what is said when some are lost. */
#include <sys/socket.h>

#include "ns.h"

static struct cv_link_monitor *monitor;

/* The last news of cva, and how many there were. */
struct heard {
	struct cv_link last;
	int count, deleted;
};

static void listen_to_a(const struct cv_link *link, void *owner)
{
	struct heard *heard = owner;

	if (link->ifindex != tun_a)
		return;
	heard->last = *link;
	heard->count++;
	heard->deleted += link->deleted;
}

static int enter_listening(void **state)
{
	return enter(state) || cv_link_monitor_open(&monitor);
}

static int leave_listening(void **state)
{
	cv_link_monitor_close(monitor);
	return leave(state);
}

static struct heard hear(struct cv_link_monitor *from)
{
	struct heard heard = { 0 };

	assert_true(cv_link_monitor_read(from, listen_to_a, &heard) >= 0);
	return heard;
}

static void quiet_monitor_does_not_block(void **state)
{
	struct heard heard = { 0 };

	assert_int_equal(cv_link_monitor_read(monitor, listen_to_a, &heard), 0);
	assert_int_equal(heard.count, 0);
}

static void up_down_and_mtu_are_heard(void **state)
{
	struct heard heard;

	assert_int_equal(cv_link_set_up(nl, tun_a, true), 0);
	heard = hear(monitor);
	assert_true(heard.count > 0);
	assert_true(heard.last.up);
	assert_true(heard.last.flags & IFF_UP);
	assert_string_equal(heard.last.name, "cva");
	assert_int_equal(cv_link_set_mtu(nl, tun_a, 1280), 0);
	heard = hear(monitor);
	assert_int_equal(heard.last.mtu, 1280);
	assert_true(heard.last.up);
	assert_int_equal(cv_link_set_up(nl, tun_a, false), 0);
	heard = hear(monitor);
	assert_true(heard.count > 0);
	assert_false(heard.last.up);
	assert_int_equal(heard.deleted, 0);
}

static void running_is_heard_when_the_carrier_comes_and_goes(void **state)
{
	struct pollfd fd = { .fd = cv_link_monitor_fd(monitor), .events = POLLIN };
	struct heard heard = { 0 };

	assert_int_equal(cv_link_set_up(nl, tun_a, true), 0);
	/* The kernel reports the carrier in its own time. */
	while (!heard.last.running) {
		assert_int_equal(poll(&fd, 1, 20000), 1);
		heard = hear(monitor);
	}
	assert_int_equal(ioctl(fd_a, TUNSETCARRIER, &(int){ 0 }), 0);
	while (heard.last.running) {
		assert_int_equal(poll(&fd, 1, 20000), 1);
		heard = hear(monitor);
	}
	assert_true(heard.last.up);
}

static void deletion_is_heard(void **state)
{
	struct heard heard;

	assert_int_equal(cv_link_delete(nl, tun_a), 0);
	heard = hear(monitor);
	assert_int_equal(heard.deleted, 1);
	assert_true(heard.last.deleted);
	assert_string_equal(heard.last.name, "cva");
}

static void leaving_a_bridge_is_no_deletion(void **state)
{
	output("ip link add cvv type veth peer name cvw && ip link add cvbr type bridge");
	assert_int_equal(cv_link_get(nl, "cvv", &(struct cv_link){ 0 }), 0);
	tun_a = if_nametoindex("cvv");
	output("ip link set cvv master cvbr && ip link set cvv nomaster");
	assert_int_equal(hear(monitor).deleted, 0);
}

static int other_netns(void)
{
	int home = current_netns(), away;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	away = current_netns();
	assert_int_equal(setns(home, CLONE_NEWNET), 0);
	close(home);
	return away;
}

static void moved_tun_is_followed_into_its_namespace(void **state)
{
	int home = current_netns(), away = other_netns(), found;
	struct cv_netlink *there;
	struct cv_link link;
	struct heard heard;
	char command[100];

	found = cv_tun_netns(fd_a);
	assert_true(found >= 0);
	assert_int_equal(inode(found), inode(home));
	close(found);

	snprintf(command, sizeof(command), "ip link set cva netns /proc/%d/fd/%d", getpid(), away);
	output(command);
	heard = hear(monitor);
	assert_true(heard.last.deleted);
	found = cv_tun_netns(fd_a);
	assert_true(found >= 0);
	assert_int_equal(inode(found), inode(away));

	assert_int_equal(cv_netlink_open_in(found, &there), 0);
	assert_int_equal(cv_link_get(there, "cva", &link), 0);
	assert_false(link.up);
	cv_netlink_close(there);
	close(found);
	close(away);
	close(home);
}

static void overrun_is_told_and_news_go_on(void **state)
{
	struct heard heard = { 0 };
	int small = 1, fd = cv_link_monitor_fd(monitor);

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	for (uint32_t i = 0; i < 200; i++)
		assert_int_equal(cv_link_set_mtu(nl, tun_a, 1300 + i), 0);
	assert_int_equal(cv_link_monitor_read(monitor, listen_to_a, &heard), -ENOBUFS);
	assert_int_equal(cv_link_monitor_read(monitor, listen_to_a, &heard), 0);
	assert_int_equal(cv_link_set_mtu(nl, tun_a, 1280), 0);
	assert_int_equal(hear(monitor).last.mtu, 1280);
}

#undef CASE
#define CASE(name) cmocka_unit_test_setup_teardown(name, enter_listening, leave_listening)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(quiet_monitor_does_not_block),
		CASE(up_down_and_mtu_are_heard),
		CASE(running_is_heard_when_the_carrier_comes_and_goes),
		CASE(deletion_is_heard),
		CASE(leaving_a_bridge_is_no_deletion),
		CASE(moved_tun_is_followed_into_its_namespace),
		CASE(overrun_is_told_and_news_go_on),
	};

	return is_able() ? cmocka_run_group_tests_name("netlink/monitor", tests, NULL, NULL)
			 : SKIPPED;
}
