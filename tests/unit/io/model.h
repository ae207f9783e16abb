/* A kernel for the send seam that refuses what it is told to, and remembers what it took. */
#pragma once

#include <errno.h>
#include <netinet/udp.h>

#include "trains.h"

enum { WIRE_MAX = 8192, V4 = 104, V6 = 106 };

/* One datagram on the wire: where its bytes were taken from tells which one it is. */
struct datagram {
	int fd;
	const uint8_t *data;
	size_t len;
	bool has_source;
};

/* What a message says of itself. */
struct message {
	const uint8_t *data;
	size_t len;
	uint16_t seg_size; /* 0: no UDP_SEGMENT */
	bool has_source;
	int tos;
};

static struct model {
	/* 0 to take the message, else the errno; NULL takes all. */
	int (*refuse)(int fd, const struct message *message);
	unsigned at_most; /* messages a call takes; 0: all */
	int room[2];      /* messages v4 and v6 take before EAGAIN; negative: without end */
	struct datagram wire[WIRE_MAX];
	size_t wires;
	unsigned calls, messages;
	int tos;                  /* of the last message */
	struct sockaddr_in6 name; /* of the last call's first message */
} model;

static inline struct message message_read(struct msghdr *msg)
{
	struct message m = { .data = msg->msg_iov->iov_base, .len = msg->msg_iov->iov_len };

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_SEGMENT)
			memcpy(&m.seg_size, CMSG_DATA(c), sizeof(m.seg_size));
		else if (c->cmsg_type == (c->cmsg_level == IPPROTO_IP ? IP_TOS : IPV6_TCLASS))
			memcpy(&m.tos, CMSG_DATA(c), sizeof(m.tos));
		else
			m.has_source = true;
	}
	return m;
}

static inline void model_take(int fd, const struct message *m)
{
	size_t stride = m->seg_size ? m->seg_size : m->len;

	for (size_t at = 0; at < m->len; at += stride) {
		assert_true(model.wires < WIRE_MAX);
		model.wire[model.wires++] = (struct datagram){
			fd, m->data + at, m->len - at < stride ? m->len - at : stride, m->has_source
		};
	}
	model.messages++;
	model.tos = m->tos;
}

static inline int model_sendmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags)
{
	unsigned i;

	assert_int_equal(flags, MSG_DONTWAIT);
	assert_true(n > 0);
	model.calls++;
	assert_true(msgs->msg_hdr.msg_namelen <= sizeof(model.name));
	memcpy(&model.name, msgs->msg_hdr.msg_name, msgs->msg_hdr.msg_namelen);
	errno = 0;
	for (i = 0; i < n && (model.at_most == 0 || i < model.at_most); i++) {
		struct message m = message_read(&msgs[i].msg_hdr);
		int *room = &model.room[fd == V6];

		errno = model.refuse ? model.refuse(fd, &m) : 0;
		if (errno == 0 && *room == 0)
			errno = EAGAIN;
		if (errno != 0)
			break;
		if (*room > 0)
			--*room;
		model_take(fd, &m);
	}
	return i > 0 ? (int)i : -1;
}

/* A UDP edge on the model, nothing refused. */
static inline void model_open(struct cv_udp *ret_udp)
{
	static struct cv_udp real;
	struct cv_udp_options options = { .gso = true };

	if (real.scratch == NULL)
		assert_int_equal(cv_udp_open(&options, &real), 0);
	assert_int_equal(cv_udp_share(&real, ret_udp), 0);
	ret_udp->fd4 = V4;
	ret_udp->fd6 = V6;
	ret_udp->sendmmsg = model_sendmmsg;
	memset(&model, 0, sizeof(model));
	model.room[0] = model.room[1] = -1;
}

/* The wire holds exactly the bytes [from, from + len) as datagrams of at most seg_size, from `at`
 * on. Return: where the next datagram is. */
static inline size_t assert_wire(size_t at, int fd, const uint8_t *from, size_t len,
				 size_t seg_size)
{
	for (size_t done = 0; done < len; done += seg_size, at++) {
		assert_true(at < model.wires);
		assert_int_equal(model.wire[at].fd, fd);
		assert_ptr_equal(model.wire[at].data, from + done);
		assert_int_equal(model.wire[at].len, len - done < seg_size ? len - done : seg_size);
	}
	return at;
}
