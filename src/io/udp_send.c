/*
 * The UDP edge, sending: trains into sendmmsg, and what to do with each error it may answer.
 *
 * How it works. Trains are sent a family at a time, for the two sockets are two calls; inside a
 * family order is kept. A line knows where its family stands: all trains before `next` are done
 * with, and `done` bytes of trains[next].
 *
 *	lay out    messages for what the line still holds: a train whole (UDP_SEGMENT), or, where
 *	           that is not wanted, a message a datagram; at most SEND_MAX
 *	sendmmsg   says how many went; the first that did not decides what follows
 *	  EAGAIN   the line stops; a train sent in part is shortened
 *	  curable  the train (or all of GSO) is changed, and the rest is laid out anew
 *	  else     the message is counted as dropped, and on with the next
 *
 * EINVAL is ambiguous on a train with a source: IPv6 says it for a source that is not ours, and
 * some kernels say it for UDP_SEGMENT. The source is tried first, as that keeps the train whole;
 * if EINVAL stays without it, it was not the source, which is given back.
 *
 * Every turn of the loop moves the line, or takes away one of: the source, UDP_SEGMENT for the
 * train, GSO for all. The source comes back once at most, when UDP_SEGMENT goes. So it ends.
 */
#include <errno.h>
#include <netinet/udp.h>
#include <string.h>

#include <convoy/io/udp.h>

#include "internal.h"

/* The trains of one family, and how far they are. */
struct line {
	int fd;
	bool v4;
	struct cv_train *trains;
	size_t n;
	size_t next;
	uint32_t done;
	struct cv_source suspect; /* taken from trains[next] after EINVAL, to see if it helps */
};

static bool in_line(const struct line *line, const struct cv_train *train)
{
	return (train->remote.addr.family == AF_INET) == line->v4;
}

static bool has_source(const struct cv_train *train)
{
	return train->local.addr.family != 0 &&
	       train->local.addr.family == train->remote.addr.family;
}

static bool goes_whole(const struct cv_udp *udp, const struct cv_train *train)
{
	return train->segs > 1 && train->len > train->seg_size && udp->gso && !train->plain;
}

static void name_write(struct msghdr *msg, struct envelope *envelope,
		       const struct cv_endpoint *remote)
{
	msg->msg_name = &envelope->name;
	if (remote->addr.family == AF_INET) {
		envelope->name.v4 = (struct sockaddr_in){ .sin_family = AF_INET,
							  .sin_port = htons(remote->port) };
		memcpy(&envelope->name.v4.sin_addr, remote->addr.b, 4);
		msg->msg_namelen = sizeof(envelope->name.v4);
	} else {
		envelope->name.v6 = (struct sockaddr_in6){ .sin6_family = remote->addr.family,
							   .sin6_port = htons(remote->port),
							   .sin6_scope_id = remote->scope };
		memcpy(&envelope->name.v6.sin6_addr, remote->addr.b, 16);
		msg->msg_namelen = sizeof(envelope->name.v6);
	}
}

/* Append a cmsg; the envelope has room for one of each. */
static void cmsg_write(struct msghdr *msg, int level, int type, const void *value, size_t size)
{
	struct cmsghdr *cmsg =
		(struct cmsghdr *)((uint8_t *)msg->msg_control + msg->msg_controllen);

	*cmsg = (struct cmsghdr){ .cmsg_level = level, .cmsg_type = type };
	cmsg->cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(cmsg), value, size);
	msg->msg_controllen += CMSG_SPACE(size);
}

static void source_write(struct msghdr *msg, const struct cv_source *local)
{
	if (local->addr.family == AF_INET) {
		/* Never the interface: with it the kernel sends out of that one even when the
		 * route has moved elsewhere. */
		struct in_pktinfo info = { .ipi_ifindex = 0 };

		memcpy(&info.ipi_spec_dst, local->addr.b, 4);
		cmsg_write(msg, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	} else {
		/* A link-local address means nothing without its interface. */
		struct in6_pktinfo info = {
			.ipi6_ifindex = cv_addr_is_link_local(&local->addr) ? local->ifindex : 0,
		};

		memcpy(&info.ipi6_addr, local->addr.b, 16);
		cmsg_write(msg, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	}
}

/* All of a message but its bytes. */
static void header_write(struct msghdr *msg, struct envelope *envelope,
			 const struct cv_train *train, bool whole)
{
	const bool v4 = train->remote.addr.family == AF_INET;
	int tos = train->tos;

	*msg = (struct msghdr){ .msg_iovlen = 1, .msg_control = envelope->control };
	name_write(msg, envelope, &train->remote);
	if (whole)
		cmsg_write(msg, SOL_UDP, UDP_SEGMENT, &train->seg_size, sizeof(train->seg_size));
	if (tos != 0)
		cmsg_write(msg, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TOS : IPV6_TCLASS, &tos,
			   sizeof(tos));
	if (has_source(train))
		source_write(msg, &train->local);
}

/* Messages for a train from byte `from` on, into scratch->send[at..]. Return: how many. */
static unsigned train_lay_out(const struct cv_udp *udp, const struct cv_train *train, uint32_t from,
			      unsigned at)
{
	struct cv_udp_scratch *scratch = udp->scratch;
	const bool whole = goes_whole(udp, train);
	const uint32_t stride = whole || train->segs <= 1 ? train->len : train->seg_size;
	struct msghdr header;
	unsigned i = at;

	header_write(&header, &scratch->send_envelopes[at], train, whole);
	do {
		struct iovec *iov = &scratch->send_envelopes[i].iov;
		uint32_t left = train->len - from;

		*iov = (struct iovec){ train->data + from, left < stride ? left : stride };
		/* Name and cmsgs are read only: the datagrams of a train share them. */
		scratch->send[i].msg_hdr = header;
		scratch->send[i].msg_hdr.msg_iov = iov;
		from += (uint32_t)iov->iov_len;
		i++;
	} while (from < train->len && i < SEND_MAX);
	return i - at;
}

static unsigned line_lay_out(const struct cv_udp *udp, const struct line *line)
{
	uint32_t from = line->done;
	unsigned n = 0;

	for (size_t i = line->next; i < line->n && n < SEND_MAX; i++) {
		if (in_line(line, &line->trains[i]))
			n += train_lay_out(udp, &line->trains[i], from, n);
		from = 0;
	}
	return n;
}

/* Go to the first train of this family at or behind `next`. */
static void line_seek(struct line *line)
{
	while (line->next < line->n && !in_line(line, &line->trains[line->next]))
		line->next++;
}

/* The message `iov` of trains[next] is done with. Return: datagrams it held. */
static uint16_t line_step(struct line *line, const struct iovec *iov)
{
	const struct cv_train *train = &line->trains[line->next];
	uint16_t datagrams = iov->iov_len > train->seg_size ? train->segs : 1;

	line->done += (uint32_t)iov->iov_len;
	if (line->done >= train->len) {
		line->next++;
		line->done = 0;
		line->suspect = (struct cv_source){ 0 };
		line_seek(line);
	}
	return datagrams;
}

/* Cut off what was sent of a train, so that the caller may hand it in again. */
static void line_shorten(struct line *line)
{
	struct cv_train *train;

	if (line->done == 0)
		return;
	train = &line->trains[line->next];
	train->data += line->done;
	train->len -= line->done;
	train->segs -= (uint16_t)(line->done / train->seg_size);
}

/* Return: messages sent, at least one, or -errno. */
static int kernel_send(const struct cv_udp *udp, int fd, struct mmsghdr *msgs, unsigned n)
{
	int sent;

	if (fd < 0)
		return -EAFNOSUPPORT;
	do {
		sent = udp->sendmmsg ? udp->sendmmsg(fd, msgs, n, MSG_DONTWAIT)
				     : sendmmsg(fd, msgs, n, MSG_DONTWAIT);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return -errno;
	return sent > 0 ? sent : -EAGAIN;
}

/* Take the source away if it may be what the kernel refused. */
static bool source_give_up(struct cv_train *train, int error)
{
	if (!has_source(train) || (error != -ENETUNREACH && error != -EINVAL && error != -ENODEV))
		return false;
	train->local = (struct cv_source){ 0 };
	train->source_refused = true;
	return true;
}

/* Change trains[next], or GSO for all, if that may cure the error. */
static bool line_cure(struct cv_udp *udp, struct line *line, int error)
{
	struct cv_train *train = &line->trains[line->next];
	struct cv_source source = train->local;

	if (source_give_up(train, error)) {
		if (error == -EINVAL)
			line->suspect = source;
		return true;
	}
	if (!goes_whole(udp, train))
		return false;
	if (error == -EIO)
		udp->gso = false;
	else if (error == -EINVAL || error == -EMSGSIZE)
		train->plain = true;
	else
		return false;
	train->gso_refused = true;
	if (error == -EINVAL && line->suspect.addr.family != 0) {
		train->local = line->suspect;
		train->source_refused = false;
		line->suspect = (struct cv_source){ 0 };
	}
	return true;
}

static void sent_count(struct cv_udp *udp, struct line *line, const struct mmsghdr *msg)
{
	uint16_t datagrams = line_step(line, msg->msg_hdr.msg_iov);

	udp->send_bytes += msg->msg_hdr.msg_iov->iov_len;
	udp->send_datagrams += datagrams;
	cv_histogram_add(&udp->send_sizes, datagrams);
}

/* Send what the messages [0, n) hold. Return: 0 when they are to be laid out anew, or -EAGAIN. */
static int messages_send(struct cv_udp *udp, struct line *line, unsigned n, struct cv_drops *drops)
{
	struct mmsghdr *msgs = udp->scratch->send;

	for (unsigned at = 0; at < n;) {
		int sent = kernel_send(udp, line->fd, &msgs[at], n - at);

		if (line->fd >= 0)
			udp->send_calls++;
		if (sent > 0) {
			udp->send_trains += (uint64_t)sent;
			for (; sent > 0; sent--)
				sent_count(udp, line, &msgs[at++]);
		} else if (sent == -EAGAIN) {
			return -EAGAIN;
		} else if (line_cure(udp, line, sent)) {
			udp->send_fallbacks++;
			return 0;
		} else {
			cv_drops_add(drops,
				     sent == -ENOBUFS ? CV_DROP_SEND_NOBUFS : CV_DROP_SEND_REFUSED,
				     line_step(line, msgs[at++].msg_hdr.msg_iov));
		}
	}
	return 0;
}

/* Return: 0 when all trains of the line are done with, or -EAGAIN. */
static int line_send(struct cv_udp *udp, struct line *line, struct cv_drops *drops)
{
	unsigned n;

	line_seek(line);
	while ((n = line_lay_out(udp, line)) > 0) {
		if (messages_send(udp, line, n, drops) < 0) {
			line_shorten(line);
			return -EAGAIN;
		}
	}
	return 0;
}

/* Bring what neither line has done with to the end, order kept. Return: where it begins. */
static size_t tail_gather(const struct line *v4, const struct line *v6)
{
	struct cv_train *trains = v4->trains;
	size_t tail = v4->n;

	for (size_t i = v4->n; i-- > 0;) {
		const struct line *line = in_line(v4, &trains[i]) ? v4 : v6;

		if (i < line->next)
			continue;
		if (i != --tail) {
			struct cv_train done = trains[tail];

			trains[tail] = trains[i];
			trains[i] = done;
		}
	}
	return tail;
}

int cv_udp_send(struct cv_udp *udp, struct cv_train *trains, size_t n, struct cv_drops *drops,
		size_t *ret_sent, int *ret_blocked_fd)
{
	struct line v4 = { .fd = udp->fd4, .v4 = true, .trains = trains, .n = n };
	struct line v6 = { .fd = udp->fd6, .v4 = false, .trains = trains, .n = n };
	int blocked = -1;

	if (line_send(udp, &v4, drops) < 0)
		blocked = udp->fd4;
	if (line_send(udp, &v6, drops) < 0 && blocked < 0)
		blocked = udp->fd6;
	if (blocked < 0) {
		*ret_sent = n;
		return 0;
	}
	*ret_sent = tail_gather(&v4, &v6);
	*ret_blocked_fd = blocked;
	return -EAGAIN;
}

static int fd_to(const struct cv_udp *udp, const struct cv_train *train)
{
	return train->remote.addr.family == AF_INET ? udp->fd4 : udp->fd6;
}

int cv_udp_send_one(const struct cv_udp *udp, struct cv_train *train)
{
	const int fd = fd_to(udp, train);
	struct envelope envelope = { .iov = { train->data, train->len } };
	int sent;

	do {
		struct mmsghdr msg = { 0 };

		header_write(&msg.msg_hdr, &envelope, train, false);
		msg.msg_hdr.msg_iov = &envelope.iov;
		sent = kernel_send(udp, fd, &msg, 1);
	} while (sent < 0 && source_give_up(train, sent));
	return sent < 0 ? sent : 0;
}

/* What other threads send by this socket between the two calls goes whole as well: a datagram now
 * and then that is lost where it would have come in fragments. No message can say so for itself in
 * IPv4. */
int cv_udp_send_whole(const struct cv_udp *udp, struct cv_train *train)
{
	const int fd = fd_to(udp, train), family = train->remote.addr.family;
	int r = fd < 0 ? -EAFNOSUPPORT : cv_udp_set_whole(fd, family, true);

	if (r < 0)
		return r;
	r = cv_udp_send_one(udp, train);
	cv_udp_set_whole(fd, family, false);
	return r;
}
