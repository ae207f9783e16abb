/*
 * The loop by epoll(7).
 *
 * Every watch is EPOLLIN | EPOLLET. EPOLLOUT joins while the watch wants to write and leaves with
 * the first event that brings it: left on, each datagram that the device is done with would wake
 * us. EPOLL_CTL_MOD looks at the fd anew, so room that is there already is reported as well.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "internal.h"

/* Events of one epoll_wait; the rest come in the next turn. Not measured. */
enum { EVENTS_MAX = 128 };

static int epoll_open(struct cv_loop *loop)
{
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return loop->epoll_fd < 0 ? -errno : 0;
}

static void epoll_close(struct cv_loop *loop)
{
	close(loop->epoll_fd);
}

static int control(struct cv_loop *loop, int op, struct cv_watch *watch)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };

	if (watch->state & CV_WATCH_WANTS_WRITE)
		event.events |= EPOLLOUT;
	event.data.u64 = cv_loop_id(loop, watch);
	return epoll_ctl(loop->epoll_fd, op, watch->fd, &event) ? -errno : 0;
}

static int epoll_add(struct cv_loop *loop, struct cv_watch *watch)
{
	return control(loop, EPOLL_CTL_ADD, watch);
}

static int epoll_want_write(struct cv_loop *loop, struct cv_watch *watch)
{
	return control(loop, EPOLL_CTL_MOD, watch);
}

static void epoll_remove(struct cv_loop *loop, struct cv_watch *watch)
{
	/* Fails when the owner closed the fd first; then the kernel has forgotten it already. */
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
}

static int epoll_wait_events(struct cv_loop *loop, bool block)
{
	struct epoll_event events[EVENTS_MAX];
	int n = epoll_wait(loop->epoll_fd, events, EVENTS_MAX, block ? -1 : 0);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < n; i++) {
		struct cv_watch *watch = cv_loop_find(loop, events[i].data.u64);

		if (!watch)
			continue;
		if ((events[i].events & EPOLLOUT) && (watch->state & CV_WATCH_WANTS_WRITE)) {
			watch->state &= ~(uint32_t)CV_WATCH_WANTS_WRITE;
			control(loop, EPOLL_CTL_MOD, watch);
		}
		cv_loop_post(loop, watch, events[i].events);
	}
	return 0;
}

const struct cv_loop_backend cv_loop_epoll = {
	.name = "epoll",
	.open = epoll_open,
	.close = epoll_close,
	.add = epoll_add,
	.want_write = epoll_want_write,
	.remove = epoll_remove,
	.wait = epoll_wait_events,
};
