/* Probes that are out: which echo counts, when one is given up, how many of the peer's we answer.
 */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/* cmocka.h needs what stands above it. */
#include <cmocka.h>

#include <convoy/peer/probing.h>

#define S     CV_NS_PER_S
#define MS    CV_NS_PER_MS
#define EPOCH (1000 * S)

static struct cv_probing probing;
static struct cv_probe probe;

static int set_up(void **state)
{
	(void)state;
	probing = (struct cv_probing){ 0 };
	return 0;
}

static bool echoed(uint32_t number, uint16_t size, cv_time when)
{
	return cv_probing_echoed(&probing, number, size, when, &probe);
}

static void an_echo_counts_once(void **state)
{
	(void)state;
	assert_false(echoed(0, 0, EPOCH));
	assert_false(echoed(0, 48, EPOCH));
	cv_probing_sent(&probing, 48, EPOCH);
	assert_false(echoed(1, 48, EPOCH + MS));
	assert_false(echoed(0, 47, EPOCH + MS));
	assert_int_equal(probing.quality.rtt, 0);
	assert_true(echoed(0, 48, EPOCH + 20 * MS));
	assert_int_equal(probe.sent, EPOCH);
	assert_int_equal(probe.size, 48);
	assert_int_equal(probing.quality.rtt, 20 * MS);
	assert_false(echoed(0, 48, EPOCH + 40 * MS));
	assert_int_equal(probing.quality.rtt, 20 * MS);
}

static void echoes_may_overtake_each_other_up_to_eight(void **state)
{
	(void)state;
	for (uint16_t i = 0; i < CV_PROBES_OUT + 1; i++)
		cv_probing_sent(&probing, 100 + i, EPOCH);
	assert_false(echoed(0, 100, EPOCH));
	for (uint16_t i = CV_PROBES_OUT; i > 0; i--)
		assert_true(echoed(i, 100 + i, EPOCH));
}

static void numbers_wrap(void **state)
{
	(void)state;
	probing.next = UINT32_MAX;
	cv_probing_sent(&probing, 48, EPOCH);
	cv_probing_sent(&probing, 49, EPOCH + S);
	assert_true(echoed(0, 49, EPOCH + S));
	assert_int_equal(probe.sent, EPOCH + S);
	assert_true(echoed(UINT32_MAX, 48, EPOCH + S));
	assert_int_equal(probe.sent, EPOCH);
}

static void a_probe_is_given_up_once_and_a_late_echo_still_counts(void **state)
{
	(void)state;
	assert_int_equal(cv_probing_due(&probing), CV_TIME_NEVER);
	cv_probing_sent(&probing, 1400, EPOCH);
	cv_probing_sent(&probing, 48, EPOCH + S / 2);
	assert_int_equal(cv_probing_due(&probing), EPOCH + S);
	assert_false(cv_probing_give_up(&probing, EPOCH + S - 1, &probe));
	assert_true(cv_probing_give_up(&probing, EPOCH + S, &probe));
	assert_int_equal(probe.size, 1400);
	assert_false(cv_probing_give_up(&probing, EPOCH + S, &probe));
	assert_int_equal(cv_probing_due(&probing), EPOCH + S + S / 2);
	assert_int_equal(probing.quality.unanswered, 1);
	assert_true(echoed(0, 1400, EPOCH + 2 * S));
	assert_int_equal(probing.quality.rtt, 2 * S);
	assert_true(echoed(1, 48, EPOCH + 2 * S));
	assert_int_equal(cv_probing_due(&probing), CV_TIME_NEVER);
	assert_false(cv_probing_give_up(&probing, EPOCH + 9 * S, &probe));
}

static void patience_follows_the_path(void **state)
{
	(void)state;
	cv_probing_sent(&probing, 48, EPOCH);
	echoed(0, 48, EPOCH + 50 * MS);
	cv_probing_sent(&probing, 48, EPOCH + S);
	assert_int_equal(cv_probing_due(&probing), EPOCH + S + 200 * MS);
}

static void echoes_to_a_peer_are_few(void **state)
{
	cv_time now = EPOCH;
	int n = 0;

	(void)state;
	while (cv_probing_may_echo(&probing, now))
		n++;
	assert_int_equal(n, CV_ECHOES_BURST);
	for (; now < EPOCH + 10 * S; now += MS)
		n += cv_probing_may_echo(&probing, now);
	assert_int_equal(n, CV_ECHOES_BURST + 10 * CV_ECHOES_PER_S - 1);
	now += 100 * S;
	for (n = 0; cv_probing_may_echo(&probing, now);)
		n++;
	assert_int_equal(n, CV_ECHOES_BURST);
}

static void another_address_of_either_end_is_another_path(void **state)
{
	const struct cv_addr none = { 0 }, a = { AF_INET, { 1 } }, b = { AF_INET, { 2 } };
	const struct cv_addr v6 = { AF_INET6, { 1 } };

	(void)state;
	assert_false(cv_probing_goes(&probing, &none, &a)); /* the first is no other */
	assert_false(cv_probing_goes(&probing, &b, &a));
	assert_false(cv_probing_goes(&probing, &none, &a)); /* a source that is not known */
	assert_false(cv_probing_goes(&probing, &b, &a));
	assert_true(cv_probing_goes(&probing, &a, &a));
	assert_true(cv_probing_goes(&probing, &a, &b));
	assert_false(cv_probing_goes(&probing, &a, &b));
	assert_true(cv_probing_goes(&probing, &none, &v6));
	assert_true(cv_probing_goes(&probing, &v6, &v6));
	assert_false(cv_probing_goes(&probing, &v6, &v6));
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup(name, set_up)
	const struct CMUnitTest tests[] = {
		CASE(an_echo_counts_once),
		CASE(echoes_may_overtake_each_other_up_to_eight),
		CASE(numbers_wrap),
		CASE(a_probe_is_given_up_once_and_a_late_echo_still_counts),
		CASE(patience_follows_the_path),
		CASE(echoes_to_a_peer_are_few),
		CASE(another_address_of_either_end_is_another_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
