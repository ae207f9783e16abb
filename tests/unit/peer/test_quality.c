/* The quality of a path, against the RFCs' own sums. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/* cmocka.h needs what stands above it. */
#include <cmocka.h>

#include <convoy/peer/quality.h>

#define MS CV_NS_PER_MS

static struct cv_quality quality;

static int set_up(void **state)
{
	(void)state;
	quality = (struct cv_quality){ 0 };
	return 0;
}

/* RFC 6298, sections 2.2 and 2.3. */
static void rtt_is_smoothed_as_tcp_does(void **state)
{
	(void)state;
	cv_quality_echoed(&quality, 80 * MS);
	assert_int_equal(quality.rtt, 80 * MS);
	assert_int_equal(quality.rtt_variation, 40 * MS);
	cv_quality_echoed(&quality, 160 * MS);
	assert_int_equal(quality.rtt, 90 * MS);
	assert_int_equal(quality.rtt_variation, 50 * MS); /* 3/4 * 40 + 1/4 * 80 */
	cv_quality_echoed(&quality, 10 * MS);
	assert_int_equal(quality.rtt, 80 * MS);
	assert_int_equal(quality.rtt_variation, 3 * 50 * MS / 4 + 20 * MS);
}

static void a_clock_that_stood_still_is_a_known_rtt(void **state)
{
	(void)state;
	cv_quality_echoed(&quality, 0);
	assert_true(quality.rtt > 0);
	cv_quality_echoed(&quality, -5 * MS);
	assert_true(quality.rtt > 0);
}

static void patience_is_four_times_the_rtt_within_bounds(void **state)
{
	(void)state;
	assert_int_equal(cv_quality_patience(&quality), 1000 * MS);
	quality.rtt = 100 * MS;
	assert_int_equal(cv_quality_patience(&quality), 400 * MS);
	quality.rtt = 5 * MS;
	assert_int_equal(cv_quality_patience(&quality), 100 * MS);
	quality.rtt = 700 * MS;
	assert_int_equal(cv_quality_patience(&quality), 1000 * MS);
}

static void silence_is_counted_until_an_echo(void **state)
{
	(void)state;
	cv_quality_missed(&quality);
	cv_quality_missed(&quality);
	assert_int_equal(quality.unanswered, 2);
	cv_quality_echoed(&quality, MS);
	assert_int_equal(quality.unanswered, 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup(name, set_up)
	const struct CMUnitTest tests[] = {
		CASE(rtt_is_smoothed_as_tcp_does),
		CASE(a_clock_that_stood_still_is_a_known_rtt),
		CASE(patience_is_four_times_the_rtt_within_bounds),
		CASE(silence_is_counted_until_an_echo),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
