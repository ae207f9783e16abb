/* The UDP edge: trains in and out of a v4 and a v6 socket, with every fallback the kernel asks for. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <convoy/base/drop.h>
#include <convoy/packet/packet.h>

enum {
	/* Trains one receive call may bring. 16 full ones are the best batch measured (a working
	 * set that stays in the cache); more slots serve streams of single datagrams. */
	CV_UDP_RECEIVE_MAX = 64,
	CV_UDP_RECEIVE_TRAINS = 16,
	/* Bytes of one receive slot: the largest UDP payload, rounded up. */
	CV_UDP_SLOT_SIZE = 65536,
	/* Largest train that GRO on the far side gives back whole: 65535 - 42 bytes of outer
	 * headers. The kernel accepts up to 65507 but cuts what is above. Measured on veth. */
	CV_TRAIN_BYTES_MAX = 65493,
	CV_TRAIN_SEGS_MAX = 64, /* UDP_MAX_SEGMENTS before Linux 6.9 */
};

/* Options of a pair of sockets. */
struct cv_udp_options {
	uint16_t port;   /* host order; 0: the kernel chooses, the same for v4 and v6 */
	uint32_t fwmark; /* SO_MARK, 0: none */
	bool reuseport;  /* several workers share the port */
	bool gso;        /* UDP_SEGMENT wanted (Linux 4.18) */
	bool gro;        /* UDP_GRO wanted (Linux 5.0; used from 5.12 on) */
	int buffer_size; /* SO_RCVBUFFORCE and SO_SNDBUFFORCE, bytes */
};

/*
 * A socket a family, never connected, both on one port. A kernel without IPv6 leaves fd6 at -1.
 * One thread receives and sends; other threads may call cv_udp_send_one() at the same time.
 */
struct cv_udp {
	int fd4, fd6;
	uint16_t port;
	bool gso, gro;        /* granted */
	bool shared;          /* made by cv_udp_share(): the fds are not ours to close */
	bool buffers_forced;  /* SO_RCVBUFFORCE worked; else rmem_max is the limit */
	/* Statistics, written by the owning thread only. */
	uint64_t send_calls, send_trains, send_datagrams, send_bytes, send_fallbacks;
	uint64_t receive_calls, receive_trains, receive_datagrams, receive_bytes;
	/* Test seam: as sendmmsg(2) and recvmmsg(2); NULL means the kernel's. */
	int (*sendmmsg)(int fd, struct mmsghdr *msgs, unsigned n, int flags);
	int (*recvmmsg)(int fd, struct mmsghdr *msgs, unsigned n, int flags, struct timespec *wait);
	struct cv_udp_scratch *scratch; /* message arrays, taken at open */
};

/**
 * cv_udp_open() - bind both sockets
 *
 * v4: IP_MTU_DISCOVER = OMIT (GSO survives small paths, routers fragment); v6: DONT. IP_PKTINFO,
 * IP_RECVTOS and their v6 twins on. Offloads are probed by doing and left out when refused.
 *
 * Return: 0 or -errno (-EADDRINUSE: the port is taken).
 */
int cv_udp_open(const struct cv_udp_options *options, struct cv_udp *ret_udp);
void cv_udp_close(struct cv_udp *udp);
/* A second handle on the sockets of `udp` for another thread to send trains by: same fds (which
 * `udp` keeps), own scratch and statistics. Close it before `udp`. Return: 0 or -ENOMEM. */
int cv_udp_share(const struct cv_udp *udp, struct cv_udp *ret_udp);
int cv_udp_set_mark(struct cv_udp *udp, uint32_t fwmark);

/**
 * cv_udp_receive() - receive trains of one family
 * @fd:		udp->fd4 or udp->fd6
 * @slots:	CV_UDP_RECEIVE_MAX slots of CV_UDP_SLOT_SIZE bytes
 * @trains:	trains[CV_UDP_RECEIVE_MAX]
 * @drops:	truncated datagrams are counted here
 *
 * One recvmmsg. Asks for CV_UDP_RECEIVE_TRAINS messages, or for CV_UDP_RECEIVE_MAX after a call
 * that brought only single datagrams. cmsgs (GRO size, PKTINFO, TOS) hold for the whole train.
 *
 * Return: number of trains (0: nothing there, *ret_empty is set), or -errno.
 */
int cv_udp_receive(struct cv_udp *udp, int fd, uint8_t *slots, struct cv_train *trains,
		   struct cv_drops *drops, bool *ret_empty);

/**
 * cv_udp_send() - send trains in order, as few sendmmsg calls as the kernel allows
 * @trains:	trains[n]; segs > 1 goes out by UDP_SEGMENT unless train->plain or GSO is off
 * @ret_sent:	trains [0, *ret_sent) are done with (sent or counted); the rest is to be sent again
 *		after POLLOUT. A train sent in part is shortened to what is left of it.
 *
 * Fallbacks, each resending the same bytes at once:
 *   EIO on UDP_SEGMENT           the path's device has no checksum offload: plain, GSO off for
 *                                all of `udp` (re-probed by cv_udp_reprobe), gso_refused set
 *   EINVAL, EMSGSIZE on it       plain for this train, gso_refused set (caller: for a while)
 *   ENETUNREACH, EINVAL, ENODEV  with a local address: cleared, source_refused set
 *   EAGAIN                       stop: the caller keeps the tail
 *   ENOBUFS                      the datagrams are counted SEND_NOBUFS, and on
 *   any other                    counted SEND_REFUSED, and on
 *
 * Return: 0, or -EAGAIN when a tail is left; *ret_blocked_fd is then the socket to wait for.
 */
int cv_udp_send(struct cv_udp *udp, struct cv_train *trains, size_t n, struct cv_drops *drops,
		size_t *ret_sent, int *ret_blocked_fd);

/**
 * cv_udp_send_one() - send one datagram from any thread (handshakes, cookies, keepalives)
 * @train:	segs 1; train->tos is the outer TOS byte; `source_refused` is set as above
 *
 * Return: 0 or -errno.
 */
int cv_udp_send_one(const struct cv_udp *udp, struct cv_train *train);

/* Try UDP_SEGMENT again after it was switched off by EIO (called now and then). */
void cv_udp_reprobe(struct cv_udp *udp);
