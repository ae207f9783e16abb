/*
 * What is left of a prefix without others is what a list says that is asked address by address.
 *
 * Prefixes are dense: few bits vary, so that holes nest, meet, come twice and fill the prefix. The
 * slow model walks over every value of the varying bits. The parts must come in order, hold exactly
 * the addresses that are left, and none may be half of a larger part that would have done as well.
 * The seed of a failure is printed; CV_SEED= replays it.
 */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* cmocka.h needs what stands above it. */
#include <cmocka.h>

#include <convoy/base/remainder.h>

#include "law.h"

enum {
	ROUNDS = 20000,
	HOLES = 12,
	VARYING_BITS = 8, /* consecutive, so that every prefix among them is whole in the model */
	PARTS_MAX = 4096,
};

static uint8_t family;
static unsigned first_bit; /* of those that vary */

static struct {
	struct cv_prefix list[PARTS_MAX];
	size_t n;
} parts;

static void take_part(void *arg, const struct cv_prefix *part)
{
	assert_ptr_equal(arg, &parts);
	assert_true(parts.n < PARTS_MAX);
	parts.list[parts.n++] = *part;
}

/* The address whose varying bits have this value; `rest` are the bits behind them. */
static struct cv_addr addr_of(unsigned value, uint8_t rest)
{
	struct cv_addr addr = { .family = family };

	memset(addr.b, 0x5a, cv_addr_size(family));
	for (unsigned bit = first_bit; bit < cv_addr_bits(family); bit++) {
		unsigned behind = bit - first_bit;
		bool one = behind < VARYING_BITS ? value >> (VARYING_BITS - 1 - behind) & 1 : rest;

		addr.b[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
		if (one)
			addr.b[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	}
	return addr;
}

static struct cv_prefix any_prefix(void)
{
	struct cv_prefix prefix = {
		.addr = addr_of(below(1 << VARYING_BITS), 0),
		.bits = (uint8_t)(first_bit + below(VARYING_BITS + 1)),
	};

	if (below(50) == 0)
		prefix.bits = (uint8_t)below(first_bit + 1);
	cv_prefix_mask(&prefix);
	return prefix;
}

static int by_order(const void *left, const void *right)
{
	return cv_prefix_compare(left, right);
}

static bool in_any(const struct cv_prefix *list, size_t n, const struct cv_addr *addr)
{
	for (size_t i = 0; i < n; i++)
		if (cv_prefix_contains(&list[i], addr))
			return true;
	return false;
}

static void assert_parts_are_what_is_left(const struct cv_prefix *prefix,
					  const struct cv_prefix *holes, size_t n)
{
	for (unsigned value = 0; value < 1 << VARYING_BITS; value++)
		for (uint8_t rest = 0; rest < 2; rest++) {
			struct cv_addr addr = addr_of(value, rest);
			bool left = cv_prefix_contains(prefix, &addr) && !in_any(holes, n, &addr);

			assert_int_equal(in_any(parts.list, parts.n, &addr), left);
		}
}

static void assert_parts_are_in_order_and_large(const struct cv_prefix *prefix)
{
	for (size_t i = 0; i < parts.n; i++) {
		struct cv_prefix masked = parts.list[i], wider = parts.list[i];

		cv_prefix_mask(&masked);
		assert_true(cv_prefix_equal(&masked, &parts.list[i]));
		assert_true(cv_prefix_covers(prefix, &parts.list[i]));
		if (i == 0)
			continue;
		assert_true(cv_prefix_compare(&parts.list[i - 1], &parts.list[i]) < 0);
		assert_false(cv_prefix_covers(&parts.list[i - 1], &parts.list[i]));
		wider.bits--;
		cv_prefix_mask(&wider);
		assert_false(parts.list[i].bits == parts.list[i - 1].bits &&
			     cv_prefix_covers(&wider, &parts.list[i - 1]));
	}
}

static void cut(void)
{
	struct cv_prefix all[HOLES], holes[HOLES], prefix;
	size_t n = below(HOLES + 1), kept;

	family = below(2) ? AF_INET : AF_INET6;
	first_bit = below(cv_addr_bits(family) - VARYING_BITS + 1);
	prefix = any_prefix();
	for (size_t i = 0; i < n; i++) {
		all[i] = any_prefix();
		if (below(10) == 0) /* of the other family, which is nobody's business here */
			all[i] = (struct cv_prefix){ .addr.family = family == AF_INET ? AF_INET6
										      : AF_INET };
	}
	memcpy(holes, all, n * sizeof(*all));
	if (n > 0)
		qsort(holes, n, sizeof(*holes), by_order);
	kept = cv_prefixes_disjoin(holes, n);
	for (size_t i = 1; i < kept; i++)
		assert_false(cv_prefix_covers(&holes[i - 1], &holes[i]));
	parts.n = 0;
	cv_prefix_each_left(&prefix, kept ? holes : NULL, kept, take_part, &parts);
	assert_parts_are_what_is_left(&prefix, all, n);
	assert_parts_are_in_order_and_large(&prefix);
}

static void parts_are_what_is_left_and_as_large_as_can_be(void **state)
{
	for_all_seeds(ROUNDS, cut);
}

/* What the phone apps print for "everything but the private networks", worked out by others. */
static void everything_but_10_8_is_eight_prefixes(void **state)
{
	static const char *const expected[] = { "0.0.0.0/5",  "8.0.0.0/7",  "11.0.0.0/8",
						"12.0.0.0/6", "16.0.0.0/4", "32.0.0.0/3",
						"64.0.0.0/2", "128.0.0.0/1" };
	struct cv_prefix all, hole;
	char text[CV_PREFIX_TEXT_MAX];

	assert_int_equal(cv_prefix_parse("0.0.0.0/0", &all), 0);
	assert_int_equal(cv_prefix_parse("10.0.0.0/8", &hole), 0);
	parts.n = 0;
	cv_prefix_each_left(&all, &hole, 1, take_part, &parts);
	assert_int_equal(parts.n, 8);
	for (size_t i = 0; i < 8; i++)
		assert_string_equal(cv_prefix_format(&parts.list[i], text), expected[i]);
}

static void one_address_of_ipv6_leaves_128_parts(void **state)
{
	struct cv_prefix all, hole;

	assert_int_equal(cv_prefix_parse("::/0", &all), 0);
	assert_int_equal(cv_prefix_parse("2001:db8::1", &hole), 0);
	parts.n = 0;
	cv_prefix_each_left(&all, &hole, 1, take_part, &parts);
	assert_int_equal(parts.n, 128);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(parts_are_what_is_left_and_as_large_as_can_be,
					  name_failed_seed),
		cmocka_unit_test(everything_but_10_8_is_eight_prefixes),
		cmocka_unit_test(one_address_of_ipv6_leaves_128_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
