/* Taking over a TUN that somebody else made, against the kernel's TUN. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <stdalign.h>

#include <convoy/io/tun.h>

#include "netns.h"

enum { MEM_SIZE = 1 << 17, SUPERS = 4 };

static const struct cv_tun_offloads all = { .tso = true, .uso = true };

/* A TUN or TAP as another program makes it: blocking, kept over exec, no offloads. */
static int made_by_another(short flags)
{
	struct ifreq ifr = { .ifr_name = "their%d", .ifr_flags = flags };
	int fd = open("/dev/net/tun", O_RDWR);

	assert_int_equal(ioctl(fd, TUNSETIFF, &ifr), 0);
	return fd;
}

static void takes_over_name_offloads_and_descriptor(void **state)
{
	int fd = made_by_another(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR);
	struct cv_tun tun;

	assert_int_equal(cv_tun_adopt(fd, all, &tun), 0);
	assert_int_equal(tun.fd, fd);
	assert_string_equal(tun.name, "their0");
	assert_true(tun.granted.tso);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	cv_tun_close(&tun);
	assert_int_equal(if_nametoindex("their0"), 0);
}

static void a_queue_of_many_is_taken_over(void **state)
{
	int fd = made_by_another(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE);
	struct cv_tun tun;

	assert_int_equal(cv_tun_adopt(fd, all, &tun), 0);
	cv_tun_close(&tun);
}

/* A UDP datagram of 1 byte to 10.9.0.2. */
static void send_one(void)
{
	struct sockaddr_in there = { .sin_family = AF_INET, .sin_port = htons(5001) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, "10.9.0.2", &there.sin_addr);
	assert_int_equal(sendto(fd, "x", 1, 0, (struct sockaddr *)&there, sizeof(there)), 1);
	close(fd);
}

static void packets_are_framed_as_ours_whatever_the_header_was(void **state)
{
	static alignas(64) uint8_t mem[MEM_SIZE];
	struct cv_super supers[SUPERS];
	struct cv_drops drops = { 0 };
	int fd, size = 12;
	struct cv_tun tun;
	bool empty;

	run("echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
	fd = made_by_another(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR);
	assert_int_equal(ioctl(fd, TUNSETVNETHDRSZ, &size), 0);
	assert_int_equal(cv_tun_adopt(fd, all, &tun), 0);
	run("ip addr add 10.9.0.1/24 dev their0");
	run("ip link set their0 up");
	send_one();
	assert_int_equal(cv_tun_read(&tun, mem, MEM_SIZE, SIZE_MAX, supers, SUPERS, &drops, &empty),
			 1);
	assert_true(empty);
	assert_int_equal(supers[0].len, 20 + 8 + 1);
	assert_int_equal(supers[0].data[0], 0x45);
	cv_tun_close(&tun);
}

static void refuses(int fd, int error)
{
	struct cv_tun tun = { .fd = -7 };
	int flags = fcntl(fd, F_GETFL);

	assert_int_equal(cv_tun_adopt(fd, all, &tun), error);
	assert_int_equal(tun.fd, -7);
	assert_int_equal(fcntl(fd, F_GETFL), flags);
	close(fd);
}

static void what_is_framed_otherwise_is_refused_and_left_alone(void **state)
{
	refuses(made_by_another(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR), -EPROTOTYPE);
	refuses(made_by_another(IFF_TUN | IFF_NO_PI), -EPROTO);
	refuses(made_by_another(IFF_TUN | IFF_VNET_HDR), -EPROTO);
}

static void what_is_no_tun_is_refused(void **state)
{
	int pipes[2], fd = made_by_another(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR);

	assert_int_equal(pipe(pipes), 0);
	refuses(pipes[0], -ENOTTY);
	refuses(pipes[1], -ENOTTY);
	refuses(open("/dev/null", O_RDWR), -ENOTTY);
	refuses(open("/dev/net/tun", O_RDWR), -EBADFD);
	refuses(-1, -EBADF);
	run("ip link del their0");
	refuses(fd, -EBADFD);
}

static const struct CMUnitTest tests[] = {
	in_netns(takes_over_name_offloads_and_descriptor),
	in_netns(a_queue_of_many_is_taken_over),
	in_netns(packets_are_framed_as_ours_whatever_the_header_was),
	in_netns(what_is_framed_otherwise_is_refused_and_left_alone),
	in_netns(what_is_no_tun_is_refused),
};

NETNS_MAIN(tests)
