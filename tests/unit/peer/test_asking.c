/* When a peer is asked for our addresses: at once, ever more seldom, and in each new session. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/* cmocka.h needs what stands above it. */
#include <cmocka.h>

#include <convoy/peer/asking.h>

#define S CV_NS_PER_S

static void asks_at_once_and_then_ever_more_seldom(void **state)
{
	static const cv_time pauses[] = { 1, 2, 4, 8, 16, 32, 60, 60, 60 };
	struct cv_asking asking;
	cv_time now = 100 * S;

	(void)state;
	cv_asking_begin(&asking, now);
	assert_int_equal(cv_asking_deadline(&asking), now);
	for (size_t i = 0; i < sizeof(pauses) / sizeof(pauses[0]); i++) {
		cv_asking_asked(&asking, true, now);
		assert_int_equal(cv_asking_deadline(&asking), now + pauses[i] * S);
		now = cv_asking_deadline(&asking);
	}
	for (int i = 0; i < 1000; i++) {
		cv_asking_asked(&asking, true, now);
		assert_int_equal(cv_asking_deadline(&asking), now + 60 * S);
	}
}

static void without_a_session_it_waits_for_one(void **state)
{
	struct cv_asking asking;

	(void)state;
	cv_asking_begin(&asking, 0);
	cv_asking_asked(&asking, false, 0);
	assert_int_equal(cv_asking_deadline(&asking), 60 * S);
	cv_asking_session(&asking);
	assert_int_equal(cv_asking_deadline(&asking), 1 * S);
	cv_asking_asked(&asking, true, 30 * S);
	assert_int_equal(cv_asking_deadline(&asking), 31 * S);
}

static void four_in_vain_are_told_of_once(void **state)
{
	struct cv_asking asking;
	int told = 0;

	(void)state;
	cv_asking_begin(&asking, 0);
	for (int i = 0; i < 600; i++) {
		cv_asking_asked(&asking, true, i * S);
		told += cv_asking_is_in_vain(&asking);
		assert_int_equal(told, i >= 3);
	}
}

static void a_grant_is_taken_once_a_second(void **state)
{
	struct cv_asking asking;
	cv_time now = 100 * S;

	(void)state;
	cv_asking_begin(&asking, now);
	assert_true(cv_asking_answered(&asking, now));
	assert_true(cv_asking_takes(&asking, now));
	assert_false(cv_asking_takes(&asking, now));
	assert_false(cv_asking_takes(&asking, now + S - 1));
	assert_true(cv_asking_takes(&asking, now + S));
	assert_false(cv_asking_takes(&asking, now + S));
}

static void what_is_no_use_is_asked_for_again(void **state)
{
	struct cv_asking asking;

	(void)state;
	cv_asking_begin(&asking, 0);
	cv_asking_asked(&asking, true, 0);
	assert_true(cv_asking_answered(&asking, 0));
	assert_int_equal(cv_asking_deadline(&asking), 60 * S);
}

static void a_granted_one_is_asked_in_each_new_session_only(void **state)
{
	struct cv_asking asking;

	(void)state;
	cv_asking_begin(&asking, 0);
	cv_asking_asked(&asking, true, 0);
	assert_true(cv_asking_answered(&asking, 0));
	cv_asking_granted(&asking);
	assert_int_equal(cv_asking_deadline(&asking), CV_TIME_NEVER);
	/* Sessions without end do not make requests without end. */
	cv_asking_session(&asking);
	cv_asking_session(&asking);
	assert_int_equal(cv_asking_deadline(&asking), 1 * S);
	for (int i = 0; i < 10; i++) {
		cv_asking_asked(&asking, true, 120 * S);
		assert_false(cv_asking_is_in_vain(&asking));
	}
	assert_int_equal(cv_asking_deadline(&asking), CV_TIME_NEVER);
	assert_true(cv_asking_answered(&asking, 121 * S));
	assert_int_equal(cv_asking_deadline(&asking), CV_TIME_NEVER);
}

static void nobody_is_asked_when_it_is_off(void **state)
{
	struct cv_asking asking = { 0 };

	(void)state;
	cv_asking_session(&asking);
	assert_int_equal(cv_asking_deadline(&asking), CV_TIME_NEVER);
	assert_false(cv_asking_answered(&asking, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(asks_at_once_and_then_ever_more_seldom),
		cmocka_unit_test(without_a_session_it_waits_for_one),
		cmocka_unit_test(four_in_vain_are_told_of_once),
		cmocka_unit_test(a_grant_is_taken_once_a_second),
		cmocka_unit_test(what_is_no_use_is_asked_for_again),
		cmocka_unit_test(a_granted_one_is_asked_in_each_new_session_only),
		cmocka_unit_test(nobody_is_asked_when_it_is_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
