/* The event loop of a thread: readiness of file descriptors, a deadline, wake-ups from others. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <convoy/base/time.h>

/* Which kernel interface carries the loop. */
enum cv_loop_kind {
	CV_LOOP_AUTO,     /* io_uring where the kernel grants it, else epoll */
	CV_LOOP_IO_URING, /* multishot poll, Linux 5.13; ring set-up of 6.1 where granted */
	CV_LOOP_EPOLL,
};

struct cv_loop;

/*
 * Something to watch. The owner embeds it and keeps it alive until cv_loop_remove().
 * Readiness is edge-like in both kinds: `ready` must work until EAGAIN, or return true ("more")
 * to be called again in the next turn without waiting for the kernel. Turns are fair: every ready
 * watch is called once a turn.
 */
struct cv_watch {
	int fd;
	/* revents: POLLIN, POLLOUT, POLLERR, POLLHUP as in poll(2). Return: true for "more", to be
	 * called with these revents again, joined with what is new. */
	bool (*ready)(struct cv_watch *watch, uint32_t revents);
	void *owner;
	/* The loop's own from here on; zero before the first cv_loop_add(). */
	struct cv_watch *next;
	uint32_t pending;
	uint32_t state;
	uint32_t slot;
};

/**
 * cv_loop_new() - make a loop for the calling thread
 * @kind:	CV_LOOP_AUTO probes by doing: sets a ring up, polls an eventfd through it
 *
 * The loop belongs to the calling thread (IORING_SETUP_SINGLE_ISSUER); only cv_loop_wake() may be
 * called from others.
 *
 * Return: 0 or -errno; with CV_LOOP_AUTO an io_uring that is refused (EPERM, ENOSYS, EINVAL) is
 * no error: the loop is epoll then.
 */
int cv_loop_new(enum cv_loop_kind kind, struct cv_loop **ret_loop);
/* Takes NULL. Any thread may do it once nobody uses the loop. Remove the watches first where their
 * fds must be let go of at once: a ring dies in the background. */
void cv_loop_free(struct cv_loop *loop);

/* "io_uring" or "epoll". */
const char *cv_loop_name(const struct cv_loop *loop);
/* Why CV_LOOP_AUTO became epoll ("io_uring refused: Operation not permitted"), NULL if it did
 * not. Lives as long as the loop. */
const char *cv_loop_why(const struct cv_loop *loop);

/*
 * Watch for readable (always) and errors. Already readable counts as readiness. One watch an fd;
 * remove it before closing the fd. Errors: -EBADF not an open fd; -ENOMEM.
 */
int cv_loop_add(struct cv_loop *loop, struct cv_watch *watch);
/* Ask for one POLLOUT notification; asking again before it came is free. */
int cv_loop_want_write(struct cv_loop *loop, struct cv_watch *watch);
/* Call the watch in the next turn as if it were readable: for work that was put off. */
void cv_loop_again(struct cv_loop *loop, struct cv_watch *watch);
/* Stop watching; `ready` is not called any more once this returns. Removing twice is harmless. */
void cv_loop_remove(struct cv_loop *loop, struct cv_watch *watch);

/**
 * cv_loop_turn() - wait for something to do, then do it once
 * @deadline:	CLOCK_BOOTTIME; the turn starts no later than this (CV_TIME_NEVER: no limit).
 *		Never returns for the deadline before it has passed.
 * @before_wait, @after_wait: called around the blocking wait only (RCU offline/online); may be NULL
 *
 * Return: number of watches called (0: the deadline passed or a wake-up came), or -errno.
 */
int cv_loop_turn(struct cv_loop *loop, cv_time deadline, void (*before_wait)(void),
		 void (*after_wait)(void));

/* End the wait of another thread's loop. Async-signal-safe, never blocks, never fails. */
void cv_loop_wake(struct cv_loop *loop);

/* CLOCK_BOOTTIME now. */
cv_time cv_clock_now(void);
/* CLOCK_REALTIME now, ns since the epoch: for TAI64N and for people. */
int64_t cv_clock_wall(void);
