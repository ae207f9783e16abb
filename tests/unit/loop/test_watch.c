/* Readiness as a watch sees it: edges, "more", fairness, room to write, errors, crowds. */
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "probe.h"

static void readable_before_add_is_reported(void **state)
{
	struct cv_loop *loop = new_loop(state);
	struct probe *probe = new_probe(loop, read_all);

	cv_loop_remove(loop, &probe->watch);
	put(probe, 3);
	assert_int_equal(cv_loop_add(loop, &probe->watch), 0);
	assert_int_equal(turn(loop), 1);
	assert_int_equal(probe->bytes, 3);
	assert_true(probe->revents & POLLIN);
	free_probe(probe);
	cv_loop_free(loop);
}

static void each_write_after_draining_is_a_new_edge(void **state)
{
	struct cv_loop *loop = new_loop(state);
	struct probe *probe = new_probe(loop, read_all);

	for (int i = 1; i <= 1000; i++) {
		put(probe, 1);
		assert_int_equal(turn(loop), 1);
		assert_int_equal(probe->bytes, i);
		assert_int_equal(poll_once(loop), 0);
	}
	free_probe(probe);
	cv_loop_free(loop);
}

static void more_is_called_every_turn_until_it_is_done(void **state)
{
	struct cv_loop *loop = new_loop(state);
	struct probe *probe = new_probe(loop, read_one);

	put(probe, 10);
	for (int i = 1; i <= 11; i++) {
		assert_int_equal(turn(loop), 1);
		assert_int_equal(probe->calls, i);
	}
	assert_int_equal(probe->bytes, 10);
	assert_int_equal(poll_once(loop), 0);
	free_probe(probe);
	cv_loop_free(loop);
}

static void busy_watch_does_not_starve_another(void **state)
{
	struct cv_loop *loop = new_loop(state);
	struct probe *busy = new_probe(loop, read_one), *other = new_probe(loop, read_all);

	put(busy, 20);
	assert_int_equal(turn(loop), 1);
	for (int i = 1; i <= 5; i++) {
		put(other, 1);
		assert_int_equal(turn(loop), 2);
		assert_int_equal(other->bytes, i);
		assert_int_equal(busy->calls, i + 1);
	}
	free_probe(busy);
	free_probe(other);
	cv_loop_free(loop);
}

static void again_calls_the_watch_in_the_next_turn(void **state)
{
	struct cv_loop *loop = new_loop(state);
	struct probe *probe = new_probe(loop, count_only);

	cv_loop_again(loop, &probe->watch);
	cv_loop_again(loop, &probe->watch);
	assert_int_equal(turn(loop), 1);
	assert_int_equal(probe->revents, POLLIN);
	assert_int_equal(poll_once(loop), 0);
	free_probe(probe);
	cv_loop_free(loop);
}

static void want_write_tells_once_when_there_is_room(void **state)
{
	struct cv_loop *loop = new_loop(state);
	struct probe probe = { 0 };
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	probe.watch = (struct cv_watch){ .fd = fds[0], .ready = count_only, .owner = &probe };
	assert_int_equal(cv_loop_add(loop, &probe.watch), 0);
	for (int i = 0; i < 10; i++) {
		probe.calls = 0;
		probe.revents = 0;
		fill(fds[0]);
		assert_int_equal(cv_loop_want_write(loop, &probe.watch), 0);
		assert_int_equal(cv_loop_want_write(loop, &probe.watch), 0);
		assert_int_equal(poll_once(loop), 0);
		drain(fds[1]);
		assert_int_equal(turn(loop), 1);
		assert_int_equal(probe.revents, POLLOUT);
		/* Not asked again: room that appears is nobody's business. */
		fill(fds[0]);
		drain(fds[1]);
		assert_int_equal(poll_once(loop), 0);
		assert_int_equal(probe.calls, 1);
	}
	cv_loop_remove(loop, &probe.watch);
	cv_loop_free(loop);
	close(fds[0]);
	close(fds[1]);
}

static void want_write_with_room_already_there_is_told(void **state)
{
	struct cv_loop *loop = new_loop(state);
	struct probe probe = { 0 };
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, fds), 0);
	probe.watch = (struct cv_watch){ .fd = fds[0], .ready = count_only, .owner = &probe };
	assert_int_equal(cv_loop_add(loop, &probe.watch), 0);
	for (int i = 1; i <= 10; i++) {
		assert_int_equal(cv_loop_want_write(loop, &probe.watch), 0);
		assert_int_equal(turn(loop), 1);
		assert_int_equal(probe.revents, POLLOUT);
		assert_int_equal(probe.calls, i);
	}
	assert_int_equal(cv_loop_want_write(loop, &probe.watch), 0);
	cv_loop_remove(loop, &probe.watch);
	assert_int_equal(poll_once(loop), 0);
	cv_loop_free(loop);
	close(fds[0]);
	close(fds[1]);
}

static void hang_up_is_delivered(void **state)
{
	struct cv_loop *loop = new_loop(state);
	struct probe *probe = new_probe(loop, read_all);

	assert_int_equal(poll_once(loop), 0);
	close(probe->to);
	probe->to = -1;
	assert_int_equal(turn(loop), 1);
	assert_true(probe->revents & POLLHUP);
	free_probe(probe);
	cv_loop_free(loop);
}

static void error_is_delivered(void **state)
{
	struct cv_loop *loop = new_loop(state);
	struct probe probe = { 0 };
	int fds[2];

	/* The writing end of a pipe that has lost its reader. */
	assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
	probe.watch = (struct cv_watch){ .fd = fds[1], .ready = count_only, .owner = &probe };
	assert_int_equal(cv_loop_add(loop, &probe.watch), 0);
	assert_int_equal(poll_once(loop), 0);
	close(fds[0]);
	assert_int_equal(turn(loop), 1);
	assert_true(probe.revents & POLLERR);
	cv_loop_remove(loop, &probe.watch);
	close(fds[1]);
	cv_loop_free(loop);
}

static void many_watches_are_all_called_once_a_write(void **state)
{
	enum { N = 200 };
	struct cv_loop *loop = new_loop(state);
	struct probe *probes[N];

	for (int i = 0; i < N; i++)
		probes[i] = new_probe(loop, read_all);
	for (int round = 1; round <= 20; round++) {
		for (int i = 0; i < N; i++)
			put(probes[i], 1);
		for (int called = 0; called < N;) {
			int ret = turn(loop);

			assert_true(ret > 0);
			called += ret;
		}
		for (int i = 0; i < N; i++)
			assert_int_equal(probes[i]->bytes, round);
		assert_int_equal(poll_once(loop), 0);
	}
	for (int i = 0; i < N; i++)
		free_probe(probes[i]);
	cv_loop_free(loop);
}

/* More events at once than any queue between the kernel and us can hold. */
static void burst_beyond_the_queues_loses_no_watch(void **state)
{
	enum { N = 3000 };
	const struct rlimit enough = { N + 64, N + 64 };
	struct cv_loop *loop = new_loop(state);
	struct probe *probes = calloc(N, sizeof(*probes));
	struct rlimit before;

	assert_non_null(probes);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	if (before.rlim_max < enough.rlim_cur)
		skip();
	assert_int_equal(
		setrlimit(RLIMIT_NOFILE, &(struct rlimit){ enough.rlim_cur, before.rlim_max }), 0);
	for (int i = 0; i < N; i++) {
		probes[i].watch = (struct cv_watch){ .fd = eventfd(0, EFD_NONBLOCK),
						     .ready = read_all,
						     .owner = &probes[i] };
		assert_int_equal(cv_loop_add(loop, &probes[i].watch), 0);
	}
	assert_int_equal(poll_once(loop), 0);
	for (int round = 1; round <= 3; round++) {
		for (int i = 0; i < N; i++)
			assert_int_equal(eventfd_write(probes[i].watch.fd, 1), 0);
		/* Each removal makes the kernel hand out some of what it has. */
		for (int i = 0; i < 400; i++)
			free_probe(new_probe(loop, count_only));
		for (int done = 0; done < N;) {
			assert_true(turn(loop) > 0);
			done = 0;
			for (int i = 0; i < N; i++)
				done += probes[i].bytes == 8 * round;
		}
		while (poll_once(loop) > 0)
			;
	}
	for (int i = 0; i < N; i++) {
		cv_loop_remove(loop, &probes[i].watch);
		close(probes[i].watch.fd);
	}
	free(probes);
	cv_loop_free(loop);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(readable_before_add_is_reported),
		CASE(each_write_after_draining_is_a_new_edge),
		CASE(more_is_called_every_turn_until_it_is_done),
		CASE(busy_watch_does_not_starve_another),
		CASE(again_calls_the_watch_in_the_next_turn),
		CASE(want_write_tells_once_when_there_is_room),
		CASE(want_write_with_room_already_there_is_told),
		CASE(hang_up_is_delivered),
		CASE(error_is_delivered),
		CASE(many_watches_are_all_called_once_a_write),
		CASE(burst_beyond_the_queues_loses_no_watch),
	};

	return cmocka_run_group_tests_name("loop/watch", tests, NULL, NULL);
}
