/*
 * The UDP edge, opening: two sockets on one port, their options, and what the kernel grants.
 *
 * How it works. The v4 socket is bound first and says the port; the v6 socket (V6ONLY) must get the
 * same one. When the kernel chose the port and v6 finds it taken, both start again with another.
 *
 * The first of several sockets on a port is bound without SO_REUSEPORT and gets it afterwards: the
 * bind then fails if anyone is there, while later sockets may still join. With the option set
 * before, another tunnel of the same user would be joined silently, and take half of the peers'
 * packets; a port chosen by the kernel could even be such a one.
 *
 * UDP_SEGMENT is probed by doing: kernels exist that know the option and then fail or mangle the
 * send. A probe that cannot be carried out (loopback down, a filter) proves nothing and takes
 * nothing away; the send edge falls back at run time.
 */
#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <convoy/io/udp.h>

#include "internal.h"

enum {
	PORT_TRIES = 100,
	/* Loopback delivers inside the send; this is for a kernel that is busy elsewhere. */
	PROBE_WAIT_MS = 50,
};

static int option_set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int option_get(int fd, int level, int option)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, level, option, &value, &len) < 0 ? -errno : value;
}

/*
 * IPv4: wider than the path goes out in fragments, DF unset; UDP_SEGMENT compares with the device's
 * MTU only, not with what some ICMP message claims. Linux 3.15.
 * IPv6: routers do not fragment here, so the path MTU must be minded: OMIT would be a black hole.
 */
int cv_udp_set_whole(int fd, int family, bool whole)
{
	if (family == AF_INET)
		return option_set(fd, IPPROTO_IP, IP_MTU_DISCOVER,
				  whole ? IP_PMTUDISC_PROBE : IP_PMTUDISC_OMIT);
	return option_set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER,
			  whole ? IPV6_PMTUDISC_PROBE : IPV6_PMTUDISC_DONT);
}

static int ip_options_set(int fd)
{
	int r;

	r = cv_udp_set_whole(fd, AF_INET, false);
	if (r == 0)
		r = option_set(fd, IPPROTO_IP, IP_PKTINFO, 1);
	if (r == 0)
		r = option_set(fd, IPPROTO_IP, IP_RECVTOS, 1);
	return r;
}

static int ipv6_options_set(int fd)
{
	int r;

	r = option_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	if (r == 0)
		r = cv_udp_set_whole(fd, AF_INET6, false);
	if (r == 0)
		r = option_set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	if (r == 0)
		r = option_set(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
	return r;
}

/* Set a buffer size, past the system's limit where we may. Return: whether it was forced. */
static bool buffer_set(int fd, int force_option, int option, int size)
{
	if (option_set(fd, SOL_SOCKET, force_option, size) == 0)
		return true;
	/* Cut to rmem_max or wmem_max; never fails. */
	option_set(fd, SOL_SOCKET, option, size);
	return false;
}

/* UDP_GRO counts as granted when it reads back, which it does from Linux 5.12 on; earlier kernels
 * are known to get it wrong. */
static bool gro_set(int fd)
{
	if (option_set(fd, SOL_UDP, UDP_GRO, 1) < 0)
		return false;
	if (option_get(fd, SOL_UDP, UDP_GRO) == 1)
		return true;
	option_set(fd, SOL_UDP, UDP_GRO, 0);
	return false;
}

static int socket_bind(int fd, int family, uint16_t port)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int r;

	if (family == AF_INET)
		r = bind(fd, (struct sockaddr *)&v4, sizeof(v4));
	else
		r = bind(fd, (struct sockaddr *)&v6, sizeof(v6));
	return r < 0 ? -errno : 0;
}

static int socket_port(int fd, uint16_t *ret_port)
{
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);

	if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
		return -errno;
	*ret_port = ntohs(addr.sin_port);
	return 0;
}

/* All of a socket that comes before others may see it, and the bind. */
static int socket_set_up(int fd, int family, const struct cv_udp_options *options, uint16_t port)
{
	const bool alone = options->exclusive || options->port == 0;
	int r;

	r = family == AF_INET ? ip_options_set(fd) : ipv6_options_set(fd);
	if (r == 0)
		r = option_set(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
	if (r == 0 && options->fwmark != 0)
		r = option_set(fd, SOL_SOCKET, SO_MARK, (int)options->fwmark);
	if (r == 0 && options->reuseport && !alone)
		r = option_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (r == 0)
		r = socket_bind(fd, family, port);
	if (r == 0 && options->reuseport && alone)
		r = option_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	return r;
}

/* Return: a bound socket or -errno. */
static int socket_open(int family, const struct cv_udp_options *options, uint16_t port)
{
	int fd, r;

	fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
	if (fd < 0)
		return -errno;
	r = socket_set_up(fd, family, options, port);
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

/* Open both sockets on one port. Fills fd4, fd6 and port. */
static int pair_open(const struct cv_udp_options *options, struct cv_udp *ret_udp)
{
	uint16_t port = options->port;
	int fd4, fd6, r;

	fd4 = socket_open(AF_INET, options, port);
	if (fd4 < 0)
		return fd4;
	r = socket_port(fd4, &port);
	if (r == 0) {
		fd6 = socket_open(AF_INET6, options, port);
		if (fd6 >= 0 || fd6 == -EAFNOSUPPORT) {
			ret_udp->fd4 = fd4;
			ret_udp->fd6 = fd6 >= 0 ? fd6 : -1;
			ret_udp->port = port;
			return 0;
		}
		r = fd6;
	}
	close(fd4);
	return r;
}

/* Whether the next datagram that comes in on fd is this one; true as well when none comes. */
static bool probe_expect(int fd, const void *bytes, size_t n)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	uint8_t got[4];
	ssize_t r;

	if (poll(&wait, 1, PROBE_WAIT_MS) <= 0)
		return true;
	r = recv(fd, got, sizeof(got), MSG_DONTWAIT);
	return r < 0 || ((size_t)r == n && memcmp(got, bytes, n) == 0);
}

/* Send "ab" and "c" as one train to fd itself and see whether they arrive as such. */
static bool probe_train(int fd, struct sockaddr_in *self)
{
	alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(uint16_t))] = { 0 };
	uint8_t bytes[3] = { 'a', 'b', 'c' };
	struct iovec iov = { bytes, sizeof(bytes) };
	struct msghdr msg = {
		.msg_name = self,
		.msg_namelen = sizeof(*self),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	const uint16_t seg_size = 2;

	*cmsg = (struct cmsghdr){ .cmsg_level = SOL_UDP, .cmsg_type = UDP_SEGMENT };
	cmsg->cmsg_len = CMSG_LEN(sizeof(seg_size));
	memcpy(CMSG_DATA(cmsg), &seg_size, sizeof(seg_size));
	if (sendmsg(fd, &msg, MSG_DONTWAIT) < 0)
		return errno != EIO && errno != EINVAL && errno != EMSGSIZE;
	return probe_expect(fd, "ab", 2) && probe_expect(fd, "c", 1);
}

/* Whether UDP_SEGMENT is known to fd and, where that can be seen, works over loopback. */
static bool gso_probe(int fd)
{
	struct sockaddr_in self = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(self);
	bool works = true;
	int probe;

	if (option_get(fd, SOL_UDP, UDP_SEGMENT) < 0)
		return false;
	/* A socket of its own: on fd the probe could land with another worker. */
	probe = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
	if (probe < 0)
		return true;
	if (bind(probe, (struct sockaddr *)&self, sizeof(self)) == 0 &&
	    getsockname(probe, (struct sockaddr *)&self, &len) == 0)
		works = probe_train(probe, &self);
	close(probe);
	return works;
}

static void buffers_set(struct cv_udp *udp, int size)
{
	const int fds[] = { udp->fd4, udp->fd6 };

	udp->buffers_forced = true;
	for (size_t i = 0; i < 2; i++) {
		if (fds[i] < 0)
			continue;
		if (!buffer_set(fds[i], SO_RCVBUFFORCE, SO_RCVBUF, size))
			udp->buffers_forced = false;
		buffer_set(fds[i], SO_SNDBUFFORCE, SO_SNDBUF, size);
	}
}

static bool pair_gro_set(const struct cv_udp *udp)
{
	if (!gro_set(udp->fd4))
		return false;
	if (udp->fd6 < 0 || gro_set(udp->fd6))
		return true;
	option_set(udp->fd4, SOL_UDP, UDP_GRO, 0);
	return false;
}

int cv_udp_open(const struct cv_udp_options *options, struct cv_udp *ret_udp)
{
	struct cv_udp udp = { .fd4 = -1, .fd6 = -1 };
	int r = -EADDRINUSE;

	udp.scratch = calloc(1, sizeof(*udp.scratch));
	if (udp.scratch == NULL)
		return -ENOMEM;
	for (int tries = options->port == 0 ? PORT_TRIES : 1; tries > 0 && r == -EADDRINUSE;
	     tries--)
		r = pair_open(options, &udp);
	if (r < 0) {
		free(udp.scratch);
		return r;
	}
	if (options->buffer_size > 0)
		buffers_set(&udp, options->buffer_size);
	udp.gro = options->gro && pair_gro_set(&udp);
	udp.gso = options->gso && gso_probe(udp.fd4);
	udp.scratch->gso_supported = udp.gso;
	*ret_udp = udp;
	return 0;
}

void cv_udp_close(struct cv_udp *udp)
{
	if (!udp->shared) {
		if (udp->fd4 >= 0)
			close(udp->fd4);
		if (udp->fd6 >= 0)
			close(udp->fd6);
	}
	udp->fd4 = udp->fd6 = -1;
	free(udp->scratch);
	udp->scratch = NULL;
}

int cv_udp_share(const struct cv_udp *udp, struct cv_udp *ret_udp)
{
	struct cv_udp_scratch *scratch = calloc(1, sizeof(*scratch));

	if (scratch == NULL)
		return -ENOMEM;
	scratch->gso_supported = udp->scratch->gso_supported;
	*ret_udp = (struct cv_udp){
		.fd4 = udp->fd4,
		.fd6 = udp->fd6,
		.port = udp->port,
		.gso = scratch->gso_supported,
		.gro = udp->gro,
		.shared = true,
		.buffers_forced = udp->buffers_forced,
		.sendmmsg = udp->sendmmsg,
		.recvmmsg = udp->recvmmsg,
		.scratch = scratch,
	};
	return 0;
}

int cv_udp_set_mark(struct cv_udp *udp, uint32_t fwmark)
{
	int r = option_set(udp->fd4, SOL_SOCKET, SO_MARK, (int)fwmark);

	if (r == 0 && udp->fd6 >= 0)
		r = option_set(udp->fd6, SOL_SOCKET, SO_MARK, (int)fwmark);
	return r;
}

void cv_udp_reprobe(struct cv_udp *udp)
{
	udp->gso = udp->scratch->gso_supported;
}
