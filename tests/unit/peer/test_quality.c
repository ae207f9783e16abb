/* The quality of a path, against the RFCs' own sums, and through wraps of clocks and numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/* cmocka.h needs what stands above it. */
#include <cmocka.h>

#include <convoy/peer/quality.h>

#define MS CV_NS_PER_MS
#define S  CV_NS_PER_S

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

static uint32_t jitter_of(const uint32_t (*frames)[2], size_t n)
{
	for (size_t i = 0; i < n; i++)
		cv_quality_heard(&quality, frames[i][0], frames[i][1] * (MS / 1000));
	return cv_quality_jitter_us(&quality);
}

/* RFC 3550, A.8, by hand: 0, then 1600/16, then 100 + (1600 - 100)/16, ... */
static void jitter_is_that_of_rtp(void **state)
{
	static const uint32_t frames[][2] = {
		{ 0, 5000 }, { 20000, 25000 }, { 40000, 46600 }, { 60000, 65000 }, { 80000, 85000 },
	};

	(void)state;
	assert_int_equal(jitter_of(frames, 1), 0);
	quality = (struct cv_quality){ 0 };
	assert_int_equal(jitter_of(frames, 2), 0);
	quality = (struct cv_quality){ 0 };
	assert_int_equal(jitter_of(frames, 3), 100);
	quality = (struct cv_quality){ 0 };
	assert_int_equal(jitter_of(frames, 4), 193);
	quality = (struct cv_quality){ 0 };
	assert_int_equal(jitter_of(frames, 5), 181);
}

/* Of the peer's clock, of ours, and of both. */
static void clocks_need_not_agree_and_wrap(void **state)
{
	static const uint32_t clocks[] = { 0, 12345, 0x7fffffff, 0xffffffff - 30000, 0x80000000 };

	(void)state;
	for (size_t i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++) {
		quality = (struct cv_quality){ 0 };
		for (uint32_t n = 0; n < 100; n++) {
			const cv_time sent = 4294 * CV_NS_PER_S + n * 20 * MS;
			const cv_time late = n % 2 ? 800 * (MS / 1000) : 0;

			cv_quality_heard(&quality, clocks[i] + n * 20000, sent + late);
		}
		assert_in_range(cv_quality_jitter_us(&quality), 780, 800);
	}
}

static void a_clock_that_began_anew_is_no_jitter(void **state)
{
	(void)state;
	cv_quality_heard(&quality, 1000, S);
	cv_quality_heard(&quality, 3000000000, 2 * S);
	assert_int_equal(cv_quality_jitter_us(&quality), 0);
	/* Nor is one that ran away while nothing was said. */
	cv_quality_heard(&quality, (uint32_t)(3000000000 + 3600 * INT64_C(999500)), 3602 * S);
	assert_int_equal(cv_quality_jitter_us(&quality), 0);
}

static void tell(uint64_t accepted, uint64_t expected, uint64_t sent, struct cv_messages *told)
{
	const struct cv_received received = { accepted, expected, 77 };

	cv_quality_told(&quality, &received, sent, told);
}

static void what_the_peer_tells_is_followed_if_it_can_be(void **state)
{
	struct cv_messages told = { 0 };

	(void)state;
	tell(11, 10, 100, &told);
	tell(10, 101, 100, &told);
	assert_int_equal(told.expected, 0);
	assert_int_equal(quality.jitter_out_us, 0);
	tell(9, 10, 100, &told);
	assert_int_equal(told.expected, 10);
	assert_int_equal(told.accepted, 9);
	assert_int_equal(quality.jitter_out_us, 77);
	tell(10, 10, 100, &told); /* it was only late */
	assert_int_equal(told.accepted, 10);
	tell(5, 5, 100, &told); /* an older frame, overtaken */
	tell(9, 12, 100, &told);
	assert_int_equal(told.expected, 10);
	tell(UINT64_MAX, UINT64_MAX, UINT64_MAX, &told);
	assert_int_equal(told.accepted, UINT64_MAX);
}

static void count(cv_time when, uint64_t expected, uint64_t accepted)
{
	const struct cv_tally sums = { when, { [CV_QUALITY_IN] = { expected, accepted } } };

	cv_quality_count(&quality, &sums);
}

static double loss(void)
{
	return cv_quality_loss(&quality, CV_QUALITY_IN);
}

static void loss_is_that_of_the_last_seconds(void **state)
{
	(void)state;
	assert_true(loss() == 0);
	for (uint64_t n = 0; n <= 60; n++) /* one in ten, then none */
		count((cv_time)(1000 + n) * S, 100 * n, n < 30 ? 90 * n : 100 * n - 300);
	assert_true(loss() == 0);
	assert_int_equal(quality.newest.way[CV_QUALITY_IN].expected, 6000);
	quality = (struct cv_quality){ 0 };
	for (uint64_t n = 0; n <= 60; n++) {
		count((cv_time)(1000 + n) * S, 100 * n, n < 30 ? 100 * n : 3000 + 90 * (n - 30));
		if (n >= 40)
			assert_true(loss() > 0.0999 && loss() < 0.1001);
		if (n == 30)
			assert_true(loss() == 0);
	}
}

static void what_was_overtaken_is_not_lost(void **state)
{
	(void)state;
	count(1000 * S, 100, 50);
	assert_true(loss() == 0.5);
	count(1001 * S, 100, 100);
	assert_true(loss() == 0);
	count(1010 * S, 200, 190);
	count(1020 * S, 210, 210); /* more came than was sent since */
	assert_true(loss() == 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup(name, set_up)
	const struct CMUnitTest tests[] = {
		CASE(rtt_is_smoothed_as_tcp_does),
		CASE(a_clock_that_stood_still_is_a_known_rtt),
		CASE(patience_is_four_times_the_rtt_within_bounds),
		CASE(silence_is_counted_until_an_echo),
		CASE(jitter_is_that_of_rtp),
		CASE(clocks_need_not_agree_and_wrap),
		CASE(a_clock_that_began_anew_is_no_jitter),
		CASE(what_the_peer_tells_is_followed_if_it_can_be),
		CASE(loss_is_that_of_the_last_seconds),
		CASE(what_was_overtaken_is_not_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
