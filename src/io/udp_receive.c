/*
 * The UDP edge, receiving: one recvmmsg, and what its control messages say of each train.
 *
 * How it works. Every message has its slot of 64 KiB, so with UDP_GRO one message is a train:
 * datagrams of one size lying one behind the other, the size in a cmsg. Without that cmsg (GRO
 * off, or nothing to merge) a message is one datagram. TOS and PKTINFO are said once and hold for
 * the whole train, for the kernel merges only what agrees in its headers.
 *
 * The number of messages asked for follows the traffic. Sixteen full trains are 1 MiB, which the
 * cache still holds when they are opened; when messages are so small that 64 are no more, as single
 * datagrams are, taking these at a time saves calls.
 */
#include <errno.h>
#include <netinet/udp.h>
#include <string.h>

#include <convoy/io/udp.h>

#include "internal.h"

/* Errors in a row that a call reads over. What is pending on a socket (an ICMP error, say) is
 * cleared by being read, so two in a row are rare and this many are no accident. */
enum { ERRORS_MAX = 16 };

/* The mean of a call's messages up to which the next asks for all slots. */
enum { SMALL_BYTES = CV_UDP_SLOT_SIZE * CV_UDP_RECEIVE_TRAINS / CV_UDP_RECEIVE_MAX };

static void messages_prepare(struct cv_udp_scratch *scratch, uint8_t *slots, int n)
{
	for (int i = 0; i < n; i++) {
		struct envelope *envelope = &scratch->receive_envelopes[i];

		envelope->iov =
			(struct iovec){ slots + (size_t)i * CV_UDP_SLOT_SIZE, CV_UDP_SLOT_SIZE };
		/* The kernel writes all lengths and flags: they are set anew for each call. */
		scratch->receive[i].msg_hdr = (struct msghdr){
			.msg_name = &envelope->name,
			.msg_namelen = sizeof(envelope->name),
			.msg_iov = &envelope->iov,
			.msg_iovlen = 1,
			.msg_control = envelope->control,
			.msg_controllen = sizeof(envelope->control),
		};
	}
}

/* Return: number of messages, or -errno. */
static int kernel_receive(struct cv_udp *udp, int fd, unsigned n)
{
	struct mmsghdr *msgs = udp->scratch->receive;
	int error = 0;

	for (unsigned errors = 0; errors < ERRORS_MAX; errors++) {
		int got = udp->recvmmsg ? udp->recvmmsg(fd, msgs, n, MSG_DONTWAIT, NULL)
					: recvmmsg(fd, msgs, n, MSG_DONTWAIT, NULL);

		error = errno;
		udp->receive_calls++;
		if (got >= 0)
			return got;
		if (error == EAGAIN)
			return 0;
	}
	return -error;
}

static void remote_read(const struct envelope *envelope, struct cv_endpoint *ret_remote)
{
	*ret_remote = (struct cv_endpoint){ .addr.family = (uint8_t)envelope->name.any.sa_family };
	if (envelope->name.any.sa_family == AF_INET) {
		ret_remote->port = ntohs(envelope->name.v4.sin_port);
		memcpy(ret_remote->addr.b, &envelope->name.v4.sin_addr, 4);
	} else {
		ret_remote->port = ntohs(envelope->name.v6.sin6_port);
		/* Set by the kernel for link-local addresses only. */
		ret_remote->scope = envelope->name.v6.sin6_scope_id;
		memcpy(ret_remote->addr.b, &envelope->name.v6.sin6_addr, 16);
	}
}

/* Copy a cmsg's value when it is there whole. */
static bool value_read(const struct cmsghdr *cmsg, void *ret_value, size_t size)
{
	if (cmsg->cmsg_len < CMSG_LEN(size))
		return false;
	memcpy(ret_value, CMSG_DATA(cmsg), size);
	return true;
}

static void ip_cmsg_read(const struct cmsghdr *cmsg, struct cv_train *train)
{
	struct in_pktinfo info;

	/* A byte here, an int in IPv6: so the kernel has it. */
	if (cmsg->cmsg_type == IP_TOS) {
		value_read(cmsg, &train->tos, 1);
	} else if (cmsg->cmsg_type == IP_PKTINFO && value_read(cmsg, &info, sizeof(info))) {
		train->local = (struct cv_source){ .addr.family = AF_INET,
						   .ifindex = (uint32_t)info.ipi_ifindex };
		memcpy(train->local.addr.b, &info.ipi_spec_dst, 4);
	}
}

static void ipv6_cmsg_read(const struct cmsghdr *cmsg, struct cv_train *train)
{
	struct in6_pktinfo info;
	int class;

	if (cmsg->cmsg_type == IPV6_TCLASS && value_read(cmsg, &class, sizeof(class))) {
		train->tos = (uint8_t) class;
	} else if (cmsg->cmsg_type == IPV6_PKTINFO && value_read(cmsg, &info, sizeof(info))) {
		train->local =
			(struct cv_source){ .addr.family = AF_INET6, .ifindex = info.ipi6_ifindex };
		memcpy(train->local.addr.b, &info.ipi6_addr, 16);
	}
}

/* overflows: set where the message tells them. */
static void train_read(struct mmsghdr *msg, const struct envelope *envelope,
		       struct cv_train *ret_train, uint32_t *overflows)
{
	const uint32_t len = msg->msg_len;
	int gro_size = 0;

	*ret_train = (struct cv_train){ .data = envelope->iov.iov_base, .len = len };
	remote_read(envelope, &ret_train->remote);
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg->msg_hdr); cmsg != NULL;
	     cmsg = CMSG_NXTHDR(&msg->msg_hdr, cmsg)) {
		if (cmsg->cmsg_level == IPPROTO_IP)
			ip_cmsg_read(cmsg, ret_train);
		else if (cmsg->cmsg_level == IPPROTO_IPV6)
			ipv6_cmsg_read(cmsg, ret_train);
		else if (cmsg->cmsg_level == SOL_UDP && cmsg->cmsg_type == UDP_GRO)
			value_read(cmsg, &gro_size, sizeof(gro_size));
		else if (cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SO_RXQ_OVFL)
			value_read(cmsg, overflows, sizeof(*overflows));
	}
	if (gro_size > 0 && (uint32_t)gro_size < len) {
		ret_train->seg_size = (uint16_t)gro_size;
		ret_train->segs = (uint16_t)((len - 1) / (uint32_t)gro_size + 1);
	} else {
		ret_train->seg_size = (uint16_t)len;
		ret_train->segs = 1;
	}
}

int cv_udp_receive(struct cv_udp *udp, int fd, uint8_t *slots, struct cv_train *trains,
		   struct cv_drops *drops, bool *ret_empty)
{
	struct cv_udp_scratch *scratch = udp->scratch;
	bool *small = &scratch->receive_small[fd == udp->fd6];
	const int n = *small ? CV_UDP_RECEIVE_MAX : CV_UDP_RECEIVE_TRAINS;
	uint64_t datagrams = 0, bytes = 0;
	uint32_t *overflows = &scratch->overflows[fd == udp->fd6], seen = *overflows;
	int got, kept = 0;

	messages_prepare(scratch, slots, n);
	got = kernel_receive(udp, fd, (unsigned)n);
	if (got < 0)
		return got;
	for (int i = 0; i < got; i++) {
		struct mmsghdr *msg = &scratch->receive[i];
		struct cv_train *train = &trains[kept];

		train_read(msg, &scratch->receive_envelopes[i], train, &seen);
		datagrams += train->segs;
		cv_histogram_add(&udp->receive_sizes, train->segs);
		bytes += train->len;
		if (msg->msg_hdr.msg_flags & MSG_TRUNC)
			cv_drops_add(drops, CV_DROP_RECV_TRUNCATED, train->segs);
		else if (train->len == 0)
			cv_drops_add(drops, CV_DROP_MALFORMED, 1);
		else
			kept++;
	}
	if (got > 0)
		*small = bytes / (uint64_t)got <= SMALL_BYTES;
	cv_drops_add(drops, CV_DROP_RECV_OVERFLOW, seen - *overflows);
	*overflows = seen;
	udp->receive_trains += (uint64_t)got;
	udp->receive_datagrams += datagrams;
	udp->receive_bytes += bytes;
	*ret_empty = got < n;
	return kept;
}
