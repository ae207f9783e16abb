/* Who is a Convoy: one hello a session, three in vain, and what makes us ask again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/* cmocka.h needs what stands above it. */
#include <cmocka.h>

#include <convoy/peer/extension.h>

static const struct cv_endpoint here = { .port = 1 }, there = { .port = 2 };

/* Hellos until no more is said. */
static unsigned hellos(struct cv_extension *extension, const struct cv_endpoint *where)
{
	unsigned n = 0;

	while (cv_extension_greets(extension, where))
		n++;
	return n;
}

static void three_hellos_in_vain_make_a_foreigner(void **state)
{
	struct cv_extension extension = { 0 };

	(void)state;
	assert_int_equal(hellos(&extension, &here), 3);
	assert_int_equal(extension.state, CV_EXTENSION_FOREIGN);
	assert_int_equal(hellos(&extension, &here), 0);
}

static void a_foreigner_is_asked_again_when_it_is_somewhere_else(void **state)
{
	struct cv_extension extension = { 0 };

	(void)state;
	hellos(&extension, &here);
	assert_true(cv_extension_greets(&extension, &there));
	assert_int_equal(extension.state, CV_EXTENSION_UNKNOWN);
	assert_int_equal(hellos(&extension, &there), 2);
	cv_extension_forget(&extension);
	assert_int_equal(hellos(&extension, &there), 3);
}

static void a_convoy_is_greeted_in_each_session(void **state)
{
	struct cv_extension extension = { 0 };

	(void)state;
	for (int i = 0; i < 100; i++) {
		assert_true(cv_extension_greets(&extension, &here));
		assert_true(cv_extension_heard(&extension));
		assert_int_equal(extension.state, CV_EXTENSION_CONVOY);
	}
	/* It was replaced by another program. */
	assert_int_equal(hellos(&extension, &here), 3);
	assert_int_equal(extension.state, CV_EXTENSION_FOREIGN);
	/* And that by a Convoy. */
	assert_true(cv_extension_heard(&extension));
	assert_int_equal(extension.state, CV_EXTENSION_CONVOY);
}

static void nothing_is_said_when_it_is_off(void **state)
{
	struct cv_extension extension = { .off = true };

	(void)state;
	assert_int_equal(hellos(&extension, &here), 0);
	assert_false(cv_extension_heard(&extension));
	assert_int_equal(extension.state, CV_EXTENSION_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(three_hellos_in_vain_make_a_foreigner),
		cmocka_unit_test(a_foreigner_is_asked_again_when_it_is_somewhere_else),
		cmocka_unit_test(a_convoy_is_greeted_in_each_session),
		cmocka_unit_test(nothing_is_said_when_it_is_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
