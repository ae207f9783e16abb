/* Trains for tests of the UDP edge: bytes that tell their place, and addresses from text. */
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>

#include <convoy/io/udp.h>

#include "netns.h"

enum { MEM_SIZE = 1 << 20 };

/* One byte of a payload, from its offset in the test's memory. */
static inline uint8_t pattern(size_t offset)
{
	return (uint8_t)(offset * 7 + offset / 251);
}

static inline void pattern_fill(uint8_t *mem)
{
	for (size_t i = 0; i < MEM_SIZE; i++)
		mem[i] = pattern(i);
}

static inline struct cv_addr addr_of(const char *text)
{
	struct cv_addr addr = { .family = strchr(text, ':') ? AF_INET6 : AF_INET };

	if (inet_pton(addr.family, text, addr.b) != 1)
		fail_msg("not an address: %s", text);
	return addr;
}

static inline void assert_addr(const struct cv_addr *addr, const char *text)
{
	struct cv_addr wanted = addr_of(text);

	assert_int_equal(addr->family, wanted.family);
	assert_memory_equal(addr->b, wanted.b, sizeof(wanted.b));
}

/* A train to text:port; the last datagram may be short. */
static inline struct cv_train train_to(const char *text, uint16_t port, uint8_t *data, uint32_t len,
				       uint16_t seg_size)
{
	return (struct cv_train){
		.data = data,
		.len = len,
		.seg_size = seg_size,
		.segs = (uint16_t)((len + seg_size - 1u) / seg_size),
		.remote = { .addr = addr_of(text), .port = port },
	};
}

/* Wait for something to read, far longer than it can take. */
static inline void await(int fd)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };

	assert_int_equal(poll(&wait, 1, 10000), 1);
}
