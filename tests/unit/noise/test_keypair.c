/* Nonces and the end of a session: by time, by count, by order. */
#include <errno.h>

#include <convoy/noise/keypair.h>

#include "hex.h"

#define BIRTH (1000 * CV_NS_PER_S)
#define END   (BIRTH + CV_REJECT_AFTER_TIME_S * CV_NS_PER_S)

static struct cv_keypair made_with(uint64_t counter)
{
	return (struct cv_keypair){ .birth = BIRTH, .send_counter = counter };
}

static void limits_are_the_protocols(void **state)
{
	assert_true(CV_REKEY_AFTER_MESSAGES == UINT64_C(1152921504606846976));
	assert_true(CV_REJECT_AFTER_MESSAGES == UINT64_C(18446744073709543486));
	assert_int_equal(CV_REKEY_AFTER_TIME_S, 120);
	assert_int_equal(CV_REJECT_AFTER_TIME_S, 180);
}

static void nonces_are_taken_in_a_row(void **state)
{
	struct cv_keypair keypair = made_with(0);
	uint64_t first;

	assert_int_equal(cv_keypair_take(&keypair, 45, BIRTH, &first), 0);
	assert_true(first == 0);
	assert_int_equal(cv_keypair_take(&keypair, 1, BIRTH, &first), 0);
	assert_true(first == 45);
	assert_int_equal(cv_keypair_take(&keypair, 1024, BIRTH, &first), 0);
	assert_true(first == 46);
	assert_true(keypair.send_counter == 1070);
}

static void a_burst_is_refused_whole_when_it_crosses_the_limit(void **state)
{
	int64_t before;
	uint32_t n;

	for (before = 3; before >= -3; before--) {
		for (n = 1; n <= 6; n++) {
			struct cv_keypair keypair =
				made_with(CV_REJECT_AFTER_MESSAGES - (uint64_t)before);
			uint64_t first = 77;

			if ((int64_t)n <= before) {
				assert_int_equal(cv_keypair_take(&keypair, n, BIRTH, &first), 0);
				assert_true(first == CV_REJECT_AFTER_MESSAGES - (uint64_t)before);
			} else {
				assert_int_equal(cv_keypair_take(&keypair, n, BIRTH, &first),
						 -EKEYEXPIRED);
				assert_true(first == 77);
			}
			assert_int_equal(cv_keypair_can_send(&keypair, BIRTH), (int64_t)n < before);
		}
	}
}

static void a_counter_at_the_limit_does_not_run_on(void **state)
{
	struct cv_keypair keypair = made_with(CV_REJECT_AFTER_MESSAGES);
	uint64_t first;
	int i;

	for (i = 0; i < 100; i++)
		assert_int_equal(cv_keypair_take(&keypair, 1024, BIRTH, &first), -EKEYEXPIRED);
	assert_true(keypair.send_counter == CV_REJECT_AFTER_MESSAGES);
}

static void sending_ends_at_exactly_180_s(void **state)
{
	struct cv_keypair keypair = made_with(0);
	uint64_t first;

	assert_true(cv_keypair_can_send(&keypair, END - 1));
	assert_int_equal(cv_keypair_take(&keypair, 1, END - 1, &first), 0);
	assert_false(cv_keypair_can_send(&keypair, END));
	assert_int_equal(cv_keypair_take(&keypair, 1, END, &first), -EKEYEXPIRED);
	assert_false(cv_keypair_can_send(&keypair, END + 1));
	assert_true(keypair.send_counter == 1);
}

static void receiving_ends_at_exactly_180_s(void **state)
{
	const struct cv_keypair keypair = made_with(0);

	assert_true(cv_keypair_can_receive(&keypair, 0, BIRTH));
	assert_true(cv_keypair_can_receive(&keypair, 0, END - 1));
	assert_false(cv_keypair_can_receive(&keypair, 0, END));
	assert_false(cv_keypair_can_receive(&keypair, 0, END + 1));
}

static void receiving_ends_at_the_limit_of_messages(void **state)
{
	const struct cv_keypair keypair = made_with(0);
	int64_t before;

	for (before = 3; before >= -3; before--)
		assert_int_equal(cv_keypair_can_receive(&keypair,
							CV_REJECT_AFTER_MESSAGES - (uint64_t)before,
							BIRTH),
				 before > 0);
	assert_false(cv_keypair_can_receive(&keypair, UINT64_MAX, BIRTH));
}

static void what_we_sent_does_not_end_what_we_receive(void **state)
{
	struct cv_keypair keypair = made_with(CV_REJECT_AFTER_MESSAGES);

	keypair.sending_expired = true;
	assert_true(cv_keypair_can_receive(&keypair, 5, BIRTH));
}

static void an_expired_key_sends_no_more(void **state)
{
	struct cv_keypair keypair = made_with(0);
	uint64_t first;

	keypair.sending_expired = true;
	assert_false(cv_keypair_can_send(&keypair, BIRTH));
	assert_int_equal(cv_keypair_take(&keypair, 1, BIRTH, &first), -EKEYEXPIRED);
}

enum { TAKES = 200000, THREADS = 3 };

static struct cv_keypair shared;
static pthread_barrier_t together;
static uint8_t times_taken[THREADS * TAKES * 3]; /* not atomic: a nonce has one owner */

static void *take_often(void *arg)
{
	uint64_t first;
	uint32_t i, n, j;

	pthread_barrier_wait(&together);
	for (i = 0; i < TAKES; i++) {
		n = i % 5 + 1;
		if (cv_keypair_take(&shared, n, BIRTH, &first))
			return NULL;
		for (j = 0; j < n; j++)
			times_taken[first + j]++;
	}
	return NULL;
}

static void threads_never_take_the_same_nonce(void **state)
{
	pthread_t threads[THREADS];
	int i;

	shared = made_with(0);
	pthread_barrier_init(&together, NULL, THREADS);
	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_often, NULL), 0);
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&together);
	assert_true(shared.send_counter == sizeof(times_taken));
	for (size_t nonce = 0; nonce < sizeof(times_taken); nonce++)
		assert_int_equal(times_taken[nonce], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits_are_the_protocols),
		cmocka_unit_test(nonces_are_taken_in_a_row),
		cmocka_unit_test(a_burst_is_refused_whole_when_it_crosses_the_limit),
		cmocka_unit_test(a_counter_at_the_limit_does_not_run_on),
		cmocka_unit_test(sending_ends_at_exactly_180_s),
		cmocka_unit_test(receiving_ends_at_exactly_180_s),
		cmocka_unit_test(receiving_ends_at_the_limit_of_messages),
		cmocka_unit_test(what_we_sent_does_not_end_what_we_receive),
		cmocka_unit_test(an_expired_key_sends_no_more),
		cmocka_unit_test(threads_never_take_the_same_nonce),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
