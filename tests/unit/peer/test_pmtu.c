/* What a path carries, step by step; tests/law/law_pmtu.c lets it live. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/* cmocka.h needs what stands above it. */
#include <cmocka.h>

#include <convoy/peer/pmtu.h>

#define MS CV_NS_PER_MS

enum { MOST = 1420, RTT_MS = 10, PATIENCE_MS = 100 };

static struct cv_pmtu pmtu;
static cv_time now;

static int begin(void **state)
{
	(void)state;
	pmtu = (struct cv_pmtu){ 0 };
	now = 5 * CV_NS_PER_S;
	return 0;
}

static uint32_t next(void)
{
	return cv_pmtu_next(&pmtu, MOST, now, RTT_MS * MS);
}

/* Data flows, and exactly this is sent. */
static void assert_confirms(uint32_t size)
{
	cv_pmtu_flows(&pmtu, now);
	assert_int_equal(next(), size);
	assert_int_equal(next(), 0);
}

/* The round is tried to its end, while the base is echoed. */
static void let_fail(void)
{
	uint32_t size = pmtu.trying;

	for (int tries = 1; tries < CV_PMTU_TRIES; tries++) {
		assert_int_equal(cv_pmtu_deadline(&pmtu), now + PATIENCE_MS * MS);
		now = cv_pmtu_deadline(&pmtu);
		assert_int_equal(next(), size);
		if (tries == 1) {
			assert_int_equal(next(), CV_PMTU_BASE);
			cv_pmtu_echoed(&pmtu, CV_PMTU_BASE);
		}
		assert_int_equal(next(), 0);
	}
	now = cv_pmtu_deadline(&pmtu);
}

/* The TUN's MTU is in use and does not pass any more; a round between it and the base follows. */
static void fall(void)
{
	assert_confirms(MOST);
	cv_pmtu_echoed(&pmtu, MOST);
	assert_int_equal(next(), 0);
	assert_confirms(MOST);
	let_fail();
	assert_int_equal(next(), (CV_PMTU_BASE + MOST) / 2);
	assert_int_equal(pmtu.size, CV_PMTU_BASE);
}

static void all_is_hoped_for_and_confirmed_while_data_flows(void **state)
{
	(void)state;
	assert_int_equal(next(), 0);
	assert_int_equal(cv_pmtu_deadline(&pmtu), CV_TIME_NEVER);
	assert_false(cv_pmtu_is_found(&pmtu));
	for (int i = 0; i < 10; i++) {
		assert_confirms(MOST);
		cv_pmtu_echoed(&pmtu, MOST);
		assert_int_equal(next(), 0);
		assert_int_equal(cv_pmtu_deadline(&pmtu), CV_TIME_NEVER);
		assert_true(cv_pmtu_is_found(&pmtu));
		assert_int_equal(pmtu.size, MOST);
		now += CV_NS_PER_S;
	}
}

static void what_fails_leaves_the_base_and_a_search(void **state)
{
	(void)state;
	fall();
	assert_false(cv_pmtu_is_found(&pmtu));
	cv_pmtu_echoed(&pmtu, 1310);
	assert_int_equal(pmtu.size, 1310);
	assert_int_equal(next(), 1365);
	let_fail();
	assert_int_equal(pmtu.size, 1310);
	assert_int_equal(next(), 1337);
	cv_pmtu_echoed(&pmtu, 1337);
	assert_int_equal(next(), 1351);
	cv_pmtu_echoed(&pmtu, 1351);
	assert_int_equal(next(), 0);
	assert_true(cv_pmtu_is_found(&pmtu));
	assert_confirms(1351);
}

static void what_this_host_refuses_fails_at_once(void **state)
{
	(void)state;
	cv_pmtu_flows(&pmtu, now);
	for (uint32_t size; (size = next());) {
		if (size > 1390)
			cv_pmtu_refused(&pmtu, size, now);
		else
			cv_pmtu_echoed(&pmtu, size);
	}
	assert_true(cv_pmtu_is_found(&pmtu));
	assert_in_range(pmtu.size, 1390 - CV_PMTU_STEP, 1390);
}

static void a_late_echo_takes_a_verdict_back(void **state)
{
	(void)state;
	fall();
	cv_pmtu_echoed(&pmtu, MOST);
	assert_int_equal(next(), 0);
	assert_int_equal(pmtu.size, MOST);
	assert_int_equal(pmtu.failed, 0);
}

static void an_echo_of_more_than_the_tun_takes_says_nothing(void **state)
{
	(void)state;
	fall();
	cv_pmtu_echoed(&pmtu, MOST + 1);
	assert_int_equal(pmtu.size, CV_PMTU_BASE);
}

static void patience_is_more_than_a_round_trip(void **state)
{
	static const struct {
		cv_time rtt_ms, patience_ms;
	} cases[] = { { 0, 300 }, { 1, 100 }, { 50, 200 }, { 200, 300 }, { 600, 900 } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(state);
		cv_pmtu_flows(&pmtu, now);
		assert_int_equal(cv_pmtu_next(&pmtu, MOST, now, cases[i].rtt_ms * MS), MOST);
		assert_int_equal(cv_pmtu_deadline(&pmtu), now + cases[i].patience_ms * MS);
	}
}

/* Somewhere else: first whether what is in use passes there, then whether all does. */
static void a_move_asks_at_once_and_for_more_soon(void **state)
{
	(void)state;
	fall();
	cv_pmtu_echoed(&pmtu, 1310);
	assert_int_equal(next(), 1365);
	cv_pmtu_moved(&pmtu);
	assert_int_equal(pmtu.size, 1310);
	assert_int_equal(next(), 1310);
	cv_pmtu_echoed(&pmtu, 1310);
	assert_int_equal(next(), MOST);
	cv_pmtu_echoed(&pmtu, MOST);
	assert_int_equal(next(), 0);
	assert_true(cv_pmtu_is_found(&pmtu));
}

/* Data flows while more is looked for: that what is in use still passes is asked in between. */
static void the_size_in_use_is_confirmed_between_rounds(void **state)
{
	(void)state;
	fall();
	cv_pmtu_flows(&pmtu, now);
	assert_int_equal(next(), 0);
	let_fail();
	assert_int_equal(next(), CV_PMTU_BASE);
	cv_pmtu_echoed(&pmtu, CV_PMTU_BASE);
	assert_int_equal(next(), (CV_PMTU_BASE + 1310) / 2);
}

static void a_narrow_tun_needs_no_search(void **state)
{
	(void)state;
	for (uint32_t most = 1; most <= CV_PMTU_BASE; most += 109) {
		begin(state);
		cv_pmtu_flows(&pmtu, now);
		assert_int_equal(cv_pmtu_next(&pmtu, most, now, 0), most);
		cv_pmtu_echoed(&pmtu, most);
		assert_int_equal(cv_pmtu_next(&pmtu, most, now, 0), 0);
		assert_true(cv_pmtu_is_found(&pmtu));
	}
	assert_int_equal(cv_pmtu_next(&pmtu, 0, now, 0), 0);
}

/* Data need not wait for a probe that says so. */
static void a_wider_tun_is_hoped_to_be_filled(void **state)
{
	(void)state;
	assert_confirms(MOST);
	cv_pmtu_echoed(&pmtu, MOST);
	assert_int_equal(cv_pmtu_next(&pmtu, MOST + 1000, now, 0), MOST + 1000);
	assert_int_equal(pmtu.size, 0);
	cv_pmtu_echoed(&pmtu, MOST + 1000);
	assert_int_equal(pmtu.size, MOST + 1000);
	assert_int_equal(cv_pmtu_next(&pmtu, MOST + 2000, now, 0), MOST + 2000);
	assert_int_equal(pmtu.size, 0);
}

static void a_wider_tun_is_no_reason_to_hope_where_less_failed(void **state)
{
	(void)state;
	fall();
	assert_int_equal(cv_pmtu_next(&pmtu, MOST + 1000, now, 0), 0);
	assert_int_equal(pmtu.size, CV_PMTU_BASE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_wider_tun_is_hoped_to_be_filled, begin),
		cmocka_unit_test_setup(a_wider_tun_is_no_reason_to_hope_where_less_failed, begin),
		cmocka_unit_test_setup(all_is_hoped_for_and_confirmed_while_data_flows, begin),
		cmocka_unit_test_setup(what_fails_leaves_the_base_and_a_search, begin),
		cmocka_unit_test_setup(what_this_host_refuses_fails_at_once, begin),
		cmocka_unit_test_setup(a_late_echo_takes_a_verdict_back, begin),
		cmocka_unit_test_setup(an_echo_of_more_than_the_tun_takes_says_nothing, begin),
		cmocka_unit_test_setup(patience_is_more_than_a_round_trip, begin),
		cmocka_unit_test_setup(a_move_asks_at_once_and_for_more_soon, begin),
		cmocka_unit_test_setup(the_size_in_use_is_confirmed_between_rounds, begin),
		cmocka_unit_test_setup(a_narrow_tun_needs_no_search, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
