/* Many vectored writes to one file descriptor with one system call, where io_uring is there. */
#pragma once

#include <stdint.h>
#include <sys/uio.h>

#include <convoy/loop/loop.h>

enum { CV_WRITER_MAX = 64 }; /* writes of one call. Not tuned. */

struct cv_write {
	const struct iovec *iov;
	uint32_t iovs;
	int32_t result; /* bytes written, or -errno, as writev(2) has it */
};

/* Belongs to one thread, as its loop does. */
struct cv_writer;

/* @kind: as the thread's loop; CV_LOOP_EPOLL never uses a ring. Return: 0 or -ENOMEM. */
int cv_writer_new(enum cv_loop_kind kind, struct cv_writer **ret_writer);
/* Takes NULL. */
void cv_writer_free(struct cv_writer *writer);

/**
 * cv_writer_run() - perform writes[n] in their order, n <= CV_WRITER_MAX
 * @fd:	non-blocking: what would block fails with -EAGAIN
 *
 * A failed write does not keep those behind it from being done. Each one's result is set.
 *
 * Return: system calls that it took. Source: IORING_OP_WRITEV of <linux/io_uring.h>, Linux 5.1.
 */
unsigned cv_writer_run(struct cv_writer *writer, int fd, struct cv_write *writes, unsigned n);
