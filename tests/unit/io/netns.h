/* A network namespace of its own for every test, with nothing in it but a running loopback. */
#pragma once

#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* Exit status of a test that cannot run here (meson: skipped). */
enum { SKIPPED = 77 };

/* Run a command; it must succeed. */
__attribute__((format(printf, 1, 2))) static inline void run(const char *format, ...)
{
	char command[256];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	if (system(command) != 0)
		fail_msg("failed: %s", command);
}

/* Give lo an IPv6 address and wait until the kernel has its route: that comes a moment later. */
static inline void address_add(const char *address, int bits)
{
	run("ip addr add %s/%d dev lo nodad", address, bits);
	run("until ip route get %s | grep -q local; do :; done 2>/dev/null", address);
}

static inline int netns_enter(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd, r;

	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	r = ioctl(fd, SIOCSIFFLAGS, &ifr);
	close(fd);
	return r;
}

/* cmocka's set-up for each test. */
static inline int netns_fresh(void **state)
{
	(void)state;
	return netns_enter();
}

/* Run the tests, or say that they cannot be run without root. */
#define NETNS_MAIN(tests)                                         \
	int main(void)                                            \
	{                                                         \
		if (netns_enter() < 0)                            \
			return SKIPPED;                           \
		return cmocka_run_group_tests(tests, NULL, NULL); \
	}

#define in_netns(test) cmocka_unit_test_setup(test, netns_fresh)
