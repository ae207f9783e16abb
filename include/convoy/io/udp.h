/* The UDP edge: trains in and out of a v4 and a v6 socket, with the fallbacks kernels ask for. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <convoy/base/drop.h>
#include <convoy/base/histogram.h>
#include <convoy/packet/packet.h>

enum {
	/* Trains one receive call may bring. 16 full ones are the best batch measured (a working
	 * set that stays in the cache); more slots serve streams of single datagrams. */
	CV_UDP_RECEIVE_MAX = 64,
	CV_UDP_RECEIVE_TRAINS = 16,
	/* Bytes of one receive slot: the largest UDP payload, rounded up. */
	CV_UDP_SLOT_SIZE = 65536,
};

/* Options of a pair of sockets. */
struct cv_udp_options {
	uint16_t port;   /* host order; 0: the kernel chooses, the same for v4 and v6 */
	uint32_t fwmark; /* SO_MARK, 0: none */
	bool reuseport;  /* several workers share the port: all later opens pass the first's port */
	bool exclusive;  /* with reuseport, for the first open: fail when anyone has the port, even
			  * one who would share it. Port 0 is always exclusive. */
	bool gso;        /* UDP_SEGMENT wanted (Linux 4.18) */
	bool gro;        /* UDP_GRO wanted (Linux 5.0; used from 5.12 on) */
	int buffer_size; /* SO_RCVBUFFORCE and SO_SNDBUFFORCE, bytes; 0: the system's default */
};

/*
 * A socket a family, never connected, both on one port. A kernel without IPv6 leaves fd6 at -1.
 * One thread receives and sends; other threads may call cv_udp_send_one() at the same time.
 */
struct cv_udp {
	int fd4, fd6;
	uint16_t port;
	bool gso, gro;       /* granted; gso belongs to the owning thread, and EIO clears it */
	bool shared;         /* made by cv_udp_share(): the fds are not ours to close */
	bool buffers_forced; /* SO_RCVBUFFORCE worked; else rmem_max is the limit */
	/*
	 * Statistics, touched by the owning thread only. Calls are system calls. Trains are
	 * messages: one a train, or one a datagram where it goes plainly. Sent is what the kernel
	 * took; received is all it gave, dropped here or not. cv_udp_send_one() counts nothing.
	 */
	uint64_t send_calls, send_trains, send_datagrams, send_bytes, send_fallbacks;
	uint64_t receive_calls, receive_trains, receive_datagrams, receive_bytes;
	struct cv_histogram send_sizes, receive_sizes; /* datagrams of each train */
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
 * Return: 0 or -errno. Errors: -EADDRINUSE the port is taken (in one of the families, or, for port
 * 0, 100 random ones were); -EPERM a mark without CAP_NET_ADMIN; -EACCES a port below 1024 without
 * CAP_NET_BIND_SERVICE; -ENOMEM.
 */
int cv_udp_open(const struct cv_udp_options *options, struct cv_udp *ret_udp);
/* Close the sockets (unless shared) and free the arrays. Closing twice is harmless. */
void cv_udp_close(struct cv_udp *udp);
/* A second handle on the sockets of `udp` for another thread to send trains by: same fds (which
 * `udp` keeps) and test seams, own scratch, statistics and view of GSO. Close it before `udp`.
 * Return: 0 or -ENOMEM. */
int cv_udp_share(const struct cv_udp *udp, struct cv_udp *ret_udp);
/* Change SO_MARK of both sockets; 0: none. Return: 0 or -errno (-EPERM: no CAP_NET_ADMIN). */
int cv_udp_set_mark(struct cv_udp *udp, uint32_t fwmark);

/**
 * cv_udp_receive() - receive trains of one family
 * @fd:		udp->fd4 or udp->fd6
 * @slots:	CV_UDP_RECEIVE_MAX slots of CV_UDP_SLOT_SIZE bytes
 * @trains:	trains[CV_UDP_RECEIVE_MAX]; data points into slots, len is at least 1
 * @drops:	truncated datagrams (RECV_TRUNCATED) and empty ones (MALFORMED) are counted here,
 * and what the kernel dropped before we came (RECV_OVERFLOW, by SO_RXQ_OVFL), which is in no other
 * count
 * @ret_empty:	true when the queue was seen empty: wait for readiness. False: more may be waiting,
 *		even if 0 is returned (all that came was dropped).
 *
 * One recvmmsg. Asks for CV_UDP_RECEIVE_TRAINS messages, or for CV_UDP_RECEIVE_MAX after a call
 * that brought only single datagrams. cmsgs (GRO size, PKTINFO, TOS) hold for the whole train.
 * `local` is the address to answer from and the interface it came in by. Errors pending on the
 * socket (ECONNREFUSED and the like) are read over.
 *
 * Return: number of trains, or -errno when the socket answers nothing but errors.
 */
int cv_udp_receive(struct cv_udp *udp, int fd, uint8_t *slots, struct cv_train *trains,
		   struct cv_drops *drops, bool *ret_empty);

/**
 * cv_udp_send() - send trains in order, as few sendmmsg calls as the kernel allows
 * @trains:	trains[n]; segs > 1 goes out by UDP_SEGMENT unless train->plain or GSO is off
 * @ret_sent:	trains [0, *ret_sent) are done with (sent or counted); the rest is to be sent again
 *		after POLLOUT. A train sent in part is shortened to what is left of it.
 * @ret_blocked_fd: with -EAGAIN, the socket to wait for; else untouched
 *
 * Order is kept inside each address family; v4 goes before v6. With -EAGAIN the array may be
 * reordered: what is left moves to its end and keeps its order. Trains that are done with keep
 * their fields, so `owner` and the flags tell whose source or GSO was refused. The source is used
 * when its family is that of the remote; IPv4 never binds to its interface, IPv6 only for
 * link-local sources.
 *
 * Fallbacks, each resending the same bytes at once:
 *   EIO on UDP_SEGMENT           the path's device has no checksum offload: plain, GSO off for
 *                                all of `udp` (re-probed by cv_udp_reprobe), gso_refused set
 *   EINVAL, EMSGSIZE on it       plain for this train, plain and gso_refused set (caller: keep it
 *                                plain for a while)
 *   ENETUNREACH, EINVAL, ENODEV  with a local address: cleared, source_refused set. Tried before
 *                                the above; a source that was not the cause of EINVAL stays.
 *   EAGAIN                       stop: the caller keeps the tail
 *   ENOBUFS                      the datagrams are counted SEND_NOBUFS, and on
 *   any other                    counted SEND_REFUSED, and on
 *
 * Return: 0, or -EAGAIN when a tail is left.
 */
int cv_udp_send(struct cv_udp *udp, struct cv_train *trains, size_t n, struct cv_drops *drops,
		size_t *ret_sent, int *ret_blocked_fd);

/**
 * cv_udp_send_one() - send one datagram from any thread (handshakes, cookies, keepalives)
 * @train:	segs 1; train->tos is the outer TOS byte; `local` and `source_refused` as above
 *
 * Return: 0 or -errno (-EAGAIN: the socket's buffer is full; -EAFNOSUPPORT: no IPv6 here).
 */
int cv_udp_send_one(const struct cv_udp *udp, struct cv_train *train);
/**
 * cv_udp_send_whole() - as cv_udp_send_one(), and nobody on the way may cut the datagram in pieces
 *
 * Return: also -EMSGSIZE when it is more than the interface takes.
 */
int cv_udp_send_whole(const struct cv_udp *udp, struct cv_train *train);

/* Try UDP_SEGMENT again after it was switched off by EIO (called now and then, by the owning
 * thread): the next train is the probe, and goes out plainly if it fails. */
void cv_udp_reprobe(struct cv_udp *udp);
