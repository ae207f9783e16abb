/* The replay window step by step, at its edges, and in long runs. */
#include <convoy/noise/keypair.h>
#include <convoy/noise/replay.h>

#include "hex.h"

#define WINDOW ((uint64_t)CV_REPLAY_WINDOW)
#define EDGE   (WINDOW + 1) /* the first distance that is too far */
#define LIMIT  CV_REJECT_AFTER_MESSAGES

static struct cv_replay replay;

static int fresh(void **state)
{
	memset(&replay, 0, sizeof(replay));
	return 0;
}

static void window_takes_each_counter_once_step_by_step(void **state)
{
	static const struct {
		uint64_t counter;
		bool accepted;
	} steps[] = {
		/*  1 */ { 0, true },
		/*  2 */ { 1, true },
		/*  3 */ { 1, false },
		/*  4 */ { 9, true },
		/*  5 */ { 8, true },
		/*  6 */ { 7, true },
		/*  7 */ { 7, false },
		/*  8 */ { EDGE, true },
		/*  9 */ { EDGE - 1, true },
		/* 10 */ { EDGE - 1, false },
		/* 11 */ { EDGE - 2, true },
		/* 12 */ { 2, true },
		/* 13 */ { 2, false },
		/* 14 */ { EDGE + 16, true },
		/* 15 */ { 3, false },
		/* 16 */ { EDGE + 16, false },
		/* 17 */ { EDGE * 4, true },
		/* 18 */ { EDGE * 4 - (EDGE - 1), true },
		/* 19 */ { 10, false },
		/* 20 */ { EDGE * 4 - EDGE, false },
		/* 21 */ { EDGE * 4 - (EDGE + 1), false },
		/* 22 */ { EDGE * 4 - (EDGE - 2), true },
		/* 23 */ { EDGE * 4 + 1 - EDGE, false },
		/* 24 */ { 0, false },
		/* 25 */ { LIMIT, false },
		/* 26 */ { LIMIT - 1, true },
		/* 27 */ { LIMIT, false },
		/* 28 */ { LIMIT - 1, false },
		/* 29 */ { LIMIT - 2, true },
		/* 30 */ { LIMIT + 1, false },
		/* 31 */ { LIMIT + 2, false },
		/* 32 */ { LIMIT - 2, false },
		/* 33 */ { LIMIT - 3, true },
		/* 34 */ { 0, false },
		/* 35 */ { UINT64_MAX, false },
		/* 36 */ { LIMIT - 1 - WINDOW, true },
		/* 37 */ { LIMIT - 2 - WINDOW, false },
	};
	size_t i;

	for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		if (cv_replay_accept(&replay, steps[i].counter) != steps[i].accepted)
			fail_msg("step %zu", i + 1);
	}
}

static void window_is_as_wide_from_every_place_in_a_word(void **state)
{
	uint64_t highest;

	for (highest = 3 * WINDOW; highest < 3 * WINDOW + 130; highest++) {
		fresh(NULL);
		assert_true(cv_replay_accept(&replay, highest));
		assert_true(cv_replay_accept(&replay, highest - WINDOW));
		assert_false(cv_replay_accept(&replay, highest - WINDOW));
		assert_false(cv_replay_accept(&replay, highest - WINDOW - 1));
		assert_true(cv_replay_accept(&replay, highest - WINDOW + 1));
	}
}

static void a_refused_counter_moves_nothing(void **state)
{
	struct cv_replay before;

	assert_true(cv_replay_accept(&replay, 20000));
	before = replay;
	assert_false(cv_replay_accept(&replay, 20000));
	assert_false(cv_replay_accept(&replay, 5));
	assert_false(cv_replay_accept(&replay, LIMIT));
	assert_memory_equal(&replay, &before, sizeof(before));
}

static void run_accepts(uint64_t from, uint64_t to)
{
	uint64_t counter;

	for (counter = from; counter < to; counter++)
		assert_true(cv_replay_accept(&replay, counter));
}

static void run_accepts_down(uint64_t from, uint64_t to)
{
	uint64_t counter;

	for (counter = from; counter > to;)
		assert_true(cv_replay_accept(&replay, --counter));
}

static void run_refuses(uint64_t from, uint64_t to)
{
	uint64_t counter;

	for (counter = from; counter < to; counter++)
		assert_false(cv_replay_accept(&replay, counter));
}

static void what_was_accepted_is_counted_once(void **state)
{
	static const uint64_t counters[] = { 3, 3, 0, 20000, 1, 0, LIMIT, 19999 };

	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
		cv_replay_accept(&replay, counters[i]);
	assert_int_equal(replay.accepted, 4);
	assert_int_equal(replay.next, 20001);
}

static void ascending_run_leaves_its_first_in_the_window(void **state)
{
	run_accepts(1, WINDOW + 1);
	assert_true(cv_replay_accept(&replay, 0));
	assert_false(cv_replay_accept(&replay, 0));
	run_refuses(0, WINDOW + 1);
}

static void ascending_run_offset_by_one_drops_zero(void **state)
{
	run_accepts(2, WINDOW + 2);
	assert_true(cv_replay_accept(&replay, 1));
	assert_false(cv_replay_accept(&replay, 0));
}

static void descending_run_is_taken_whole(void **state)
{
	run_accepts_down(WINDOW + 1, 0);
	run_refuses(0, WINDOW + 1);
}

static void descending_run_offset_by_one_drops_zero(void **state)
{
	run_accepts_down(WINDOW + 2, 1);
	assert_false(cv_replay_accept(&replay, 0));
}

static void descending_run_can_be_left_and_taken_up(void **state)
{
	run_accepts_down(WINDOW, 1);
	assert_true(cv_replay_accept(&replay, WINDOW + 1));
	assert_false(cv_replay_accept(&replay, 0));

	fresh(NULL);
	run_accepts_down(WINDOW, 1);
	assert_true(cv_replay_accept(&replay, 0));
	assert_true(cv_replay_accept(&replay, WINDOW + 1));
}

static void ascending_run_goes_round_the_ring_many_times(void **state)
{
	run_accepts(0, 10 * CV_REPLAY_BITS + 7);
	run_refuses(10 * CV_REPLAY_BITS + 7 - WINDOW - 100, 10 * CV_REPLAY_BITS + 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(window_takes_each_counter_once_step_by_step, fresh),
		cmocka_unit_test_setup(window_is_as_wide_from_every_place_in_a_word, fresh),
		cmocka_unit_test_setup(a_refused_counter_moves_nothing, fresh),
		cmocka_unit_test_setup(what_was_accepted_is_counted_once, fresh),
		cmocka_unit_test_setup(ascending_run_leaves_its_first_in_the_window, fresh),
		cmocka_unit_test_setup(ascending_run_offset_by_one_drops_zero, fresh),
		cmocka_unit_test_setup(descending_run_is_taken_whole, fresh),
		cmocka_unit_test_setup(descending_run_offset_by_one_drops_zero, fresh),
		cmocka_unit_test_setup(descending_run_can_be_left_and_taken_up, fresh),
		cmocka_unit_test_setup(ascending_run_goes_round_the_ring_many_times, fresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
