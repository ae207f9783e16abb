/*
 * sink: takes what comes to a UDP port, 64 datagrams a call, and drops it.
 *
 *	sink PORT
 *
 * What it costs to receive a flood and do nothing about it.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
	BATCH = 64,
	SIZE = 2048,
};

int main(int argc, char **argv)
{
	static uint8_t bytes[BATCH][SIZE];
	static struct iovec iov[BATCH];
	static struct mmsghdr msgs[BATCH];
	const int buffer = 1 << 20, fd = socket(AF_INET6, SOCK_DGRAM, 0); /* IPv4 as well */
	struct sockaddr_in6 here = {
		.sin6_family = AF_INET6,
		.sin6_port = htons((uint16_t)(argc == 2 ? atoi(argv[1]) : 0)),
	};

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)) < 0 ||
	    bind(fd, (struct sockaddr *)&here, sizeof(here)) < 0) {
		perror("sink");
		return 1;
	}
	for (size_t i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){ bytes[i], SIZE };
		msgs[i].msg_hdr = (struct msghdr){ .msg_iov = &iov[i], .msg_iovlen = 1 };
	}
	while (recvmmsg(fd, msgs, BATCH, MSG_WAITFORONE, NULL) >= 0)
		;
	perror("sink");
	return 1;
}
