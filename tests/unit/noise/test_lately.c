/* Who was added is remembered for a while and then forgotten; others are rarely taken for him. */
#include <stdlib.h>
#include <sys/socket.h>

#include <convoy/crypto/init.h>
#include <convoy/noise/lately.h>

#include "hex.h"

#define MS    CV_NS_PER_MS
#define START (100 * CV_NS_PER_S)

static int set_up(void **state)
{
	struct cv_lately *lately = calloc(1, sizeof(*lately));

	*state = lately;
	return lately ? cv_crypto_init() : -1;
}

static int tear_down(void **state)
{
	free(*state);
	return 0;
}

static struct cv_endpoint endpoint(uint32_t n)
{
	struct cv_endpoint to = { .addr.family = AF_INET, .port = 51820 };

	memcpy(to.addr.b, &n, sizeof(n));
	return to;
}

static void nobody_is_there_at_first(void **state)
{
	const struct cv_endpoint one = endpoint(1);

	assert_false(cv_lately_has(*state, &one, 0));
	assert_false(cv_lately_has(*state, &one, START));
}

static void address_and_port_tell_endpoints_apart(void **state)
{
	struct cv_endpoint one = endpoint(1);

	cv_lately_add(*state, &one, START);
	assert_true(cv_lately_has(*state, &one, START));
	one.port++;
	assert_false(cv_lately_has(*state, &one, START));
	one = endpoint(2);
	assert_false(cv_lately_has(*state, &one, START));
}

/* Whenever in a generation it was added, and whoever came after. */
static void an_endpoint_is_remembered_for_a_while_and_not_longer(void **state)
{
	const struct cv_endpoint one = endpoint(1), other = endpoint(2);

	for (int after = 0; after < CV_LATELY_GENERATION_MS; after += 100) {
		const cv_time then = START + (cv_time)after * (1000 * CV_NS_PER_S + MS);
		const cv_time over = then + CV_LATELY_GENERATIONS * CV_LATELY_GENERATION_MS * MS;

		cv_lately_add(*state, &one, then);
		for (int ms = 0; ms < 4200; ms += 100) {
			assert_true(cv_lately_has(*state, &one, then + ms * MS));
			cv_lately_add(*state, &other, then + ms * MS);
		}
		assert_false(cv_lately_has(*state, &one, over));
		cv_lately_add(*state, &other, over);
		assert_false(cv_lately_has(*state, &one, over));
	}
}

static void a_hundred_thousand_hide_few_others(void **state)
{
	unsigned hidden = 0;

	for (uint32_t n = 0; n < 100000; n++) {
		const struct cv_endpoint to = endpoint(n);

		cv_lately_add(*state, &to, START);
	}
	for (uint32_t n = 100000; n < 200000; n++) {
		const struct cv_endpoint to = endpoint(n);

		hidden += cv_lately_has(*state, &to, START);
	}
	assert_in_range(hidden, 1, 5000);
}

/* With another key others collide: nobody can choose whom he hides. */
static void who_hides_whom_depends_on_the_key(void **state)
{
	struct cv_lately *lately = *state;
	unsigned both = 0, first = 0;

	for (int key = 0; key < 2; key++) {
		memset(lately, 0, sizeof(*lately));
		lately->hash_key[0] = (uint8_t)key;
		for (uint32_t n = 0; n < 100000; n++) {
			const struct cv_endpoint to = endpoint(n);

			cv_lately_add(lately, &to, START);
		}
		for (uint32_t n = 100000; n < 200000; n++) {
			static bool hidden[100000];
			const struct cv_endpoint to = endpoint(n);
			const bool now = cv_lately_has(lately, &to, START);

			both += key && now && hidden[n - 100000];
			first += !key && now;
			hidden[n - 100000] = now;
		}
	}
	assert_true(first > 0 && both < first / 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nobody_is_there_at_first, set_up, tear_down),
		cmocka_unit_test_setup_teardown(address_and_port_tell_endpoints_apart, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
			an_endpoint_is_remembered_for_a_while_and_not_longer, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_hundred_thousand_hide_few_others, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(who_hides_whom_depends_on_the_key, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
