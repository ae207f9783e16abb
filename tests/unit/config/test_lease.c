/* Leases: their text, line by line, and who gets what. law_lease.c has the rest. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* After the headers that it needs. */
#include <cmocka.h>

#include <convoy/config/lease.h>
#include <convoy/crypto/init.h>

#include "files.h"

static const bool both[CV_FAMILIES] = { true, true };

/* Lines that were refused, and why: "2 WHY\n". */
static char flaws[1024];

static void note_flaw(void *arg, uint32_t line, const char *why)
{
	size_t len = strlen(flaws);

	snprintf(flaws + len, sizeof(flaws) - len, "%u %s\n", line, why);
}

static struct cv_leases parse(const char *text, size_t len)
{
	struct cv_leases leases = { 0 };

	flaws[0] = '\0';
	assert_int_equal(cv_leases_parse(text, len, &leases, note_flaw, NULL), 0);
	return leases;
}

static void assert_printed(const struct cv_leases *leases, const char *text)
{
	char printed[2048];

	assert_int_equal(cv_leases_print(leases, printed, sizeof(printed)), strlen(text));
	assert_string_equal(printed, text);
}

/* A tunnel of 10.77.0.1/24 and fd77::1/64 whose pools are these. */
static struct cv_prefix addresses[] = { { { AF_INET, { 10, 77, 0, 1 } }, 24 },
					{ { AF_INET6, { 0xfd, 0x77, [15] = 1 } }, 64 } };

static struct cv_config config_of(const char *v4, const char *v6)
{
	struct cv_config config = { .addresses = addresses, .n_addresses = 2 };

	assert_int_equal(cv_prefix_parse(v4, &config.pool.prefixes[CV_IPV4]), 0);
	assert_int_equal(cv_prefix_parse(v6, &config.pool.prefixes[CV_IPV6]), 0);
	return config;
}

static struct cv_key key_of(uint8_t first)
{
	return (struct cv_key){ { first } };
}

static struct cv_leases empty(const struct cv_config *config)
{
	struct cv_leases leases = { 0 };

	cv_leases_begin(&leases, config);
	assert_int_equal(cv_leases_settle(&leases), 0);
	return leases;
}

static void assert_has(const struct cv_leases *leases, uint8_t first, const char *v4)
{
	const struct cv_key key = key_of(first);
	const struct cv_lease *lease = cv_leases_find(leases, &key);
	char text[CV_ADDR_TEXT_MAX];

	assert_non_null(lease);
	assert_int_equal(lease->holds[CV_IPV4], v4 != NULL);
	if (v4)
		assert_string_equal(cv_addr_format(&lease->addrs[CV_IPV4], text), v4);
}

static void what_is_printed_is_read_again(void **state)
{
	const char text[] =
		KEY_B " 10.77.0.7 fd77::7\n" KEY_C " - fd77::8\n" KEY_D " 10.77.0.9 -\n";
	struct cv_leases leases = parse(text, strlen(text));

	assert_string_equal(flaws, "");
	assert_int_equal(leases.n, 3);
	assert_false(leases.changed);
	assert_printed(&leases, text);
	cv_leases_free(&leases);
}

static void a_line_that_is_wrong_takes_no_other_with_it(void **state)
{
	const char text[] =
		"\n"
		"# a comment\n" KEY_D " 10.77.0.7 fd77::7\n"
		"c2hvcnQ= 10.77.0.8 -\n" KEY_B " fd77::8 10.77.0.8\n" KEY_B " 10.77.0.8\n" KEY_B
		" 10.77.0.8 fd77::8 more\n" KEY_D " 10.77.0.9 -\n" KEY_B
		" 10.77.0.7 fd77::8\n" KEY_B " 10.77.0.8\0 -\n" KEY_C " 10.77.0.10 -";
	struct cv_leases leases = parse(text, sizeof(text) - 1);

	assert_string_equal(flaws, "1 it does not begin with a public key\n"
				   "2 it does not begin with a public key\n"
				   "4 it does not begin with a public key\n"
				   "5 the second word is neither an IPv4 address nor -\n"
				   "6 the third word is neither an IPv6 address nor -\n"
				   "7 there is more than a key and two addresses\n"
				   "8 a line before it has this key\n"
				   "10 the second word is neither an IPv4 address nor -\n"
				   "11 it is cut short\n"
				   "9 a line before it has this address\n");
	assert_printed(&leases, KEY_D " 10.77.0.7 fd77::7\n" KEY_B " - fd77::8\n");
	cv_leases_free(&leases);
}

/* The vector of conf/convoy-wire.md. */
static void a_key_points_to_the_address_of_the_specification(void **state)
{
	struct cv_config config = config_of("10.77.0.0/24", "fd77::/64");
	struct cv_leases leases = empty(&config);
	char v4[CV_ADDR_TEXT_MAX], v6[CV_ADDR_TEXT_MAX];
	const struct cv_lease *lease;
	struct cv_key key;

	for (uint8_t i = 0; i < CV_KEY_SIZE; i++)
		key.b[i] = i;
	assert_int_equal(cv_leases_take(&leases, &key, both), 0);
	lease = cv_leases_find(&leases, &key);
	assert_string_equal(cv_addr_format(&lease->addrs[CV_IPV4], v4), "10.77.0.121");
	assert_string_equal(cv_addr_format(&lease->addrs[CV_IPV6], v6),
			    "fd77::d8ae:5297:f4d8:27d2");
	cv_leases_free(&leases);
}

static void a_full_pool_takes_back_the_oldest_of_who_is_no_peer(void **state)
{
	struct cv_config config = config_of("10.77.0.0/29", "fd77::/64");
	struct cv_leases leases = empty(&config);
	struct cv_key key;

	/* .2 to .6; then there is none. */
	for (uint8_t i = 1; i <= 5; i++) {
		key = key_of(i);
		assert_int_equal(cv_leases_take(&leases, &key, both), 0);
	}
	key = key_of(6);
	assert_int_equal(cv_leases_take(&leases, &key, both), -ENOSPC);
	assert_has(&leases, 6, NULL);
	assert_true(cv_leases_find(&leases, &key)->holds[CV_IPV6]);

	cv_leases_begin(&leases, &config);
	for (uint8_t i = 1; i <= 6; i++) {
		key = key_of(i);
		if (i != 2 && i != 4)
			cv_leases_tell_peer(&leases, &key);
	}
	assert_int_equal(cv_leases_settle(&leases), 0);
	for (uint8_t i = 6; i <= 7; i++) {
		key = key_of(i);
		assert_int_equal(cv_leases_take(&leases, &key, both), 0);
	}
	assert_has(&leases, 2, NULL);
	assert_has(&leases, 4, NULL);
	key = key_of(8);
	assert_int_equal(cv_leases_take(&leases, &key, both), -ENOSPC);
	cv_leases_free(&leases);
}

/* In the order of age: 2's address is 6's, 4's is 7's. */
static void the_oldest_goes_first(void **state)
{
	struct cv_config config = config_of("10.77.0.0/29", "fd77::/64");
	const char text[] = KEY_C " 10.77.0.5 -\n" KEY_D " 10.77.0.3 -\n" KEY_B " 10.77.0.2 -\n";
	struct cv_leases leases = parse(text, strlen(text));
	const struct cv_prefix taken[] = { { { AF_INET, { 10, 77, 0, 4 } }, 32 },
					   { { AF_INET, { 10, 77, 0, 6 } }, 32 } };
	struct cv_key key = key_of(1), holder = key_of(9);

	cv_leases_begin(&leases, &config);
	cv_leases_tell_prefix(&leases, &holder, &taken[0]);
	cv_leases_tell_prefix(&leases, &holder, &taken[1]);
	assert_int_equal(cv_leases_settle(&leases), 0);
	assert_int_equal(cv_leases_take(&leases, &key, both), 0);
	assert_has(&leases, 1, "10.77.0.5");
	key = key_of(2);
	assert_int_equal(cv_leases_take(&leases, &key, both), 0);
	assert_has(&leases, 2, "10.77.0.3");
	cv_leases_free(&leases);
}

static void what_is_new_is_so_until_it_is_saved(void **state)
{
	struct cv_config config = config_of("10.77.0.0/24", "fd77::/64");
	struct cv_leases leases = empty(&config);
	const struct cv_key key = key_of(1);

	assert_int_equal(cv_leases_take(&leases, &key, both), 0);
	assert_true(leases.changed && cv_leases_find(&leases, &key)->is_new);
	cv_leases_saved(&leases);
	assert_false(leases.changed || cv_leases_find(&leases, &key)->is_new);
	assert_int_equal(cv_leases_take(&leases, &key, both), 0);
	assert_false(leases.changed);
	cv_leases_free(&leases);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_printed_is_read_again),
		cmocka_unit_test(a_line_that_is_wrong_takes_no_other_with_it),
		cmocka_unit_test(a_key_points_to_the_address_of_the_specification),
		cmocka_unit_test(a_full_pool_takes_back_the_oldest_of_who_is_no_peer),
		cmocka_unit_test(the_oldest_goes_first),
		cmocka_unit_test(what_is_new_is_so_until_it_is_saved),
	};

	if (cv_crypto_init())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
