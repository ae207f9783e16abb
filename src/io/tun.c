/*
 * The TUN edge: super-packets in and out of a TUN with IFF_VNET_HDR, one fd per queue.
 *
 * How it works. The kernel hands over one super-packet a read, so a turn reads until the queue is
 * empty or the caller has enough. The vnet header is read apart from the packet (readv with two
 * pieces): the packet then starts on a cache line and the header needs no unaligned access.
 *
 *	mem   | packet, IP header first ... |pad| packet ... |pad|        room for the largest |
 *	      ^ 64-aligned                      ^ 64-aligned
 *	supers[i].vnet                          supers[i + 1].vnet
 *
 * Offloads are asked for by doing. TUNSETOFFLOAD refuses a set with any bit it does not know and
 * keeps the old set then, so the richest set is tried first and the empty one last; the empty one
 * is set explicitly, for offloads belong to the device and stay until somebody clears them.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <convoy/io/tun.h>

#include "internal.h"

/* linux/if_tun.h of Linux 6.2; refused by older kernels. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

enum { CACHE_LINE = 64 };

/* The rules of dev_valid_name() in net/core/dev.c; whether "%" is well used the kernel says. */
static bool name_is_legal(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len >= IFNAMSIZ || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return false;
	return strpbrk(name, "/: \t\n\v\f\r") == NULL;
}

/* Open one queue. name[IFNAMSIZ] may hold "%d" and is then replaced by the name that was given. */
static int queue_open(char *name, short flags)
{
	struct ifreq ifr = { .ifr_flags = flags };
	int fd, r;

	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	memcpy(ifr.ifr_name, name, IFNAMSIZ);
	if (ioctl(fd, TUNSETIFF, &ifr) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	memcpy(name, ifr.ifr_name, IFNAMSIZ);
	return fd;
}

/* Open n queues of one device, the first with `first` among its flags; fds[n]. */
static int queues_open(char *name, size_t n, short first, bool many, int *fds)
{
	short flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
	size_t i;

	if (many)
		flags |= IFF_MULTI_QUEUE;
	for (i = 0; i < n; i++) {
		fds[i] = queue_open(name, i == 0 ? (short)(flags | first) : flags);
		if (fds[i] < 0)
			break;
	}
	if (i == n)
		return 0;
	int r = fds[i];
	while (i > 0)
		close(fds[--i]);
	return r;
}

static int offloads_set(int fd, struct cv_tun_offloads offloads)
{
	unsigned bits = 0;

	if (offloads.tso)
		bits |= TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
	if (offloads.uso)
		bits |= TUN_F_CSUM | TUN_F_USO4 | TUN_F_USO6;
	return ioctl(fd, TUNSETOFFLOAD, bits) < 0 ? -errno : 0;
}

/* Set the richest part of `wanted` that the kernel grants. */
static int offloads_negotiate(int fd, struct cv_tun_offloads wanted,
			      struct cv_tun_offloads *ret_granted)
{
	const struct cv_tun_offloads tries[] = {
		wanted,
		{ .tso = wanted.tso },
		{ .uso = wanted.uso },
		{ .tso = false },
	};
	int r = 0;

	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		r = offloads_set(fd, tries[i]);
		if (r == 0) {
			*ret_granted = tries[i];
			return 0;
		}
		if (r != -EINVAL)
			break;
	}
	return r;
}

static int device_open(const char *name, struct cv_tun_offloads wanted, size_t n, bool made,
		       struct cv_tun *ret_tuns)
{
	/* 0x8000 does not fit a positive short, and ifr_flags is one. */
	const short first = made ? 0 : (short)IFF_TUN_EXCL;
	struct cv_tun tun = { .fd = -1 };
	int fds[CV_TUN_QUEUES_MAX];
	int r;

	if (n == 0 || n > CV_TUN_QUEUES_MAX || !name_is_legal(name))
		return -EINVAL;
	memcpy(tun.name, name, strlen(name) + 1);
	r = queues_open(tun.name, n, first, n > 1, fds);
	if (r == -EINVAL && made && n == 1) /* one queue of many is as good */
		r = queues_open(tun.name, n, first, true, fds);
	if (r < 0)
		return r;
	r = offloads_negotiate(fds[0], wanted, &tun.granted);
	if (r < 0) {
		for (size_t i = 0; i < n; i++)
			close(fds[i]);
		return r;
	}
	for (size_t i = 0; i < n; i++) {
		ret_tuns[i] = tun;
		ret_tuns[i].fd = fds[i];
	}
	return 0;
}

int cv_tun_open(const char *name, struct cv_tun_offloads wanted, size_t n, struct cv_tun *ret_tuns)
{
	return device_open(name, wanted, n, false, ret_tuns);
}

int cv_tun_attach(const char *name, struct cv_tun_offloads wanted, size_t n,
		  struct cv_tun *ret_tuns)
{
	return device_open(name, wanted, n, true, ret_tuns);
}

/*
 * Whether packets have a struct tun_pi in front. TUNGETIFF cannot tell: IFF_NOFILTER, which it sets
 * for every TUN, is the bit of IFF_NO_PI. So four zero bytes are written behind a vnet header: as
 * an IP packet they are refused; as the tun_pi of a packet without bytes they are taken, or would
 * be if the link were up (since Linux 5.1; before, a link that is down looks like this, too).
 */
static bool has_packet_information(int fd)
{
	const uint8_t zeros[CV_VNET_SIZE + sizeof(struct tun_pi)] = { 0 };

	return write(fd, zeros, sizeof(zeros)) >= 0 || errno != EINVAL;
}

static int adopt(int fd, struct cv_tun_offloads wanted, struct cv_tun *tun)
{
	int vnet_size = CV_VNET_SIZE, flags = fcntl(fd, F_GETFL);
	struct ifreq ifr = { 0 };

	if (flags < 0 || ioctl(fd, TUNGETIFF, &ifr) < 0)
		return -errno;
	if (!(ifr.ifr_flags & IFF_TUN))
		return -EPROTOTYPE;
	if (!(ifr.ifr_flags & IFF_VNET_HDR))
		return -EPROTO;
	memcpy(tun->name, ifr.ifr_name, IFNAMSIZ);
	if (ioctl(fd, TUNSETVNETHDRSZ, &vnet_size) < 0)
		return -errno;
	if (has_packet_information(fd))
		return -EPROTO;
	if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	return offloads_negotiate(fd, wanted, &tun->granted);
}

int cv_tun_adopt(int fd, struct cv_tun_offloads wanted, struct cv_tun *ret_tun)
{
	struct cv_tun tun = { .fd = fd };
	int r = adopt(fd, wanted, &tun);

	if (r == 0)
		*ret_tun = tun;
	return r;
}

void cv_tun_close(struct cv_tun *tun)
{
	if (tun->fd >= 0)
		close(tun->fd);
	tun->fd = -1;
}

int cv_tun_set_offloads(struct cv_tun *tun, struct cv_tun_offloads wanted)
{
	return offloads_negotiate(tun->fd, wanted, &tun->granted);
}

static ssize_t kernel_readv(struct cv_tun *tun, const struct iovec *iov, int iovs)
{
	ssize_t n;

	do {
		n = tun->readv ? tun->readv(tun->fd, iov, iovs) : readv(tun->fd, iov, iovs);
	} while (n < 0 && errno == EINTR);
	tun->read_calls++;
	return n < 0 ? -errno : n;
}

static uint8_t *cache_line_up(uint8_t *p)
{
	return p + (-(uintptr_t)p & (CACHE_LINE - 1));
}

int cv_tun_read(struct cv_tun *tun, uint8_t *mem, size_t size, size_t enough,
		struct cv_super *supers, size_t max, struct cv_drops *drops, bool *ret_empty)
{
	uint8_t *const end = mem + size;
	uint8_t *at = cache_line_up(mem);
	size_t got = 0, bytes = 0;
	ssize_t n = 0;

	/* A read too short to use takes its turn out of max as well: no read goes uncounted. */
	for (size_t reads = 0; reads < max && bytes < enough; reads++) {
		struct cv_super *super = &supers[got];

		if (at > end || end - at < CV_VNET_SIZE + CV_IP_MAX)
			break;
		const struct iovec iov[] = {
			{ &super->vnet, CV_VNET_SIZE },
			{ at, (size_t)(end - at) },
		};
		n = kernel_readv(tun, iov, 2);
		if (n < 0)
			break;
		if (n <= CV_VNET_SIZE) {
			cv_drops_add(drops, CV_DROP_VNET_HEADER, 1);
			continue;
		}
		super->data = at;
		super->len = (uint32_t)(n - CV_VNET_SIZE);
		bytes += super->len;
		at = cache_line_up(at + super->len);
		got++;
	}
	if (n < 0 && n != -EAGAIN && got == 0)
		return (int)n;
	tun->read_supers += got;
	tun->read_bytes += bytes;
	*ret_empty = n == -EAGAIN;
	return (int)got;
}

static void count_written(struct cv_tun *tun, const struct cv_gather *gather)
{
	tun->write_supers++;
	cv_histogram_add(&tun->write_sizes, gather->pkts);
	tun->write_pkts += gather->pkts;
	tun->write_bytes += gather->len;
}

int cv_tun_write(struct cv_tun *tun, const struct cv_gather *gather)
{
	ssize_t n;

	do {
		n = tun->writev ? tun->writev(tun->fd, gather->iov, gather->iovs)
				: writev(tun->fd, gather->iov, gather->iovs);
	} while (n < 0 && errno == EINTR);
	tun->write_calls++;
	if (n < 0)
		return -errno;
	count_written(tun, gather);
	return 0;
}

void cv_tun_write_many(struct cv_tun *tun, struct cv_writer *writer,
		       const struct cv_gather *gathers, unsigned n, int *ret_results)
{
	struct cv_write writes[CV_WRITER_MAX];

	for (unsigned i = 0; tun->writev && i < n; i++)
		ret_results[i] = cv_tun_write(tun, &gathers[i]);
	if (tun->writev)
		return;
	for (unsigned i = 0; i < n; i++)
		writes[i] = (struct cv_write){ .iov = gathers[i].iov, .iovs = gathers[i].iovs };
	tun->write_calls += cv_writer_run(writer, tun->fd, writes, n);
	for (unsigned i = 0; i < n; i++) {
		ret_results[i] = writes[i].result < 0 ? writes[i].result : 0;
		if (ret_results[i] == 0)
			count_written(tun, &gathers[i]);
	}
}
