/*
 * Many writes with one system call.
 *
 * How it works. A small ring of its own beside the loop's: what lies in it are writes and nothing
 * else, so a call submits them, waits for as many completions, and the ring is empty again. On a
 * non-blocking file a write is done while it is submitted, one behind the other. RWF_NOWAIT says so
 * once more, since io_uring waits on files that it can poll, O_NONBLOCK or not.
 *
 * When the ring fails as a whole, or the file knows no RWF_NOWAIT (a TUN before Linux 6.4), the
 * ring is given up; what had not been completed is written by writev(2), as everything is from
 * then on.
 */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>

#include <liburing.h>

#include <convoy/loop/writer.h>

enum { PENDING = INT_MIN }; /* no write answers so */

struct cv_writer {
	bool has_ring;
	struct io_uring ring;
};

int cv_writer_new(enum cv_loop_kind kind, struct cv_writer **ret_writer)
{
	struct cv_writer *writer = calloc(1, sizeof(*writer));
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
	};

	if (!writer)
		return -ENOMEM;
	/* Before Linux 6.1 writev(2) is no slower. */
	writer->has_ring = kind != CV_LOOP_EPOLL &&
			   io_uring_queue_init_params(CV_WRITER_MAX, &writer->ring, &params) == 0;
	*ret_writer = writer;
	return 0;
}

static void give_up_ring(struct cv_writer *writer)
{
	if (writer->has_ring)
		io_uring_queue_exit(&writer->ring);
	writer->has_ring = false;
}

void cv_writer_free(struct cv_writer *writer)
{
	if (!writer)
		return;
	give_up_ring(writer);
	free(writer);
}

static unsigned write_plainly(int fd, struct cv_write *writes, unsigned n)
{
	unsigned calls = 0;

	for (unsigned i = 0; i < n; i++) {
		ssize_t r;

		if (writes[i].result != PENDING)
			continue;
		do {
			r = writev(fd, writes[i].iov, (int)writes[i].iovs);
			calls++;
		} while (r < 0 && errno == EINTR);
		writes[i].result = r < 0 ? -errno : (int32_t)r;
	}
	return calls;
}

/* Return: completions that came. */
static unsigned reap(struct io_uring *ring, struct cv_write *writes)
{
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;

	io_uring_for_each_cqe(ring, head, cqe) {
		writes[cqe->user_data].result = cqe->res;
		n++;
	}
	io_uring_cq_advance(ring, n);
	return n;
}

static unsigned write_without_ring(struct cv_writer *writer, int fd, struct cv_write *writes,
				   unsigned n)
{
	give_up_ring(writer);
	for (unsigned i = 0; i < n; i++)
		if (writes[i].result == -EOPNOTSUPP)
			writes[i].result = PENDING;
	return write_plainly(fd, writes, n);
}

static unsigned write_by_ring(struct cv_writer *writer, int fd, struct cv_write *writes, unsigned n)
{
	struct io_uring *ring = &writer->ring;
	unsigned calls = 0, done = 0;

	for (unsigned i = 0; i < n; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

		io_uring_prep_writev2(sqe, fd, writes[i].iov, writes[i].iovs, 0, RWF_NOWAIT);
		io_uring_sqe_set_data64(sqe, i);
	}
	while (done < n) {
		int r = io_uring_submit_and_wait(ring, n - done);

		calls++;
		done += reap(ring, writes);
		if (r < 0 && r != -EINTR)
			return calls + write_without_ring(writer, fd, writes, n);
	}
	if (writes[0].result == -EOPNOTSUPP)
		calls += write_without_ring(writer, fd, writes, n);
	return calls;
}

unsigned cv_writer_run(struct cv_writer *writer, int fd, struct cv_write *writes, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		writes[i].result = PENDING;
	/* For one alone writev(2) is the cheaper way into the kernel. */
	if (n > 1 && writer->has_ring)
		return write_by_ring(writer, fd, writes, n);
	return write_plainly(fd, writes, n);
}
