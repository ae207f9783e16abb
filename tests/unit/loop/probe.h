/* What the tests of the loop share: a case for both kinds, and a watched pipe that counts. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

/* cmocka.h needs what stands above it. */
#include <cmocka.h>

#include <convoy/loop/loop.h>

/* A case for each kind of loop. */
#define CASE(name)                                                     \
	cmocka_unit_test_prestate(name, (void *)(uintptr_t)&kinds[0]), \
		cmocka_unit_test_prestate(name, (void *)(uintptr_t)&kinds[1])

/* Long enough for any machine; only a test that fails waits for it. */
#define LONG (cv_clock_now() + 20 * CV_NS_PER_S)

static const enum cv_loop_kind kinds[] = { CV_LOOP_IO_URING, CV_LOOP_EPOLL };

/* The loop of the case's kind; skips where the kernel does not grant it. */
static inline struct cv_loop *new_loop(void **state)
{
	struct cv_loop *loop;
	int ret = cv_loop_new(*(const enum cv_loop_kind *)*state, &loop);

	if (ret == -EPERM || ret == -ENOSYS)
		skip();
	assert_int_equal(ret, 0);
	return loop;
}

/* A pipe whose reading end is watched. */
struct probe {
	struct cv_watch watch;
	int to;
	struct cv_loop *loop;
	struct cv_watch *victim; /* removed in the callback */
	int calls, bytes;
	uint32_t revents; /* all seen */
};

/* Reads one byte a call: a budget of one. */
static inline bool read_one(struct cv_watch *watch, uint32_t revents)
{
	struct probe *probe = watch->owner;
	char byte;

	probe->calls++;
	probe->revents |= revents;
	if (read(watch->fd, &byte, 1) != 1)
		return false;
	probe->bytes++;
	return true;
}

static inline bool read_all(struct cv_watch *watch, uint32_t revents)
{
	struct probe *probe = watch->owner;
	char bytes[512];
	ssize_t n;

	probe->calls++;
	probe->revents |= revents;
	while ((n = read(watch->fd, bytes, sizeof(bytes))) > 0)
		probe->bytes += (int)n;
	return false;
}

static inline bool count_only(struct cv_watch *watch, uint32_t revents)
{
	struct probe *probe = watch->owner;

	probe->calls++;
	probe->revents |= revents;
	return false;
}

static inline struct probe *new_probe(struct cv_loop *loop,
				      bool (*ready)(struct cv_watch *watch, uint32_t revents))
{
	struct probe *probe = calloc(1, sizeof(*probe));
	int fds[2];

	assert_non_null(probe);
	assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
	probe->watch = (struct cv_watch){ .fd = fds[0], .ready = ready, .owner = probe };
	probe->to = fds[1];
	probe->loop = loop;
	assert_int_equal(cv_loop_add(loop, &probe->watch), 0);
	return probe;
}

static inline void put(const struct probe *probe, size_t n)
{
	static const char bytes[64];

	assert_int_equal(write(probe->to, bytes, n), n);
}

static inline void free_probe(struct probe *probe)
{
	cv_loop_remove(probe->loop, &probe->watch);
	close(probe->watch.fd);
	if (probe->to >= 0)
		close(probe->to);
	free(probe);
}

/* A turn that does not wait. */
static inline int poll_once(struct cv_loop *loop)
{
	return cv_loop_turn(loop, cv_clock_now(), NULL, NULL);
}

static inline int turn(struct cv_loop *loop)
{
	return cv_loop_turn(loop, LONG, NULL, NULL);
}

static inline void fill(int fd)
{
	static const char bytes[4096];

	while (write(fd, bytes, sizeof(bytes)) > 0)
		;
}

static inline void drain(int fd)
{
	char bytes[4096];

	while (read(fd, bytes, sizeof(bytes)) > 0)
		;
}
