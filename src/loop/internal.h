/* What the two kinds of loop share: the loop itself, its slots, and the table of a backend. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <liburing.h>

#include <convoy/base/time.h>
#include <convoy/loop/loop.h>

/* Bits of cv_watch.state. */
enum {
	CV_WATCH_ADDED = 1 << 0,
	CV_WATCH_QUEUED = 1 << 1,      /* in loop->ready or loop->running */
	CV_WATCH_WANTS_WRITE = 1 << 2, /* asked for POLLOUT, not yet told */
};

/*
 * What the kernel is given to hold instead of a pointer. The generation moves on when the watch
 * leaves its slot, so that a late event finds nobody.
 */
struct cv_slot {
	struct cv_watch *watch; /* NULL: free */
	uint32_t generation;
};

/* First in, first out; linked through cv_watch.next. */
struct cv_watch_list {
	struct cv_watch *head, *tail;
};

/* A kernel interface. All return 0 or -errno. */
struct cv_loop_backend {
	const char *name;
	int (*open)(struct cv_loop *loop);
	void (*close)(struct cv_loop *loop);
	int (*add)(struct cv_loop *loop, struct cv_watch *watch);
	int (*want_write)(struct cv_loop *loop, struct cv_watch *watch);
	void (*remove)(struct cv_loop *loop, struct cv_watch *watch);
	/* Post what the kernel has; with `block` wait for something first. May return with nothing
	 * posted (a signal came). */
	int (*wait)(struct cv_loop *loop, bool block);
};

extern const struct cv_loop_backend cv_loop_uring, cv_loop_epoll;

struct cv_loop {
	const struct cv_loop_backend *backend;
	struct cv_watch_list ready;   /* to be called in the next turn */
	struct cv_watch_list running; /* left to be called in this turn */
	struct cv_watch *current;     /* in its callback; NULL when removed meanwhile */
	struct cv_watch wake, timer;
	cv_time armed; /* what the timerfd will fire at, CV_TIME_NEVER: it will not */
	bool woken;    /* the eventfd spoke in this turn */
	int error;     /* a watch of our own failed: no turn works any more */
	struct cv_slot *slots;
	uint32_t slots_max;
	union {
		struct io_uring ring;
		int epoll_fd;
	};
	char why[96];
	/* Written by other threads: kept off the lines above. */
	_Alignas(64) atomic_bool wake_pending;
};

/* Slot and generation of an added watch as one number. The lowest bit is the backend's. */
uint64_t cv_loop_id(const struct cv_loop *loop, const struct cv_watch *watch);
/* The watch an id stands for, or NULL when it was removed since. */
struct cv_watch *cv_loop_find(const struct cv_loop *loop, uint64_t id);
/* The kernel reports revents (never 0) for a watch. */
void cv_loop_post(struct cv_loop *loop, struct cv_watch *watch, uint32_t revents);
/* The kernel will not watch this fd any more: tells the owner by POLLERR. */
void cv_loop_post_failure(struct cv_loop *loop, struct cv_watch *watch, int error);

#ifdef CV_TEST_CLOCK
/* The CLOCK_BOOTTIME at which cv_clock_now() will be `time`, rounded up. */
cv_time cv_clock_boot(cv_time time);
#else
static inline cv_time cv_clock_boot(cv_time time)
{
	return time;
}
#endif
