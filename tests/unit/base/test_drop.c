/* Drop reasons: every one has a name of its own and a sentence. */
#include <convoy/base/drop.h>

#include "hex.h"

static void every_reason_has_its_own_name_and_a_sentence(void **state)
{
	int i, j;

	for (i = 0; i < CV_DROP_COUNT; i++) {
		const char *name = cv_drop_name((enum cv_drop)i);

		assert_true(strlen(name) > 0);
		assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name));
		assert_true(strlen(cv_drop_sentence((enum cv_drop)i)) > strlen(name));
		for (j = 0; j < i; j++)
			assert_string_not_equal(name, cv_drop_name((enum cv_drop)j));
	}
}

static void released_names_stay(void **state)
{
	assert_string_equal(cv_drop_name(CV_DROP_VNET_HEADER), "vnet_header");
	assert_string_equal(cv_drop_name(CV_DROP_REPLAY), "replay");
	assert_string_equal(cv_drop_name(CV_DROP_HANDSHAKE_SEND), "handshake_send");
}

static void drops_are_counted_under_their_reason(void **state)
{
	struct cv_drops drops = { 0 };
	int i;

	cv_drops_add(&drops, CV_DROP_REPLAY, 2);
	cv_drops_add(&drops, CV_DROP_REPLAY, 3);
	for (i = 0; i < CV_DROP_COUNT; i++)
		assert_int_equal(drops.count[i], i == CV_DROP_REPLAY ? 5 : 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_reason_has_its_own_name_and_a_sentence),
		cmocka_unit_test(released_names_stay),
		cmocka_unit_test(drops_are_counted_under_their_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
