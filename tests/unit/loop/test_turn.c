/* Turns: deadlines, wake-ups, signals, sleep; and which kind of loop one gets. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "probe.h"
#include "refuse.h"

static void has_the_name_that_was_asked_for(void **state)
{
	struct cv_loop *loop = new_loop(state);

	assert_string_equal(cv_loop_name(loop), *(const enum cv_loop_kind *)*state == CV_LOOP_EPOLL
							? "epoll"
							: "io_uring");
	assert_null(cv_loop_why(loop));
	cv_loop_free(loop);
}

static void turn_never_ends_for_the_deadline_before_it(void **state)
{
	struct cv_loop *loop = new_loop(state);

	for (int i = 0; i < 50; i++) {
		cv_time deadline = cv_clock_now() + i * 61 * 1000;

		assert_int_equal(cv_loop_turn(loop, deadline, NULL, NULL), 0);
		assert_true(cv_clock_now() >= deadline);
	}
	cv_loop_free(loop);
}

static void deadline_may_come_nearer_and_move_away(void **state)
{
	struct cv_loop *loop = new_loop(state);
	struct probe *probe = new_probe(loop, read_all);
	cv_time deadline;

	/* Far, ended by an event: an hour is armed. */
	put(probe, 1);
	assert_int_equal(cv_loop_turn(loop, cv_clock_now() + 3600 * CV_NS_PER_S, NULL, NULL), 1);
	deadline = cv_clock_now() + 2 * CV_NS_PER_MS;
	assert_int_equal(cv_loop_turn(loop, deadline, NULL, NULL), 0);
	assert_true(cv_clock_now() >= deadline);
	/* Near, ended by an event: the timer is to fire inside the longer wait that follows. */
	put(probe, 1);
	deadline = cv_clock_now() + 2 * CV_NS_PER_MS;
	assert_int_equal(cv_loop_turn(loop, deadline, NULL, NULL), 1);
	deadline += 10 * CV_NS_PER_MS;
	assert_int_equal(cv_loop_turn(loop, deadline, NULL, NULL), 0);
	assert_true(cv_clock_now() >= deadline);
	/* And one that is over does not wait at all. */
	assert_int_equal(cv_loop_turn(loop, 1, NULL, NULL), 0);
	free_probe(probe);
	cv_loop_free(loop);
}

static int before, after;

static void count_before(void)
{
	before++;
}

static void count_after(void)
{
	after++;
}

static void hooks_surround_only_a_wait(void **state)
{
	struct cv_loop *loop = new_loop(state);
	struct probe *probe = new_probe(loop, read_one);

	before = after = 0;
	assert_int_equal(cv_loop_turn(loop, cv_clock_now(), count_before, count_after), 0);
	assert_int_equal(before + after, 0);
	put(probe, 1);
	assert_int_equal(cv_loop_turn(loop, LONG, count_before, count_after), 1);
	assert_int_equal(before, 1);
	assert_int_equal(after, 1);
	/* "More" is waiting: no wait, no hooks. */
	assert_int_equal(cv_loop_turn(loop, LONG, count_before, count_after), 1);
	assert_int_equal(before, 1);
	assert_int_equal(after, 1);
	free_probe(probe);
	cv_loop_free(loop);
}

static void on_alarm(int signal)
{
}

static void signals_do_not_end_a_turn(void **state)
{
	const struct sigaction action = { .sa_handler = on_alarm };
	const struct itimerval often = { { 0, 500 }, { 0, 500 } }, off = { { 0, 0 }, { 0, 0 } };
	struct cv_loop *loop = new_loop(state);
	cv_time deadline = cv_clock_now() + 20 * CV_NS_PER_MS;
	struct sigaction old;

	assert_int_equal(sigaction(SIGALRM, &action, &old), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
	assert_int_equal(cv_loop_turn(loop, deadline, NULL, NULL), 0);
	assert_true(cv_clock_now() >= deadline);
	assert_int_equal(setitimer(ITIMER_REAL, &off, NULL), 0);
	assert_int_equal(sigaction(SIGALRM, &old, NULL), 0);
	cv_loop_free(loop);
}

static struct cv_loop *to_wake;

static void wake_from_handler(int signal)
{
	cv_loop_wake(to_wake);
}

static void signal_handler_may_wake(void **state)
{
	const struct sigaction action = { .sa_handler = wake_from_handler };
	const struct itimerval once = { { 0, 0 }, { 0, 1000 } };
	struct cv_loop *loop = new_loop(state);
	struct sigaction old;

	to_wake = loop;
	assert_int_equal(sigaction(SIGALRM, &action, &old), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &once, NULL), 0);
	assert_int_equal(cv_loop_turn(loop, CV_TIME_NEVER, NULL, NULL), 0);
	assert_int_equal(sigaction(SIGALRM, &old, NULL), 0);
	cv_loop_free(loop);
}

static void wake_before_the_turn_ends_it(void **state)
{
	struct cv_loop *loop = new_loop(state);

	for (int i = 0; i < 100; i++) {
		cv_loop_wake(loop);
		cv_loop_wake(loop);
		assert_int_equal(cv_loop_turn(loop, CV_TIME_NEVER, NULL, NULL), 0);
	}
	cv_loop_free(loop);
}

enum { WAKERS = 2, WAKES = 50000 };

struct waker {
	pthread_t thread;
	struct cv_loop *loop;
	atomic_int asked, answered;
};

/* Lock step: the next wake-up only once the loop has answered the last. */
static void *wake_many_times(void *arg)
{
	struct waker *waker = arg;

	for (int i = 1; i <= WAKES; i++) {
		atomic_store(&waker->asked, i);
		cv_loop_wake(waker->loop);
		while (atomic_load(&waker->answered) < i && i < WAKES)
			sched_yield();
	}
	return NULL;
}

static void wakes_of_other_threads_are_never_lost(void **state)
{
	struct cv_loop *loop = new_loop(state);
	struct waker wakers[WAKERS] = { 0 };
	int done = 0;

	for (int i = 0; i < WAKERS; i++) {
		wakers[i].loop = loop;
		assert_int_equal(
			pthread_create(&wakers[i].thread, NULL, wake_many_times, &wakers[i]), 0);
	}
	while (done < WAKERS) {
		cv_time deadline = LONG;

		assert_int_equal(cv_loop_turn(loop, deadline, NULL, NULL), 0);
		assert_true(cv_clock_now() < deadline);
		done = 0;
		for (int i = 0; i < WAKERS; i++) {
			int asked = atomic_load(&wakers[i].asked);

			atomic_store(&wakers[i].answered, asked);
			done += asked == WAKES;
		}
	}
	for (int i = 0; i < WAKERS; i++)
		pthread_join(wakers[i].thread, NULL);
	cv_loop_free(loop);
}

static void idle_loop_sleeps(void **state)
{
	struct cv_loop *loop = new_loop(state);
	struct probe *probe = new_probe(loop, read_all);
	struct rusage start, end;

	put(probe, 1);
	assert_int_equal(turn(loop), 1);
	assert_int_equal(getrusage(RUSAGE_THREAD, &start), 0);
	assert_int_equal(cv_loop_turn(loop, cv_clock_now() + 50 * CV_NS_PER_MS, NULL, NULL), 0);
	assert_int_equal(getrusage(RUSAGE_THREAD, &end), 0);
	assert_true(end.ru_nvcsw - start.ru_nvcsw <= 5);
	free_probe(probe);
	cv_loop_free(loop);
}

/* In a child whose io_uring_setup fails as under a container's seccomp profile. */
static int fall_back(int error)
{
	struct cv_loop *loop;

	if (refuse_call(__NR_io_uring_setup, error))
		return 77;
	if (cv_loop_new(CV_LOOP_IO_URING, &loop) != -error)
		return 1;
	if (cv_loop_new(CV_LOOP_AUTO, &loop))
		return 2;
	if (strcmp(cv_loop_name(loop), "epoll") != 0 || !cv_loop_why(loop))
		return 3;
	if (!strstr(cv_loop_why(loop), "io_uring refused: ") ||
	    !strstr(cv_loop_why(loop), strerror(error)))
		return 4;
	cv_loop_free(loop);
	return 0;
}

static void auto_falls_back_to_epoll_and_says_why(void **state)
{
	const int errors[] = { EPERM, ENOSYS, ENOMEM };

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		int status;
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (!pid)
			_exit(fall_back(errors[i]));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		if (WEXITSTATUS(status) == 77)
			skip();
		assert_int_equal(WEXITSTATUS(status), 0);
	}
}

static void clock_goes_forward(void **state)
{
	cv_time last = cv_clock_now();

	for (int i = 0; i < 1000; i++) {
		cv_time now = cv_clock_now();

		assert_true(now >= last);
		last = now;
	}
	/* After 2020, so not a monotonic clock by mistake. */
	assert_true(cv_clock_wall() > INT64_C(1577836800) * CV_NS_PER_S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(has_the_name_that_was_asked_for),
		CASE(turn_never_ends_for_the_deadline_before_it),
		CASE(deadline_may_come_nearer_and_move_away),
		CASE(hooks_surround_only_a_wait),
		CASE(signals_do_not_end_a_turn),
		CASE(signal_handler_may_wake),
		CASE(wake_before_the_turn_ends_it),
		CASE(wakes_of_other_threads_are_never_lost),
		CASE(idle_loop_sleeps),
		cmocka_unit_test(auto_falls_back_to_epoll_and_says_why),
		cmocka_unit_test(clock_goes_forward),
	};

	return cmocka_run_group_tests_name("loop/turn", tests, NULL, NULL);
}
