/* The TUN edge: super-packets in and out of a TUN with IFF_VNET_HDR, one fd per queue. */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <convoy/base/drop.h>
#include <convoy/base/histogram.h>
#include <convoy/loop/writer.h>
#include <convoy/packet/packet.h>

/* What TUNSETOFFLOAD was asked for and granted (linux/if_tun.h). Per device, not per queue. */
struct cv_tun_offloads {
	bool tso; /* TUN_F_CSUM | TSO4 | TSO6 */
	bool uso; /* TUN_F_USO4 | USO6, Linux 6.2 */
};

enum {
	CV_TUN_QUEUES_MAX = 256, /* MAX_TAP_QUEUES of drivers/net/tun.c */
};

/* One queue of a TUN. */
struct cv_tun {
	int fd;
	char name[IFNAMSIZ];
	struct cv_tun_offloads granted;
	/* Statistics, touched by the owning thread only. Calls are system calls; the rest is what
	 * went through. */
	uint64_t read_calls, read_supers, read_bytes;
	uint64_t write_calls, write_supers, write_pkts, write_bytes;
	struct cv_histogram write_sizes; /* packets of each super */
	/* Test seam: write and read as the kernel's; NULL means writev(2) and readv(2). */
	ssize_t (*writev)(int fd, const struct iovec *iov, int iovs);
	ssize_t (*readv)(int fd, const struct iovec *iov, int iovs);
};

/**
 * cv_tun_open() - make a TUN by name (may hold "%d") with n queues
 * @wanted:	offloads to ask for; what the kernel refuses is left out of tuns[].granted
 * @n:		1..CV_TUN_QUEUES_MAX
 * @ret_tuns:	tuns[n], all queues of one device, O_NONBLOCK | O_CLOEXEC
 *
 * IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, IFF_MULTI_QUEUE when n > 1. The device goes away with its
 * last fd. An existing device of this name is not taken over (IFF_TUN_EXCL). TSO and USO are
 * granted or refused apart; USO is refused before Linux 6.2.
 *
 * Return: 0 or -errno. Errors: -EBUSY an interface of this name exists, TUN or not; -EPERM no
 * CAP_NET_ADMIN in this network namespace; -ENOENT no /dev/net/tun; -ENODEV, -ENXIO nothing behind
 * it; -EACCES its mode keeps us out; -EINVAL not a legal name (the kernel's rules: 1..15 bytes
 * without '/', ':' and blanks, not "." or "..", "%" only in "%d") or number of queues.
 */
int cv_tun_open(const char *name, struct cv_tun_offloads wanted, size_t n, struct cv_tun *ret_tuns);

/**
 * cv_tun_attach() - use a TUN that is there: made for this user, and persistent
 *
 * As cv_tun_open() otherwise. `ip tuntap add mode tun user USER name NAME` makes such a TUN, and
 * with multi_queue one for n > 1; without CAP_NET_ADMIN the kernel lets its owner in and nobody
 * else. It stays when its fds are closed.
 *
 * Return: 0 or -errno. Errors: -EBUSY somebody has it open; -EPERM it is another user's, or there
 * is none and no right to make one; -EINVAL it has one queue only, or is no TUN.
 */
int cv_tun_attach(const char *name, struct cv_tun_offloads wanted, size_t n,
		  struct cv_tun *ret_tuns);

/**
 * cv_tun_adopt() - take over one queue of a TUN that somebody else made
 * @fd:		on success owned by ret_tun, O_NONBLOCK | O_CLOEXEC; on failure the caller's
 * @wanted:	as for cv_tun_open()
 *
 * How packets are framed is settled when a TUN is made (a second TUNSETIFF gives EEXIST), so it
 * must have been made with IFF_TUN | IFF_NO_PI | IFF_VNET_HDR; the header's size and the offloads
 * are set here.
 *
 * Return: 0 or -errno. Errors: -EBADF, -ENOTTY no file of /dev/net/tun; -EBADFD one that no
 * interface belongs to (any more); -EPROTOTYPE a TAP; -EPROTO no IFF_VNET_HDR, or no IFF_NO_PI.
 * Source: drivers/net/tun.c; TUNGETIFF since Linux 2.6.27.
 */
int cv_tun_adopt(int fd, struct cv_tun_offloads wanted, struct cv_tun *ret_tun);
/* Close one queue. Closing twice is harmless. */
void cv_tun_close(struct cv_tun *tun);

/* Change the offloads of the device later on (TUNSETOFFLOAD); updates tun->granted, of this queue
 * only. Return: 0 or -errno (-EBADFD: the device was deleted). */
int cv_tun_set_offloads(struct cv_tun *tun, struct cv_tun_offloads wanted);

/**
 * cv_tun_read() - read super-packets into the caller's memory, one behind the other
 * @mem, @size:	where; reading stops when less than CV_VNET_SIZE + CV_IP_MAX bytes are left
 * @enough:	IP bytes after which reading stops as well
 * @supers:	supers[max]; data points into mem, aligned to 64 bytes; len is at least 1
 * @drops:	reads that are too short to hold anything are counted here (VNET_HEADER)
 * @ret_empty:	true when the queue was seen empty (EAGAIN): wait for readiness. False when
 *		something else ended the reading (max, enough, size): more may be waiting.
 *
 * Nothing is looked at: vnet header and packet are as the kernel gave them.
 *
 * Return: number read, 0..max; or -errno when the very first read failed: -EBADFD the device was
 * deleted, or any other of read(2) but EAGAIN and EINTR. A later failure ends the reading and
 * comes back with the next call.
 */
int cv_tun_read(struct cv_tun *tun, uint8_t *mem, size_t size, size_t enough,
		struct cv_super *supers, size_t max, struct cv_drops *drops, bool *ret_empty);

/**
 * cv_tun_write() - write one super-packet; gather->iov[0] is its vnet header
 *
 * Return: 0 or -errno (-EINVAL: the kernel refuses this GSO shape, or there is no IP packet behind
 * the header; -EIO: the link is down; -EAGAIN; -EBADFD: deleted). Then nothing is counted but the
 * call: what follows is the caller's to do.
 */
int cv_tun_write(struct cv_tun *tun, const struct cv_gather *gather);

/**
 * cv_tun_write_many() - write gathers[n] in their order, n <= CV_WRITER_MAX, as cv_tun_write() each
 * @ret_results:	result[n] as cv_tun_write() returns it. One that fails does not keep those
 *			behind it from being written.
 */
void cv_tun_write_many(struct cv_tun *tun, struct cv_writer *writer,
		       const struct cv_gather *gathers, unsigned n, int *ret_results);
