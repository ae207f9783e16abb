/* Timestamps: their form, their grain, and that they only go forward. */
#include <convoy/noise/handshake.h>

#include "hex.h"

#define SECOND INT64_C(1000000000)

static const uint8_t never[CV_TAI64N_SIZE];

static void stamp(int64_t wall_ns, uint8_t ret_stamp[CV_TAI64N_SIZE])
{
	cv_tai64n_now(wall_ns, never, ret_stamp);
}

static void stamps_of_known_times_are_known(void **state)
{
	static const struct {
		int64_t wall_ns;
		const char *stamp;
	} cases[] = {
		{ 0, "400000000000000a00000000" },
		{ 1700000000 * SECOND + 0x10000000, "400000006553f10a10000000" },
		{ 1700000000 * SECOND + 0x10ffffff, "400000006553f10a10000000" },
		{ 1700000000 * SECOND + 0x11000000, "400000006553f10a11000000" },
		{ 1700000000 * SECOND + 999999999, "400000006553f10a3b000000" },
		{ -1, "40000000000000093b000000" },
		{ -SECOND, "400000000000000900000000" },
	};
	uint8_t out[CV_TAI64N_SIZE];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		stamp(cases[i].wall_ns, out);
		assert_hex_equal(out, cases[i].stamp);
	}
}

static void stamps_10_ms_apart_may_be_equal_and_20_ms_apart_are_later(void **state)
{
	uint8_t a[CV_TAI64N_SIZE], b[CV_TAI64N_SIZE];
	int64_t start = 1700000000 * SECOND, ms;

	stamp(start, a);
	stamp(start + 10 * SECOND / 1000, b);
	assert_memory_equal(a, b, CV_TAI64N_SIZE);
	for (ms = 0; ms < 2000; ms++) {
		stamp(start + ms * SECOND / 1000, a);
		stamp(start + (ms + 20) * SECOND / 1000, b);
		assert_true(memcmp(a, b, CV_TAI64N_SIZE) < 0);
	}
}

static void a_stamp_is_one_step_after_the_last_when_the_clock_is_not(void **state)
{
	uint8_t out[CV_TAI64N_SIZE], floor[CV_TAI64N_SIZE];

	/* The clock stands. */
	unhex("400000006553f10a10000000", floor);
	cv_tai64n_now(1700000000 * SECOND + 0x10000000, floor, out);
	assert_hex_equal(out, "400000006553f10a11000000");
	/* It went back by years. */
	cv_tai64n_now(1500000000 * SECOND, floor, out);
	assert_hex_equal(out, "400000006553f10a11000000");
	/* The step crosses into the next second. */
	unhex("400000006553f10a3b000000", floor);
	cv_tai64n_now(1500000000 * SECOND, floor, out);
	assert_hex_equal(out, "400000006553f10b00000000");
	/* It has caught up. */
	cv_tai64n_now(1700000002 * SECOND, floor, out);
	assert_hex_equal(out, "400000006553f10c00000000");
}

static void stamps_only_go_forward_on_a_clock_that_jumps(void **state)
{
	uint8_t last[CV_TAI64N_SIZE] = { 0 }, next[CV_TAI64N_SIZE];
	int i;

	for (i = 0; i < 1000; i++) {
		cv_tai64n_now((1700000000 + i * 7 % 13) * SECOND, last, next);
		assert_true(memcmp(last, next, CV_TAI64N_SIZE) < 0);
		memcpy(last, next, CV_TAI64N_SIZE);
	}
}

static void the_floor_may_be_where_the_stamp_goes(void **state)
{
	uint8_t stamp_and_floor[CV_TAI64N_SIZE];

	unhex("400000006553f10a10000000", stamp_and_floor);
	cv_tai64n_now(0, stamp_and_floor, stamp_and_floor);
	assert_hex_equal(stamp_and_floor, "400000006553f10a11000000");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stamps_of_known_times_are_known),
		cmocka_unit_test(stamps_10_ms_apart_may_be_equal_and_20_ms_apart_are_later),
		cmocka_unit_test(a_stamp_is_one_step_after_the_last_when_the_clock_is_not),
		cmocka_unit_test(stamps_only_go_forward_on_a_clock_that_jumps),
		cmocka_unit_test(the_floor_may_be_where_the_stamp_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
