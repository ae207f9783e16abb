/* What the files of the UDP edge share: the message arrays. */
#pragma once

#include <netinet/in.h>
#include <stdalign.h>
#include <stdint.h>
#include <sys/socket.h>

#include <convoy/io/udp.h>

enum {
	/* Messages of one sendmmsg: four full trains sent plainly. Not tuned beyond that; the
	 * kernel's own limit is UIO_MAXIOV, 1024. */
	SEND_MAX = 256,
	/* Every cmsg a message may carry, either way: segment or GRO size, TOS, overflows, PKTINFO
	 * (v6 is the larger one). */
	CONTROL_SIZE = 3 * CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct in6_pktinfo)),
};

/* All that a struct msghdr points to. */
struct envelope {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} name;
	struct iovec iov;
	alignas(struct cmsghdr) uint8_t control[CONTROL_SIZE];
};

struct cv_udp_scratch {
	struct mmsghdr send[SEND_MAX];
	struct envelope send_envelopes[SEND_MAX];
	struct mmsghdr receive[CV_UDP_RECEIVE_MAX];
	struct envelope receive_envelopes[CV_UDP_RECEIVE_MAX];
	bool receive_small[2]; /* v4, v6: the last messages were small */
	uint32_t overflows[2]; /* v4, v6: what SO_RXQ_OVFL told last */
	bool gso_supported;    /* UDP_SEGMENT worked at open: what cv_udp_reprobe() goes back to */
};

/* Whether datagrams sent by this socket must arrive in one piece: they carry DF (IPv4), and more
 * than the interface takes is refused with -EMSGSIZE. What ICMP said of the path is not minded.
 * Return: 0 or -errno. */
int cv_udp_set_whole(int fd, int family, bool whole);
