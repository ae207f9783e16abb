/* Many writes with one call: in order, each with its own result, by ring and without. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <convoy/loop/writer.h>

#include "probe.h"
#include "refuse.h"

enum { N = CV_WRITER_MAX, SIZE = 600 };

/* N datagrams of SIZE bytes in two pieces, each beginning with its number. */
struct datagrams {
	uint8_t bytes[N][SIZE];
	struct iovec iov[N][2];
	struct cv_write writes[N];
};

static void lay_out(struct datagrams *datagrams)
{
	for (int i = 0; i < N; i++) {
		memset(datagrams->bytes[i], i, SIZE);
		datagrams->iov[i][0] = (struct iovec){ datagrams->bytes[i], 1 };
		datagrams->iov[i][1] = (struct iovec){ datagrams->bytes[i] + 1, SIZE - 1 };
		datagrams->writes[i] = (struct cv_write){ datagrams->iov[i], 2, 0 };
	}
}

static struct cv_writer *new_writer(void **state)
{
	struct cv_writer *writer;

	assert_int_equal(cv_writer_new(*(const enum cv_loop_kind *)*state, &writer), 0);
	return writer;
}

static void open_pair(int ret_pair[2])
{
	const int room = 1 << 20;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ret_pair), 0);
	assert_int_equal(setsockopt(ret_pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)), 0);
}

static void close_pair(const int pair[2])
{
	close(pair[0]);
	close(pair[1]);
}

static void assert_arrives(int fd, int number)
{
	uint8_t bytes[SIZE + 1];

	assert_int_equal(recv(fd, bytes, sizeof(bytes), 0), SIZE);
	assert_int_equal(bytes[0], number);
	assert_int_equal(bytes[SIZE - 1], number);
}

static void writes_arrive_in_their_order(void **state)
{
	struct cv_writer *writer = new_writer(state);
	bool ring = *(const enum cv_loop_kind *)*state == CV_LOOP_IO_URING;
	struct datagrams datagrams;
	int pair[2];

	open_pair(pair);
	for (unsigned n = 1; n <= N; n += 7) {
		unsigned calls;

		lay_out(&datagrams);
		calls = cv_writer_run(writer, pair[0], datagrams.writes, n);
		assert_int_equal(calls, ring ? 1 : n);
		for (unsigned i = 0; i < n; i++) {
			assert_int_equal(datagrams.writes[i].result, SIZE);
			assert_arrives(pair[1], (int)i);
		}
		assert_int_equal(recv(pair[1], datagrams.bytes, 1, 0), -1);
	}
	close_pair(pair);
	cv_writer_free(writer);
}

static void failed_write_does_not_stop_those_behind_it(void **state)
{
	struct cv_writer *writer = new_writer(state);
	struct datagrams datagrams;
	int pair[2];

	open_pair(pair);
	lay_out(&datagrams);
	datagrams.iov[1][1].iov_base = NULL;
	cv_writer_run(writer, pair[0], datagrams.writes, 3);
	assert_int_equal(datagrams.writes[0].result, SIZE);
	assert_int_equal(datagrams.writes[1].result, -EFAULT);
	assert_int_equal(datagrams.writes[2].result, SIZE);
	assert_arrives(pair[1], 0);
	assert_arrives(pair[1], 2);
	close_pair(pair);
	cv_writer_free(writer);
}

static void full_file_answers_eagain(void **state)
{
	struct cv_writer *writer = new_writer(state);
	struct datagrams datagrams;
	int pair[2], room = 1, fits = 0;

	open_pair(pair);
	assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)), 0);
	lay_out(&datagrams);
	cv_writer_run(writer, pair[0], datagrams.writes, N);
	while (fits < N && datagrams.writes[fits].result == SIZE)
		fits++;
	assert_in_range(fits, 1, N - 1);
	for (int i = fits; i < N; i++)
		assert_int_equal(datagrams.writes[i].result, -EAGAIN);
	close_pair(pair);
	cv_writer_free(writer);
}

/* In a child, whose ring stops to work under it. */
static int outlive_ring(void)
{
	struct cv_writer *writer;
	struct datagrams datagrams;
	uint8_t byte;
	int pair[2];

	open_pair(pair);
	if (cv_writer_new(CV_LOOP_IO_URING, &writer) || refuse_call(__NR_io_uring_enter, EPERM))
		return 77;
	for (int round = 0; round < 2; round++) {
		lay_out(&datagrams);
		cv_writer_run(writer, pair[0], datagrams.writes, 5);
		for (int i = 0; i < 5; i++)
			if (datagrams.writes[i].result != SIZE || recv(pair[1], &byte, 1, 0) != 1 ||
			    byte != i)
				return 1;
	}
	if (recv(pair[1], &byte, 1, 0) != -1)
		return 2;
	cv_writer_free(writer);
	close_pair(pair);
	return 0;
}

static void ring_that_fails_is_given_up_and_nothing_is_lost(void **state)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(outlive_ring());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(writes_arrive_in_their_order),
		CASE(failed_write_does_not_stop_those_behind_it),
		CASE(full_file_answers_eagain),
		cmocka_unit_test(ring_that_fails_is_given_up_and_nothing_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
