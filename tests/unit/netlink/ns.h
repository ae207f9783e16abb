/* What the tests of netlink share: a network namespace of their own, TUNs in it, and ip(8). */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* cmocka.h needs what stands above it. */
#include <cmocka.h>

#include <convoy/netlink/netlink.h>

enum { SKIPPED = 77 };

static struct cv_netlink *nl;
static uint32_t tun_a, tun_b; /* ifindexes of cva and cvb */
static int fd_a = -1, fd_b = -1;

static inline int open_tun(const char *name, uint32_t *ret_ifindex)
{
	struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	struct cv_link link;
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	strcpy(ifr.ifr_name, name);
	assert_int_equal(ioctl(fd, TUNSETIFF, &ifr), 0);
	assert_int_equal(cv_link_get(nl, name, &link), 0);
	*ret_ifindex = link.ifindex;
	return fd;
}

/* A fresh namespace with two TUNs for each case; the old one dies with its last user. */
static inline int enter(void **state)
{
	if (unshare(CLONE_NEWNET) || cv_netlink_open(&nl))
		return -1;
	fd_a = open_tun("cva", &tun_a);
	fd_b = open_tun("cvb", &tun_b);
	return 0;
}

static inline int leave(void **state)
{
	close(fd_a);
	close(fd_b);
	cv_netlink_close(nl);
	return 0;
}

/* Whether the tests may make namespaces and TUNs at all. */
static inline bool is_able(void)
{
	return !unshare(CLONE_NEWNET) && !access("/dev/net/tun", R_OK | W_OK) &&
	       !access("/proc/net/if_inet6", R_OK);
}

/* What a command prints. */
static inline const char *output(const char *command)
{
	static char text[16384];
	FILE *stream = popen(command, "r");
	size_t n;

	assert_non_null(stream);
	n = fread(text, 1, sizeof(text) - 1, stream);
	text[n] = 0;
	assert_int_equal(pclose(stream), 0);
	return text;
}

#define assert_shows(command, text) assert_non_null(strstr(output(command), text))
#define assert_hides(command, text) assert_null(strstr(output(command), text))

static inline struct cv_prefix prefix(const char *text)
{
	struct cv_prefix parsed;

	assert_int_equal(cv_prefix_parse(text, &parsed), 0);
	return parsed;
}

static inline ino_t inode(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

static inline int current_netns(void)
{
	int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, enter, leave)
