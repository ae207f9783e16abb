/* Opening the UDP edge: ports, sharing, options and marks, against the kernel. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/udp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "trains.h"

static const struct cv_udp_options wishes = { .gso = true, .gro = true, .buffer_size = 4 << 20 };

static int option(int fd, int level, int name)
{
	socklen_t len = sizeof(int);
	int value = -1;

	assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in6 addr;
	socklen_t len = sizeof(addr);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	return ntohs(addr.sin6_port);
}

/* Somebody else's socket on a port, of one family only. */
static int stranger(int family, uint16_t port)
{
	struct sockaddr_in6 addr = { .sin6_family = (sa_family_t)family, .sin6_port = htons(port) };
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0), yes = 1;

	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes));
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static void both_families_have_one_port(void **state)
{
	struct cv_udp_options options = wishes;
	struct cv_udp udp;

	assert_int_equal(cv_udp_open(&options, &udp), 0);
	assert_int_not_equal(udp.port, 0);
	assert_int_equal(port_of(udp.fd4), udp.port);
	assert_int_equal(port_of(udp.fd6), udp.port);
	cv_udp_close(&udp);
	options.port = 51820;
	assert_int_equal(cv_udp_open(&options, &udp), 0);
	assert_int_equal(udp.port, 51820);
	assert_int_equal(port_of(udp.fd4), 51820);
	assert_int_equal(port_of(udp.fd6), 51820);
	cv_udp_close(&udp);
	cv_udp_close(&udp);
}

static void a_port_taken_in_either_family_is_in_use(void **state)
{
	struct cv_udp_options options = { .port = 51820 };
	struct cv_udp udp = { .fd4 = -7 };
	int fd = stranger(AF_INET, 51820);

	assert_int_equal(cv_udp_open(&options, &udp), -EADDRINUSE);
	close(fd);
	fd = stranger(AF_INET6, 51820);
	assert_int_equal(cv_udp_open(&options, &udp), -EADDRINUSE);
	options.reuseport = true;
	assert_int_equal(cv_udp_open(&options, &udp), -EADDRINUSE);
	assert_int_equal(udp.fd4, -7);
	close(fd);
	assert_int_equal(cv_udp_open(&options, &udp), 0);
	cv_udp_close(&udp);
}

/* Of three ports in all two are taken in IPv6: a hundred tries miss the third one time in 10^17,
 * one try finds it ten times in a row one time in 10^4. */
static void a_random_port_is_tried_until_ipv6_has_it_too(void **state)
{
	struct cv_udp_options options = { .port = 0 };
	int taken[2] = { stranger(AF_INET6, 40000), stranger(AF_INET6, 40002) };
	struct cv_udp udp, second;

	run("echo 40000 40002 > /proc/sys/net/ipv4/ip_local_port_range");
	for (int i = 0; i < 10; i++) {
		assert_int_equal(cv_udp_open(&options, &udp), 0);
		assert_int_equal(udp.port, 40001);
		assert_int_equal(cv_udp_open(&options, &second), -EADDRINUSE);
		if (i < 9)
			cv_udp_close(&udp);
	}
	/* A random port is nobody else's, whatever it will be shared with. */
	options.reuseport = true;
	assert_int_equal(cv_udp_open(&options, &second), -EADDRINUSE);
	cv_udp_close(&udp);
	assert_int_equal(cv_udp_open(&options, &udp), 0);
	assert_int_equal(cv_udp_open(&options, &second), -EADDRINUSE);
	cv_udp_close(&udp);
	close(taken[0]);
	close(taken[1]);
}

static void workers_share_a_port_and_strangers_do_not(void **state)
{
	struct cv_udp_options options = { .reuseport = true };
	struct cv_udp first, second, third;

	assert_int_equal(cv_udp_open(&options, &first), 0);
	options.port = first.port;
	assert_int_equal(cv_udp_open(&options, &second), 0);
	assert_int_equal(second.port, first.port);
	options.exclusive = true;
	assert_int_equal(cv_udp_open(&options, &third), -EADDRINUSE);
	options = (struct cv_udp_options){ .port = first.port };
	assert_int_equal(cv_udp_open(&options, &third), -EADDRINUSE);
	cv_udp_close(&first);
	cv_udp_close(&second);
	options = (struct cv_udp_options){ .port = 51820, .reuseport = true, .exclusive = true };
	assert_int_equal(cv_udp_open(&options, &first), 0);
	options.exclusive = false;
	assert_int_equal(cv_udp_open(&options, &second), 0);
	cv_udp_close(&first);
	cv_udp_close(&second);
}

/* Each flow belongs to one of the sockets by its hash: 64 flows on one is one in 2^63. */
static void flows_spread_over_the_workers(void **state)
{
	struct cv_udp_options options = { .reuseport = true };
	struct cv_udp workers[2];
	struct sockaddr_in to = { .sin_family = AF_INET };
	int got[2] = { 0, 0 };
	char byte;

	assert_int_equal(cv_udp_open(&options, &workers[0]), 0);
	options.port = workers[0].port;
	assert_int_equal(cv_udp_open(&options, &workers[1]), 0);
	to.sin_port = htons(options.port);
	inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
	for (int i = 0; i < 64; i++) {
		int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

		assert_int_equal(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)), 1);
		close(fd);
	}
	while (got[0] + got[1] < 64) {
		struct pollfd wait[2] = { { workers[0].fd4, POLLIN, 0 },
					  { workers[1].fd4, POLLIN, 0 } };

		assert_true(poll(wait, 2, 10000) > 0);
		for (int i = 0; i < 2; i++)
			got[i] += recv(workers[i].fd4, &byte, 1, 0) == 1;
	}
	assert_true(got[0] > 0 && got[1] > 0);
	cv_udp_close(&workers[0]);
	cv_udp_close(&workers[1]);
}

static void sockets_have_the_options_of_the_contract(void **state)
{
	struct cv_udp_options options = wishes;
	struct cv_udp udp;

	options.fwmark = 0xca6c0001;
	assert_int_equal(cv_udp_open(&options, &udp), 0);
	assert_true(udp.gso && udp.gro && udp.buffers_forced);
	for (int i = 0; i < 2; i++) {
		int fd = i == 0 ? udp.fd4 : udp.fd6;

		assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		assert_int_equal((uint32_t)option(fd, SOL_SOCKET, SO_MARK), 0xca6c0001);
		/* The kernel doubles what it is asked for. */
		assert_int_equal(option(fd, SOL_SOCKET, SO_RCVBUF), 8 << 20);
		assert_int_equal(option(fd, SOL_SOCKET, SO_SNDBUF), 8 << 20);
		assert_int_equal(option(fd, SOL_UDP, UDP_GRO), 1);
		assert_int_equal(option(fd, SOL_SOCKET, SO_REUSEPORT), 0);
	}
	assert_int_equal(option(udp.fd4, IPPROTO_IP, IP_MTU_DISCOVER), IP_PMTUDISC_OMIT);
	assert_int_equal(option(udp.fd6, IPPROTO_IPV6, IPV6_MTU_DISCOVER), IPV6_PMTUDISC_DONT);
	assert_int_equal(option(udp.fd6, IPPROTO_IPV6, IPV6_V6ONLY), 1);
	cv_udp_close(&udp);
}

static void what_is_not_wanted_stays_off(void **state)
{
	struct cv_udp_options options = { 0 };
	struct cv_udp udp;

	assert_int_equal(cv_udp_open(&options, &udp), 0);
	assert_false(udp.gso || udp.gro || udp.buffers_forced);
	assert_int_equal(option(udp.fd4, SOL_UDP, UDP_GRO), 0);
	assert_int_equal(option(udp.fd4, SOL_SOCKET, SO_MARK), 0);
	cv_udp_reprobe(&udp);
	assert_false(udp.gso);
	cv_udp_close(&udp);
}

static void gso_is_granted_where_it_cannot_be_probed(void **state)
{
	struct cv_udp_options options = wishes;
	struct cv_udp udp;

	run("ip rule add pref 5 to 127.0.0.1 prohibit");
	run("ip rule add pref 10 table local");
	run("ip rule del pref 0");
	assert_int_equal(cv_udp_open(&options, &udp), 0);
	assert_true(udp.gso);
	cv_udp_close(&udp);
	run("ip addr flush dev lo");
	run("ip link set lo down");
	assert_int_equal(cv_udp_open(&options, &udp), 0);
	assert_true(udp.gso);
	cv_udp_close(&udp);
}

static void the_mark_changes_on_both_sockets(void **state)
{
	struct cv_udp_options options = { 0 };
	struct cv_udp udp;

	assert_int_equal(cv_udp_open(&options, &udp), 0);
	assert_int_equal(cv_udp_set_mark(&udp, 51820), 0);
	assert_int_equal(option(udp.fd4, SOL_SOCKET, SO_MARK), 51820);
	assert_int_equal(option(udp.fd6, SOL_SOCKET, SO_MARK), 51820);
	assert_int_equal(cv_udp_set_mark(&udp, 0), 0);
	assert_int_equal(option(udp.fd6, SOL_SOCKET, SO_MARK), 0);
	cv_udp_close(&udp);
}

static void a_shared_handle_leaves_the_sockets_open(void **state)
{
	struct cv_udp_options options = wishes;
	struct cv_udp udp, shared;
	uint8_t byte = 'x';

	assert_int_equal(cv_udp_open(&options, &udp), 0);
	assert_int_equal(cv_udp_share(&udp, &shared), 0);
	assert_int_equal(shared.fd4, udp.fd4);
	assert_int_equal(shared.fd6, udp.fd6);
	assert_int_equal(shared.port, udp.port);
	assert_true(shared.gso && shared.gro);
	shared.gso = false;
	cv_udp_reprobe(&shared);
	assert_true(shared.gso);
	for (int i = 0; i < 2; i++) {
		struct cv_train train = train_to("127.0.0.1", udp.port, &byte, 1, 1);
		struct cv_drops drops = { 0 };
		size_t sent = 0;
		int blocked;

		if (i == 1)
			cv_udp_close(&shared);
		assert_int_equal(
			cv_udp_send(i == 0 ? &shared : &udp, &train, 1, &drops, &sent, &blocked),
			0);
		assert_int_equal(sent, 1);
		await(udp.fd4);
		assert_int_equal(recv(udp.fd4, &byte, 1, 0), 1);
	}
	assert_int_equal(udp.send_trains, 1);
	cv_udp_close(&udp);
}

/* In a process where AF_INET6 is not known, as on a kernel without IPv6. */
static int without_ipv6(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };
	struct cv_udp_options options = wishes;
	uint8_t byte = 'x';
	struct cv_train trains[] = { train_to("::1", 1, &byte, 1, 1),
				     train_to("127.0.0.1", 0, &byte, 1, 1) };
	struct cv_drops drops = { 0 };
	struct cv_udp udp;
	size_t sent = 0;
	int blocked;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		return SKIPPED;
	if (cv_udp_open(&options, &udp) != 0 || udp.fd6 != -1 || !udp.gso || !udp.gro)
		return 1;
	trains[1].remote.port = udp.port;
	if (cv_udp_send(&udp, trains, 2, &drops, &sent, &blocked) != 0 || sent != 2 ||
	    drops.count[CV_DROP_SEND_REFUSED] != 1 || udp.send_trains != 1 || udp.send_calls != 1)
		return 2;
	if (cv_udp_send_one(&udp, &trains[0]) != -EAFNOSUPPORT || cv_udp_set_mark(&udp, 1) != 0)
		return 3;
	cv_udp_close(&udp);
	return 0;
}

static void a_kernel_without_ipv6_does_with_ipv4(void **state)
{
	pid_t child;
	int status;

#ifdef __i386__ /* libc takes socketcall(2), whose arguments no filter sees */
	skip();
#endif
	child = fork();
	if (child == 0)
		_exit(without_ipv6());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == SKIPPED)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static const struct CMUnitTest tests[] = {
	in_netns(both_families_have_one_port),
	in_netns(a_port_taken_in_either_family_is_in_use),
	in_netns(a_random_port_is_tried_until_ipv6_has_it_too),
	in_netns(workers_share_a_port_and_strangers_do_not),
	in_netns(flows_spread_over_the_workers),
	in_netns(sockets_have_the_options_of_the_contract),
	in_netns(what_is_not_wanted_stays_off),
	in_netns(gso_is_granted_where_it_cannot_be_probed),
	in_netns(the_mark_changes_on_both_sockets),
	in_netns(a_shared_handle_leaves_the_sockets_open),
	in_netns(a_kernel_without_ipv6_does_with_ipv4),
};

NETNS_MAIN(tests)
