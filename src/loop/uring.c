/*
 * The loop by io_uring(7).
 *
 * Every watch has one multishot poll for POLLIN that stays in the kernel and completes once per
 * edge, and while it wants to write a second, one-shot poll for POLLOUT. What is to be armed
 * lies in the submission queue until the next wait takes it along, so a turn costs one
 * io_uring_enter, and none when it does not block and the kernel has flagged no work.
 *
 * user_data is the id of the watch with the lowest bit saying which of the two polls it is. A
 * completion whose id finds nobody belongs to a watch that was removed and is dropped.
 *
 * A multishot poll ends when the completion queue was full (no IORING_CQE_F_MORE), or when the
 * kernel had no memory for it: it is armed again, and arming looks at the fd, so that no edge is
 * lost.
 *
 * A poll in the kernel holds the file open. Removal therefore does not wait for the next turn:
 * it cancels and runs the kernel's deferred work at once, and an owner who then closes the fd
 * finds the port or the device free.
 */
#include <errno.h>
#include <poll.h>

#include "internal.h"

enum {
	SQ_ENTRIES = 256, /* arms and removals between two waits; more cost one more syscall */
	CQ_ENTRIES = 1024,
};

#define IS_POLLOUT UINT64_C(1)
#define OF_CANCEL  UINT64_MAX

static int uring_open(struct cv_loop *loop)
{
	/* The best first (io.md measures 26.6, 25.2 and 20.8 Gbit/s through one loop): work is
	 * done when we ask for it, by us, and a flag says whether there is some (Linux 6.1);
	 * without being interrupted for it (5.19); as it comes. */
	static const unsigned ladder[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		0,
	};
	int ret = -EINVAL;

	for (size_t i = 0; ret == -EINVAL && i < sizeof(ladder) / sizeof(ladder[0]); i++) {
		struct io_uring_params params = {
			.flags = ladder[i] | IORING_SETUP_CQSIZE,
			.cq_entries = CQ_ENTRIES,
		};

		ret = io_uring_queue_init_params(SQ_ENTRIES, &loop->ring, &params);
	}
	return ret;
}

static void uring_close(struct cv_loop *loop)
{
	io_uring_queue_exit(&loop->ring);
}

static int get_sqe(struct cv_loop *loop, struct io_uring_sqe **ret_sqe)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&loop->ring);

	if (!sqe) {
		int ret = io_uring_submit(&loop->ring);

		sqe = io_uring_get_sqe(&loop->ring);
		if (!sqe)
			return ret < 0 ? ret : -EBUSY;
	}
	*ret_sqe = sqe;
	return 0;
}

static int uring_add(struct cv_loop *loop, struct cv_watch *watch)
{
	struct io_uring_sqe *sqe;
	int ret = get_sqe(loop, &sqe);

	if (ret)
		return ret;
	io_uring_prep_poll_multishot(sqe, watch->fd, POLLIN);
	io_uring_sqe_set_data64(sqe, cv_loop_id(loop, watch));
	return 0;
}

static int uring_want_write(struct cv_loop *loop, struct cv_watch *watch)
{
	struct io_uring_sqe *sqe;
	int ret = get_sqe(loop, &sqe);

	if (ret)
		return ret;
	io_uring_prep_poll_add(sqe, watch->fd, POLLOUT);
	io_uring_sqe_set_data64(sqe, cv_loop_id(loop, watch) | IS_POLLOUT);
	return 0;
}

static void cancel(struct cv_loop *loop, uint64_t user_data)
{
	struct io_uring_sqe *sqe;

	if (get_sqe(loop, &sqe))
		return; /* the poll lives on, its completions find nobody */
	/* Not POLL_REMOVE, which gives up (EALREADY) when an event is just being told: the poll
	 * would live on and hold the file. */
	io_uring_prep_cancel64(sqe, user_data, 0);
	io_uring_sqe_set_data64(sqe, OF_CANCEL);
}

static void uring_remove(struct cv_loop *loop, struct cv_watch *watch)
{
	uint64_t id = cv_loop_id(loop, watch);

	cancel(loop, id);
	if (watch->state & CV_WATCH_WANTS_WRITE)
		cancel(loop, id | IS_POLLOUT);
	io_uring_submit_and_get_events(&loop->ring);
}

static void handle(struct cv_loop *loop, const struct io_uring_cqe *cqe)
{
	const bool out = cqe->user_data & IS_POLLOUT;
	/* It is the poll that lacked memory, not the file. */
	const bool lacked = cqe->res == -ENOMEM && !out;
	struct cv_watch *watch;
	int ret = 0;

	if (cqe->user_data == OF_CANCEL)
		return;
	watch = cv_loop_find(loop, cqe->user_data);
	if (!watch)
		return;
	if (out)
		watch->state &= ~(uint32_t)CV_WATCH_WANTS_WRITE;
	else if (lacked || (cqe->res >= 0 && !(cqe->flags & IORING_CQE_F_MORE)))
		ret = uring_add(loop, watch);
	if (cqe->res < 0 && !lacked)
		ret = cqe->res;
	if (ret)
		cv_loop_post_failure(loop, watch, ret);
	else if (cqe->res > 0)
		cv_loop_post(loop, watch, (uint32_t)cqe->res);
}

/* Whether entering the kernel now would do something: submit, or move completions to our side. */
static bool has_work(struct io_uring *ring)
{
	unsigned flags = __atomic_load_n(ring->sq.kflags, __ATOMIC_RELAXED);

	return (flags & (IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN)) || io_uring_sq_ready(ring);
}

static int uring_wait(struct cv_loop *loop, bool block)
{
	struct io_uring *ring = &loop->ring;
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;
	int ret = 0;

	if (block)
		ret = io_uring_submit_and_wait(ring, 1);
	else if (has_work(ring))
		ret = io_uring_submit_and_get_events(ring);
	/* EBUSY: the completion queue has overflowed; emptying it below is the cure. */
	if (ret < 0 && ret != -EINTR && ret != -EAGAIN && ret != -ENOMEM && ret != -EBUSY)
		return ret;
	io_uring_for_each_cqe(ring, head, cqe) {
		handle(loop, cqe);
		n++;
	}
	io_uring_cq_advance(ring, n);
	return 0;
}

const struct cv_loop_backend cv_loop_uring = {
	.name = "io_uring",
	.open = uring_open,
	.close = uring_close,
	.add = uring_add,
	.want_write = uring_want_write,
	.remove = uring_remove,
	.wait = uring_wait,
};
