/* The timers of a peer, one rule of the white paper (section 6) or of the kernel a case. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* cmocka.h needs what stands above it. */
#include <cmocka.h>

#include <convoy/peer/timers.h>

#define S      CV_NS_PER_S
#define JITTER (333 * CV_NS_PER_MS)
#define EPOCH  (1000 * S) /* when the cases begin */
#define RETRY  (CV_TIMER_RETRY | CV_TIMER_CLEAR_SOURCE)
#define RENEW  (CV_TIMER_INITIATE | CV_TIMER_CLEAR_SOURCE)

static struct cv_timers timers;

static int set_up(void **state)
{
	(void)state;
	cv_timers_init(&timers);
	return 0;
}

/* What fires at EPOCH + when, and that nothing fires a nanosecond before. */
static unsigned fire_at(cv_time when)
{
	assert_int_equal(cv_timers_plan(&timers), EPOCH + when);
	assert_int_equal(cv_timers_fire(&timers, EPOCH + when - 1, 0), 0);
	return cv_timers_fire(&timers, EPOCH + when, 0);
}

static void assert_idle(void)
{
	assert_int_equal(cv_timers_plan(&timers), CV_TIME_NEVER);
}

static void new_timers_are_idle(void **state)
{
	(void)state;
	assert_idle();
	assert_int_equal(cv_timers_fire(&timers, CV_TIME_NEVER - 1, 0), 0);
}

static void data_without_answer_starts_a_handshake_within_15_seconds(void **state)
{
	(void)state;
	cv_timers_data_sent(&timers, EPOCH);
	cv_timers_data_sent(&timers, EPOCH + 9 * S); /* the first one counts */
	assert_int_equal(fire_at(14667 * CV_NS_PER_MS), RENEW);
	assert_idle();
}

static void jitter_drawn_when_control_fires_moves_the_next_new_handshake(void **state)
{
	(void)state;
	cv_timers_fire(&timers, EPOCH, JITTER);
	cv_timers_data_sent(&timers, EPOCH);
	assert_int_equal(fire_at(14667 * CV_NS_PER_MS - JITTER), RENEW);
}

static void anything_authentic_received_cancels_the_new_handshake(void **state)
{
	(void)state;
	cv_timers_data_sent(&timers, EPOCH);
	cv_timers_any_received(&timers, EPOCH + S);
	assert_idle();
}

static void data_received_is_answered_by_a_keepalive_after_10_seconds(void **state)
{
	(void)state;
	cv_timers_data_received(&timers, EPOCH);
	assert_int_equal(fire_at(10 * S), CV_TIMER_KEEPALIVE);
	assert_idle();
}

/* Else two idle peers would answer each other's keepalives for ever. */
static void keepalive_received_is_not_answered(void **state)
{
	(void)state;
	cv_timers_any_received(&timers, EPOCH);
	assert_idle();
}

static void anything_sent_cancels_the_keepalive(void **state)
{
	(void)state;
	cv_timers_data_received(&timers, EPOCH);
	cv_timers_any_sent(&timers, EPOCH + S);
	assert_idle();
}

static void more_data_while_a_keepalive_is_pending_brings_another(void **state)
{
	(void)state;
	cv_timers_data_received(&timers, EPOCH);
	cv_timers_data_received(&timers, EPOCH + 3 * S);
	assert_int_equal(fire_at(10 * S), CV_TIMER_KEEPALIVE);
	assert_int_equal(fire_at(20 * S), CV_TIMER_KEEPALIVE);
	assert_idle();
}

/* As in the kernel: what is sent cancels the keepalive, not the memory of more data. */
static void another_keepalive_is_remembered_until_one_fires(void **state)
{
	(void)state;
	cv_timers_data_received(&timers, EPOCH);
	cv_timers_data_received(&timers, EPOCH);
	cv_timers_any_sent(&timers, EPOCH + S);
	cv_timers_data_received(&timers, EPOCH + 2 * S);
	assert_int_equal(fire_at(12 * S), CV_TIMER_KEEPALIVE);
	assert_int_equal(fire_at(22 * S), CV_TIMER_KEEPALIVE);
	assert_idle();
}

static void persistent_keepalive_comes_an_interval_after_the_last_message(void **state)
{
	(void)state;
	cv_timers_set_persistent(&timers, 25, EPOCH);
	cv_timers_any_sent(&timers, EPOCH + 10 * S);
	assert_int_equal(cv_timers_plan(&timers), EPOCH + 35 * S);
	cv_timers_any_received(&timers, EPOCH + 20 * S);
	assert_int_equal(fire_at(45 * S), CV_TIMER_KEEPALIVE);
}

static void persistent_keepalive_that_cannot_be_sent_comes_again(void **state)
{
	(void)state;
	cv_timers_set_persistent(&timers, 25, EPOCH);
	assert_int_equal(fire_at(25 * S), CV_TIMER_KEEPALIVE);
	assert_int_equal(fire_at(50 * S), CV_TIMER_KEEPALIVE);
}

static void persistent_keepalive_of_interval_0_never_comes(void **state)
{
	(void)state;
	cv_timers_any_sent(&timers, EPOCH);
	assert_idle();
	cv_timers_set_persistent(&timers, 25, EPOCH);
	cv_timers_set_persistent(&timers, 0, EPOCH + S);
	cv_timers_any_sent(&timers, EPOCH + 2 * S);
	assert_idle();
	timers.persistent = EPOCH; /* a worker's store that lost the race with switching it off */
	assert_int_equal(fire_at(0), 0);
	assert_idle();
}

static void setting_the_same_interval_does_not_postpone_a_keepalive(void **state)
{
	(void)state;
	cv_timers_set_persistent(&timers, 25, EPOCH);
	cv_timers_set_persistent(&timers, 25, EPOCH + 20 * S);
	assert_int_equal(cv_timers_plan(&timers), EPOCH + 25 * S);
	cv_timers_set_persistent(&timers, 30, EPOCH + 20 * S);
	assert_int_equal(cv_timers_plan(&timers), EPOCH + 50 * S);
}

static void unanswered_initiation_is_sent_again_after_5_seconds_and_jitter(void **state)
{
	(void)state;
	cv_timers_initiation_sent(&timers, EPOCH, JITTER);
	assert_int_equal(fire_at(5 * S + JITTER), RETRY);
	assert_int_equal(timers.attempts, 1);
	assert_idle(); /* until the caller has sent it */
}

static void completed_handshake_ends_the_retries(void **state)
{
	(void)state;
	cv_timers_initiation_sent(&timers, EPOCH, 0);
	timers.attempts = 7;
	cv_timers_handshake_complete(&timers);
	assert_idle();
	assert_int_equal(timers.attempts, 0);
}

/* 1 initiation and 19 retries, then no more. */
static void twentieth_silence_gives_up(void **state)
{
	cv_time when = 0;

	(void)state;
	for (int i = 0; i < 19; i++) {
		cv_timers_initiation_sent(&timers, EPOCH + when, 0);
		when += 5 * S;
		assert_int_equal(fire_at(when), RETRY);
	}
	cv_timers_initiation_sent(&timers, EPOCH + when, 0);
	cv_timers_data_received(&timers, EPOCH + when);
	assert_int_equal(fire_at(when + 5 * S), CV_TIMER_GIVE_UP);
	assert_int_equal(timers.keepalive, CV_TIME_NEVER);
	assert_int_equal(fire_at(when + 5 * S + 540 * S), CV_TIMER_ZERO_KEYS);
	assert_idle();
}

static void giving_up_does_not_postpone_the_end_of_the_keys(void **state)
{
	(void)state;
	cv_timers_session_derived(&timers, EPOCH);
	cv_timers_initiation_sent(&timers, EPOCH, 0);
	timers.attempts = 19;
	assert_int_equal(fire_at(5 * S), CV_TIMER_GIVE_UP);
	assert_int_equal(fire_at(540 * S), CV_TIMER_ZERO_KEYS);
}

static void traffic_and_new_handshakes_begin_the_count_of_attempts_anew(void **state)
{
	(void)state;
	timers.attempts = 19;
	cv_timers_restart_attempts(&timers);
	assert_int_equal(timers.attempts, 0);
	timers.attempts = 19;
	cv_timers_data_sent(&timers, EPOCH);
	assert_int_equal(fire_at(14667 * CV_NS_PER_MS), RENEW);
	assert_int_equal(timers.attempts, 0);
}

static void keys_end_540_seconds_after_the_last_session(void **state)
{
	(void)state;
	cv_timers_session_derived(&timers, EPOCH);
	cv_timers_session_derived(&timers, EPOCH + 120 * S);
	assert_int_equal(fire_at(660 * S), CV_TIMER_ZERO_KEYS);
	assert_idle();
}

static void stopping_ends_everything_but_the_interval(void **state)
{
	(void)state;
	cv_timers_set_persistent(&timers, 25, EPOCH);
	cv_timers_data_sent(&timers, EPOCH);
	cv_timers_data_received(&timers, EPOCH);
	cv_timers_data_received(&timers, EPOCH);
	cv_timers_initiation_sent(&timers, EPOCH, 0);
	cv_timers_session_derived(&timers, EPOCH);
	cv_timers_set_probes(&timers, true);
	cv_timers_data_sent(&timers, EPOCH);
	cv_timers_expect_echo(&timers, EPOCH);
	timers.attempts = 3;
	cv_timers_stop(&timers);
	assert_idle();
	assert_int_equal(timers.attempts, 0);
	assert_false(timers.keepalive_again);
	cv_timers_any_sent(&timers, EPOCH + S);
	assert_idle();

	cv_timers_set_persistent(&timers, timers.persistent_s, EPOCH + 60 * S);
	assert_int_equal(cv_timers_plan(&timers), EPOCH + 85 * S);
}

static void several_deadlines_may_fire_at_once(void **state)
{
	(void)state;
	cv_timers_data_sent(&timers, EPOCH);
	cv_timers_data_received(&timers, EPOCH);
	cv_timers_initiation_sent(&timers, EPOCH, 0);
	cv_timers_session_derived(&timers, EPOCH);
	cv_timers_plan(&timers);
	assert_int_equal(cv_timers_fire(&timers, EPOCH + 540 * S, 0),
			 RENEW | RETRY | CV_TIMER_KEEPALIVE | CV_TIMER_ZERO_KEYS);
	assert_idle();
}

static void control_is_told_of_what_lies_before_its_plan_only(void **state)
{
	(void)state;
	assert_true(cv_timers_data_sent(&timers, EPOCH));
	assert_false(cv_timers_data_sent(&timers, EPOCH)); /* said before */
	cv_timers_plan(&timers);                           /* 15 s */
	assert_true(cv_timers_data_received(&timers, EPOCH));
	assert_false(cv_timers_data_received(&timers, EPOCH));
	cv_timers_any_received(&timers, EPOCH);
	assert_int_equal(cv_timers_plan(&timers), EPOCH + 10 * S);
	assert_false(cv_timers_data_sent(&timers, EPOCH));
}

/* The plan in the past is that of control being awake: its next one sees everything. */
static void control_that_is_awake_is_not_told(void **state)
{
	(void)state;
	cv_timers_data_received(&timers, EPOCH);
	cv_timers_plan(&timers);
	assert_int_equal(cv_timers_fire(&timers, EPOCH + 10 * S, 0), CV_TIMER_KEEPALIVE);
	assert_false(cv_timers_data_sent(&timers, EPOCH + 10 * S));
	assert_int_equal(cv_timers_plan(&timers), EPOCH + 10 * S + 14667 * CV_NS_PER_MS);
}

static void data_both_ways_arms_the_probe_of_a_convoy_only(void **state)
{
	(void)state;
	cv_timers_data_sent(&timers, EPOCH);
	assert_int_equal(timers.probe, CV_TIME_NEVER);
	cv_timers_set_probes(&timers, true);
	cv_timers_any_sent(&timers, EPOCH);
	cv_timers_any_received(&timers, EPOCH);
	assert_idle();
	cv_timers_data_sent(&timers, EPOCH);
	assert_int_equal(fire_at(S), CV_TIMER_PROBE);
	assert_int_equal(timers.probe, CV_TIME_NEVER);
	cv_timers_data_received(&timers, EPOCH + S);
	cv_timers_data_received(&timers, EPOCH + S + S / 2); /* the first one counts */
	assert_int_equal(fire_at(2 * S), CV_TIMER_PROBE);
}

static void probe_that_is_armed_is_told_beside_what_is_pending(void **state)
{
	(void)state;
	cv_timers_data_sent(&timers, EPOCH);
	cv_timers_data_received(&timers, EPOCH);
	cv_timers_plan(&timers); /* 10 s */
	cv_timers_set_probes(&timers, true);
	assert_true(cv_timers_data_sent(&timers, EPOCH));
	assert_false(cv_timers_data_sent(&timers, EPOCH));
	timers.probe = CV_TIME_NEVER;
	assert_true(cv_timers_data_received(&timers, EPOCH));
	assert_false(cv_timers_data_received(&timers, EPOCH));
}

static void probes_end_with_the_peer_being_a_convoy(void **state)
{
	(void)state;
	cv_timers_set_probes(&timers, true);
	cv_timers_data_sent(&timers, EPOCH);
	cv_timers_any_received(&timers, EPOCH);
	cv_timers_expect_echo(&timers, EPOCH + S);
	cv_timers_set_probes(&timers, false);
	assert_idle();
	timers.probe = EPOCH; /* a worker's store that lost the race with it */
	assert_int_equal(fire_at(0), 0);
	assert_idle();
}

static void echo_that_is_missing_is_told_once(void **state)
{
	(void)state;
	cv_timers_expect_echo(&timers, EPOCH + S);
	assert_int_equal(fire_at(S), CV_TIMER_NO_ECHO);
	assert_idle();
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup(name, set_up)
	const struct CMUnitTest tests[] = {
		CASE(new_timers_are_idle),
		CASE(data_without_answer_starts_a_handshake_within_15_seconds),
		CASE(jitter_drawn_when_control_fires_moves_the_next_new_handshake),
		CASE(anything_authentic_received_cancels_the_new_handshake),
		CASE(data_received_is_answered_by_a_keepalive_after_10_seconds),
		CASE(keepalive_received_is_not_answered),
		CASE(anything_sent_cancels_the_keepalive),
		CASE(more_data_while_a_keepalive_is_pending_brings_another),
		CASE(another_keepalive_is_remembered_until_one_fires),
		CASE(persistent_keepalive_comes_an_interval_after_the_last_message),
		CASE(persistent_keepalive_that_cannot_be_sent_comes_again),
		CASE(persistent_keepalive_of_interval_0_never_comes),
		CASE(setting_the_same_interval_does_not_postpone_a_keepalive),
		CASE(unanswered_initiation_is_sent_again_after_5_seconds_and_jitter),
		CASE(completed_handshake_ends_the_retries),
		CASE(twentieth_silence_gives_up),
		CASE(giving_up_does_not_postpone_the_end_of_the_keys),
		CASE(traffic_and_new_handshakes_begin_the_count_of_attempts_anew),
		CASE(keys_end_540_seconds_after_the_last_session),
		CASE(stopping_ends_everything_but_the_interval),
		CASE(several_deadlines_may_fire_at_once),
		CASE(control_is_told_of_what_lies_before_its_plan_only),
		CASE(control_that_is_awake_is_not_told),
		CASE(data_both_ways_arms_the_probe_of_a_convoy_only),
		CASE(probe_that_is_armed_is_told_beside_what_is_pending),
		CASE(probes_end_with_the_peer_being_a_convoy),
		CASE(echo_that_is_missing_is_told_once),
	};

	return cmocka_run_group_tests_name("timers", tests, NULL, NULL);
}
