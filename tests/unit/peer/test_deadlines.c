/* The heap of deadlines against an array that is searched from end to end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* cmocka.h needs what stands above it. */
#include <cmocka.h>

#include <convoy/peer/deadlines.h>

enum { WAITERS = 64 };

static struct cv_deadline waiters[WAITERS];
static struct cv_deadlines deadlines;

static int set_up(void **state)
{
	(void)state;
	for (int i = 0; i < WAITERS; i++)
		waiters[i] = (struct cv_deadline){ .when = CV_TIME_NEVER };
	return cv_deadlines_reserve(&deadlines, WAITERS);
}

static int tear_down(void **state)
{
	(void)state;
	cv_deadlines_done(&deadlines);
	return 0;
}

static void empty_heap_has_no_first(void **state)
{
	(void)state;
	assert_null(cv_deadlines_first(&deadlines));
}

static void first_is_the_earliest(void **state)
{
	(void)state;
	cv_deadlines_set(&deadlines, &waiters[0], 30);
	cv_deadlines_set(&deadlines, &waiters[1], 10);
	cv_deadlines_set(&deadlines, &waiters[2], 20);
	assert_ptr_equal(cv_deadlines_first(&deadlines), &waiters[1]);
}

static void moved_deadline_takes_its_new_place(void **state)
{
	(void)state;
	cv_deadlines_set(&deadlines, &waiters[0], 10);
	cv_deadlines_set(&deadlines, &waiters[1], 20);
	cv_deadlines_set(&deadlines, &waiters[0], 30);
	assert_ptr_equal(cv_deadlines_first(&deadlines), &waiters[1]);
	cv_deadlines_set(&deadlines, &waiters[0], 5);
	assert_ptr_equal(cv_deadlines_first(&deadlines), &waiters[0]);
	assert_int_equal(deadlines.n, 2);
}

static void never_removes_and_may_be_said_twice(void **state)
{
	(void)state;
	cv_deadlines_set(&deadlines, &waiters[0], 10);
	cv_deadlines_set(&deadlines, &waiters[0], CV_TIME_NEVER);
	cv_deadlines_set(&deadlines, &waiters[0], CV_TIME_NEVER);
	assert_int_equal(waiters[0].slot, 0);
	assert_null(cv_deadlines_first(&deadlines));
}

static void reserve_keeps_what_is_there(void **state)
{
	(void)state;
	cv_deadlines_set(&deadlines, &waiters[0], 10);
	assert_int_equal(cv_deadlines_reserve(&deadlines, 1000), 0);
	assert_true(deadlines.size >= 1000);
	assert_ptr_equal(cv_deadlines_first(&deadlines), &waiters[0]);
}

static cv_time earliest(void)
{
	cv_time when = CV_TIME_NEVER;

	for (int i = 0; i < WAITERS; i++)
		when = waiters[i].when < when ? waiters[i].when : when;
	return when;
}

static void assert_is_heap(void)
{
	for (size_t slot = 1; slot <= deadlines.n; slot++) {
		assert_int_equal(deadlines.heap[slot]->slot, slot);
		assert_true(slot == 1 ||
			    deadlines.heap[slot / 2]->when <= deadlines.heap[slot]->when);
	}
}

/* Times repeat on purpose, and a third of the changes are removals from anywhere. */
static void any_order_of_changes_keeps_the_earliest_first(void **state)
{
	uint32_t random = 1;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		struct cv_deadline *first;

		random = random * 1664525 + 1013904223;
		cv_deadlines_set(&deadlines, &waiters[(random >> 8) % WAITERS],
				 (random >> 16) % 3 ? (cv_time)(random >> 20) % 50 : CV_TIME_NEVER);
		first = cv_deadlines_first(&deadlines);
		assert_int_equal(first ? first->when : CV_TIME_NEVER, earliest());
		assert_is_heap();
	}
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(empty_heap_has_no_first),
		CASE(first_is_the_earliest),
		CASE(moved_deadline_takes_its_new_place),
		CASE(never_removes_and_may_be_said_twice),
		CASE(reserve_keeps_what_is_there),
		CASE(any_order_of_changes_keeps_the_earliest_first),
	};

	return cmocka_run_group_tests_name("deadlines", tests, NULL, NULL);
}
