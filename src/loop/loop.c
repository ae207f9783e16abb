/*
 * The event loop: what both kinds have in common.
 *
 * A turn: arm the timer if we are going to wait, let the backend wait and post what the kernel
 * reports, then call every posted watch once. A watch that returns "more" goes to the end of the
 * list of the next turn, and a turn that starts with a list does not block; it still asks the
 * kernel for news, so that one busy watch starves nobody.
 *
 * The deadline is one timerfd, a watch of our own. Deadlines mostly move on into the future while
 * packets flow; so the timer is left alone when it fires no later than the deadline. If it then
 * fires early the wait goes on with the timer armed anew: one syscall in place of one per turn.
 *
 * A wake-up is a write to an eventfd, also a watch of our own. `wake_pending` spares the second
 * and later writes until the loop has seen the first: it is cleared before the turn returns, and
 * whoever finds it set thereby knows that a turn is still to end, after which the loop's thread
 * looks at whatever the waker left for it. The exchanges order those looks behind the writes.
 *
 * Neither the eventfd nor the timerfd is ever read: readiness is edge-like, each write and each
 * expiry is a new edge.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "internal.h"

_Static_assert(POLLIN == EPOLLIN && POLLOUT == EPOLLOUT && POLLERR == EPOLLERR &&
		       POLLHUP == EPOLLHUP,
	       "revents of poll and epoll are the same bits");

static void list_append(struct cv_watch_list *list, struct cv_watch *watch)
{
	watch->next = NULL;
	if (list->tail)
		list->tail->next = watch;
	else
		list->head = watch;
	list->tail = watch;
}

static struct cv_watch *list_take(struct cv_watch_list *list)
{
	struct cv_watch *watch = list->head;

	if (watch) {
		list->head = watch->next;
		if (!list->head)
			list->tail = NULL;
	}
	return watch;
}

static void list_remove(struct cv_watch_list *list, const struct cv_watch *watch)
{
	struct cv_watch_list kept = { NULL, NULL };
	struct cv_watch *each;

	while ((each = list_take(list)))
		if (each != watch)
			list_append(&kept, each);
	*list = kept;
}

uint64_t cv_loop_id(const struct cv_loop *loop, const struct cv_watch *watch)
{
	return (uint64_t)loop->slots[watch->slot].generation << 32 | watch->slot << 1;
}

struct cv_watch *cv_loop_find(const struct cv_loop *loop, uint64_t id)
{
	const struct cv_slot *slot = &loop->slots[(uint32_t)id >> 1];

	return slot->generation == id >> 32 ? slot->watch : NULL;
}

void cv_loop_post(struct cv_loop *loop, struct cv_watch *watch, uint32_t revents)
{
	if (watch == &loop->timer) {
		loop->armed = CV_TIME_NEVER;
		return;
	}
	if (watch == &loop->wake) {
		atomic_exchange_explicit(&loop->wake_pending, false, memory_order_acq_rel);
		loop->woken = true;
		return;
	}
	watch->pending |= revents;
	if (!(watch->state & CV_WATCH_QUEUED)) {
		watch->state |= CV_WATCH_QUEUED;
		list_append(&loop->ready, watch);
	}
}

void cv_loop_post_failure(struct cv_loop *loop, struct cv_watch *watch, int error)
{
	if (watch == &loop->timer || watch == &loop->wake)
		loop->error = error;
	else
		cv_loop_post(loop, watch, POLLERR);
}

static int slot_take(struct cv_loop *loop, struct cv_watch *watch)
{
	uint32_t slot = 0, more;
	struct cv_slot *slots;

	while (slot < loop->slots_max && loop->slots[slot].watch)
		slot++;
	if (slot == loop->slots_max) {
		more = loop->slots_max ? loop->slots_max * 2 : 16;
		slots = reallocarray(loop->slots, more, sizeof(*slots));
		if (!slots)
			return -ENOMEM;
		memset(slots + slot, 0, (more - slot) * sizeof(*slots));
		loop->slots = slots;
		loop->slots_max = more;
	}
	loop->slots[slot].watch = watch;
	watch->slot = slot;
	return 0;
}

static void slot_give(struct cv_loop *loop, const struct cv_watch *watch)
{
	loop->slots[watch->slot].watch = NULL;
	loop->slots[watch->slot].generation++;
}

int cv_loop_add(struct cv_loop *loop, struct cv_watch *watch)
{
	int ret;

	/* io_uring would tell later, by a completion. */
	if (fcntl(watch->fd, F_GETFD) < 0)
		return -errno;
	ret = slot_take(loop, watch);
	if (ret)
		return ret;
	watch->next = NULL;
	watch->pending = 0;
	watch->state = CV_WATCH_ADDED;
	ret = loop->backend->add(loop, watch);
	if (ret) {
		slot_give(loop, watch);
		watch->state = 0;
	}
	return ret;
}

int cv_loop_want_write(struct cv_loop *loop, struct cv_watch *watch)
{
	int ret;

	if (watch->state & CV_WATCH_WANTS_WRITE)
		return 0;
	watch->state |= CV_WATCH_WANTS_WRITE;
	ret = loop->backend->want_write(loop, watch);
	if (ret)
		watch->state &= ~(uint32_t)CV_WATCH_WANTS_WRITE;
	return ret;
}

void cv_loop_again(struct cv_loop *loop, struct cv_watch *watch)
{
	cv_loop_post(loop, watch, POLLIN);
}

void cv_loop_remove(struct cv_loop *loop, struct cv_watch *watch)
{
	if (!(watch->state & CV_WATCH_ADDED))
		return;
	loop->backend->remove(loop, watch);
	slot_give(loop, watch);
	if (watch->state & CV_WATCH_QUEUED) {
		list_remove(&loop->ready, watch);
		list_remove(&loop->running, watch);
	}
	if (loop->current == watch)
		loop->current = NULL;
	watch->state = 0;
}

void cv_loop_wake(struct cv_loop *loop)
{
	int saved = errno;

	if (!atomic_exchange_explicit(&loop->wake_pending, true, memory_order_acq_rel))
		eventfd_write(loop->wake.fd, 1);
	errno = saved;
}

static int timer_arm(struct cv_loop *loop, cv_time deadline)
{
	cv_time boot = cv_clock_boot(deadline);
	struct itimerspec spec = {
		.it_value = { .tv_sec = boot / CV_NS_PER_S, .tv_nsec = boot % CV_NS_PER_S },
	};

	if (deadline >= loop->armed)
		return 0;
	if (timerfd_settime(loop->timer.fd, TFD_TIMER_ABSTIME, &spec, NULL))
		return -errno;
	loop->armed = deadline;
	return 0;
}

static bool is_over(const struct cv_loop *loop, cv_time deadline)
{
	return loop->ready.head || loop->woken || loop->error ||
	       (deadline != CV_TIME_NEVER && cv_clock_now() >= deadline);
}

static int wait_until(struct cv_loop *loop, cv_time deadline)
{
	int ret;

	do {
		ret = timer_arm(loop, deadline);
		if (!ret)
			ret = loop->backend->wait(loop, true);
	} while (!ret && !is_over(loop, deadline));
	return ret;
}

static int call_ready(struct cv_loop *loop)
{
	struct cv_watch *watch;
	int called = 0;

	loop->running = loop->ready;
	loop->ready = (struct cv_watch_list){ NULL, NULL };
	while ((watch = list_take(&loop->running))) {
		uint32_t revents = watch->pending;

		watch->pending = 0;
		watch->state &= ~(uint32_t)CV_WATCH_QUEUED;
		loop->current = watch;
		/* The callback may remove its watch, and free it: current tells. */
		if (watch->ready(watch, revents) && loop->current)
			cv_loop_post(loop, watch, revents);
		called++;
	}
	loop->current = NULL;
	return called;
}

int cv_loop_turn(struct cv_loop *loop, cv_time deadline, void (*before_wait)(void),
		 void (*after_wait)(void))
{
	int ret;

	loop->woken = false;
	if (is_over(loop, deadline)) {
		ret = loop->backend->wait(loop, false);
	} else {
		if (before_wait)
			before_wait();
		ret = wait_until(loop, deadline);
		if (after_wait)
			after_wait();
	}
	if (!ret)
		ret = loop->error;
	return ret ? ret : call_ready(loop);
}

static int add_own(struct cv_loop *loop)
{
	int ret;

	loop->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->wake.fd < 0)
		return -errno;
	loop->timer.fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (loop->timer.fd < 0)
		return -errno;
	ret = cv_loop_add(loop, &loop->wake);
	if (!ret)
		ret = cv_loop_add(loop, &loop->timer);
	return ret;
}

/* Half-built loops have no backend yet and fds of -1. */
static int make(const struct cv_loop_backend *backend, struct cv_loop **ret_loop)
{
	struct cv_loop *loop = aligned_alloc(_Alignof(struct cv_loop), sizeof(*loop));
	int ret;

	if (!loop)
		return -ENOMEM;
	memset(loop, 0, sizeof(*loop));
	loop->wake.fd = loop->timer.fd = -1;
	loop->armed = CV_TIME_NEVER;
	atomic_init(&loop->wake_pending, false);
	ret = backend->open(loop);
	if (!ret) {
		loop->backend = backend;
		ret = add_own(loop);
	}
	/* Granted is what works: one turn ended by a wake-up through the kernel. */
	if (!ret) {
		cv_loop_wake(loop);
		ret = cv_loop_turn(loop, CV_TIME_NEVER, NULL, NULL);
	}
	if (ret) {
		cv_loop_free(loop);
		return ret;
	}
	*ret_loop = loop;
	return 0;
}

int cv_loop_new(enum cv_loop_kind kind, struct cv_loop **ret_loop)
{
	int ret, refused;

	if (kind == CV_LOOP_EPOLL)
		return make(&cv_loop_epoll, ret_loop);
	refused = make(&cv_loop_uring, ret_loop);
	if (!refused || kind == CV_LOOP_IO_URING)
		return refused;
	ret = make(&cv_loop_epoll, ret_loop);
	if (!ret)
		snprintf((*ret_loop)->why, sizeof((*ret_loop)->why), "io_uring refused: %s",
			 strerror(-refused));
	return ret;
}

void cv_loop_free(struct cv_loop *loop)
{
	if (!loop)
		return;
	if (loop->backend)
		loop->backend->close(loop);
	if (loop->wake.fd >= 0)
		close(loop->wake.fd);
	if (loop->timer.fd >= 0)
		close(loop->timer.fd);
	free(loop->slots);
	free(loop);
}

const char *cv_loop_name(const struct cv_loop *loop)
{
	return loop->backend->name;
}

const char *cv_loop_why(const struct cv_loop *loop)
{
	return loop->why[0] ? loop->why : NULL;
}
