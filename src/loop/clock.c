/* The clock. */
#include <time.h>

#include <convoy/loop/loop.h>

#include "internal.h"

static int64_t read_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ts.tv_sec * CV_NS_PER_S + ts.tv_nsec;
}

#ifndef CV_TEST_CLOCK

int64_t cv_clock_wall(void)
{
	return read_ns(CLOCK_REALTIME);
}

cv_time cv_clock_now(void)
{
	return read_ns(CLOCK_BOOTTIME);
}

#else

/*
 * CONVOY_TEST_CLOCK=N: from the start of the process on, N seconds pass in one. The start is
 * common to all threads, so it is taken before main().
 * CONVOY_TEST_WALL=S: the wall clock is S seconds wrong, -S when it is behind.
 */
#include <stdlib.h>

static cv_time start;
static int64_t speed = 1, wrong_ns;

__attribute__((constructor)) static void clock_init(void)
{
	const char *text = getenv("CONVOY_TEST_CLOCK"), *wall = getenv("CONVOY_TEST_WALL");

	start = read_ns(CLOCK_BOOTTIME);
	if (text && atoi(text) > 0)
		speed = atoi(text);
	if (wall)
		wrong_ns = atoll(wall) * CV_NS_PER_S;
}

int64_t cv_clock_wall(void)
{
	return read_ns(CLOCK_REALTIME) + wrong_ns;
}

cv_time cv_clock_now(void)
{
	return start + (read_ns(CLOCK_BOOTTIME) - start) * speed;
}

cv_time cv_clock_boot(cv_time time)
{
	return start + (time - start + speed - 1) / speed;
}

#endif
