/* Mistyped words find the word that was meant, and strangers find none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* After the headers that it needs. */
#include <cmocka.h>

#include <convoy/config/suggest.h>

static const char *const words[] = { "ListenPort", "Endpoint", "MTU", "PersistentKeepalive" };

enum {
	WORDS = sizeof(words) / sizeof(words[0]),
};

static const char *nearest(const char *typed)
{
	size_t i = cv_suggest_nearest(typed, strlen(typed), words, WORDS);

	return i < WORDS ? words[i] : "none";
}

static void typo_finds_its_word(void **state)
{
	assert_string_equal(nearest("ListenPort"), "ListenPort");
	assert_string_equal(nearest("listenport"), "ListenPort");
	assert_string_equal(nearest("ListenPotr"), "ListenPort");
	assert_string_equal(nearest("LisenPrt"), "ListenPort");
	assert_string_equal(nearest("Listen_Port"), "ListenPort");
	assert_string_equal(nearest("EndPiont"), "Endpoint");
	assert_string_equal(nearest("MUT"), "MTU");
}

static void piece_of_a_word_finds_it(void **state)
{
	assert_string_equal(nearest("Keepalive"), "PersistentKeepalive");
	assert_string_equal(nearest("port"), "ListenPort");
	assert_string_equal(nearest("ort"), "none");
}

static void stranger_finds_none(void **state)
{
	char huge[5000];

	memset(huge, 'x', sizeof(huge));
	assert_string_equal(nearest(""), "none");
	assert_string_equal(nearest("MXX"), "none");
	assert_string_equal(nearest("Gateway"), "none");
	assert_int_equal(cv_suggest_nearest(huge, sizeof(huge), words, WORDS), WORDS);
	assert_int_equal(cv_suggest_nearest("MTU", 3, words, 0), 0);
}

static void first_of_equals_is_taken(void **state)
{
	static const char *const pair[] = { "abcX", "abcY" };

	assert_int_equal(cv_suggest_nearest("abcZ", 4, pair, 2), 0);
	assert_int_equal(cv_suggest_nearest("abcy", 4, pair, 2), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(typo_finds_its_word),
		cmocka_unit_test(piece_of_a_word_finds_it),
		cmocka_unit_test(stranger_finds_none),
		cmocka_unit_test(first_of_equals_is_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
