/* Handshakes per source: bursts, refill, families, a full table. */
#include <sys/socket.h>

#include <convoy/crypto/hash.h>
#include <convoy/crypto/init.h>
#include <convoy/noise/ratelimit.h>

#include "hex.h"

#define MS    CV_NS_PER_MS
#define START (100 * CV_NS_PER_S)

enum { SLOTS = 256 };

static struct cv_ratelimit_slot slots[SLOTS];
static struct cv_ratelimit limit;

static int setup(void **state)
{
	return cv_crypto_init();
}

static int fresh(void **state)
{
	const uint8_t key[16] = { 1 };

	cv_ratelimit_init(&limit, slots, SLOTS, 20, 5, key);
	return 0;
}

static bool allow(const char *source, cv_time now)
{
	struct cv_addr addr;

	assert_int_equal(cv_addr_parse(source, &addr), 0);
	return cv_ratelimit_allow(&limit, &addr, now);
}

static void five_at_once_then_one_every_50_ms(void **state)
{
	static const struct {
		int64_t after_ms;
		bool allowed;
	} steps[] = {
		{ 0, true },   { 0, true },    { 0, true },    { 0, true },    { 0, true },
		{ 0, false },  { 0, false },   { 49, false },  { 50, true },   { 50, false },
		{ 99, false }, { 100, true },  { 101, false }, { 149, false }, { 200, true },
		{ 200, true }, { 200, false }, { 449, true },  { 449, true },  { 449, true },
		{ 449, true }, { 449, false }, { 450, true },  { 450, false },
	};
	size_t i;

	for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		if (allow("192.0.2.1", START + steps[i].after_ms * MS) != steps[i].allowed)
			fail_msg("step %zu", i + 1);
	}
}

static void a_full_bucket_holds_five_however_long_it_rests(void **state)
{
	int i;

	assert_true(allow("192.0.2.1", START));
	for (i = 0; i < 5; i++)
		assert_true(allow("192.0.2.1", START + 3600 * CV_NS_PER_S));
	assert_false(allow("192.0.2.1", START + 3600 * CV_NS_PER_S));
}

static void twenty_a_second_pass_of_a_flood(void **state)
{
	unsigned passed = 0;
	int i;

	for (i = 0; i < 10000; i++)
		passed += allow("192.0.2.1", START + i * MS);
	/* Five at the start, then 20/s through 9.999 s. */
	assert_int_equal(passed, 5 + 199);
}

static void ipv4_sources_are_told_apart_by_address(void **state)
{
	int i;

	for (i = 0; i < 5; i++)
		assert_true(allow("192.0.2.1", START));
	assert_false(allow("192.0.2.1", START));
	assert_true(allow("192.0.2.2", START));
	assert_true(allow("193.0.2.1", START));
}

static void ipv6_sources_are_told_apart_by_the_first_64_bits(void **state)
{
	int i;

	for (i = 0; i < 5; i++)
		assert_true(allow(i % 2 ? "2001:db8::1" : "2001:db8::ffff:0:0:1", START));
	assert_false(allow("2001:db8::2", START));
	assert_true(allow("2001:db8:0:1::1", START));
	assert_true(allow("2001:db9::1", START));
}

static void families_do_not_share_a_bucket(void **state)
{
	int i;

	for (i = 0; i < 5; i++)
		assert_true(allow("32.1.13.184", START));
	assert_false(allow("32.1.13.184", START));
	assert_true(allow("2001:db8::", START)); /* the same first four bytes, then zeros */
}

static struct cv_addr source(uint32_t n)
{
	struct cv_addr addr = { .family = AF_INET };

	memcpy(addr.b, &n, sizeof(n));
	return addr;
}

static void a_full_table_refuses_newcomers_and_keeps_the_others(void **state)
{
	unsigned standing = 0;
	struct cv_addr addr;
	uint32_t n;

	for (n = 0; n < 100 * SLOTS; n++) {
		addr = source(n);
		standing += cv_ratelimit_allow(&limit, &addr, START);
	}
	assert_int_equal(standing, SLOTS);
	addr = source(UINT32_MAX);
	assert_false(cv_ratelimit_allow(&limit, &addr, START + 49 * MS));
	/* Those that stand still have their four. */
	addr = source(0);
	for (n = 0; n < 4; n++)
		assert_true(cv_ratelimit_allow(&limit, &addr, START));
	assert_false(cv_ratelimit_allow(&limit, &addr, START));
}

static void places_come_free_when_their_buckets_are_full_again(void **state)
{
	struct cv_addr addr;
	uint32_t n;

	for (n = 0; n < 100 * SLOTS; n++) {
		addr = source(n);
		cv_ratelimit_allow(&limit, &addr, START);
	}
	for (n = 0; n < SLOTS / 4; n++) {
		addr = source(1000000 + n);
		assert_true(cv_ratelimit_allow(&limit, &addr, START + 50 * MS));
	}
}

/* Sources that stand in one another's way under a key that somebody knows. */
static void chosen_sources_do_not_collide_under_another_key(void **state)
{
	const uint8_t known[16] = { 1 }, unknown[16] = { 2 };
	unsigned standing[2] = { 0 };
	uint32_t n = 0;

	for (int i = 0; i < 100; i++) {
		struct cv_addr addr;
		uint64_t prefix;

		do {
			addr = source(n++);
			memcpy(&prefix, addr.b, sizeof(prefix));
		} while (cv_siphash(known, &prefix, sizeof(prefix)) % SLOTS);
		for (int k = 0; k < 2; k++) {
			static struct cv_ratelimit_slot own[2][SLOTS];
			static struct cv_ratelimit both[2];

			if (i == 0)
				cv_ratelimit_init(&both[k], own[k], SLOTS, 20, 5,
						  k ? unknown : known);
			standing[k] += cv_ratelimit_allow(&both[k], &addr, START);
		}
	}
	assert_int_equal(standing[0], CV_RATELIMIT_WAYS);
	assert_in_range(standing[1], 95, 100);
}

static void a_table_of_one_window_works(void **state)
{
	const uint8_t key[16] = { 2 };
	unsigned standing = 0;
	struct cv_addr addr;
	uint32_t n;

	cv_ratelimit_init(&limit, slots, CV_RATELIMIT_WAYS, 20, 5, key);
	for (n = 0; n < 50; n++) {
		addr = source(n);
		standing += cv_ratelimit_allow(&limit, &addr, START);
	}
	assert_int_equal(standing, CV_RATELIMIT_WAYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(five_at_once_then_one_every_50_ms, fresh),
		cmocka_unit_test_setup(a_full_bucket_holds_five_however_long_it_rests, fresh),
		cmocka_unit_test_setup(twenty_a_second_pass_of_a_flood, fresh),
		cmocka_unit_test_setup(ipv4_sources_are_told_apart_by_address, fresh),
		cmocka_unit_test_setup(ipv6_sources_are_told_apart_by_the_first_64_bits, fresh),
		cmocka_unit_test_setup(families_do_not_share_a_bucket, fresh),
		cmocka_unit_test_setup(a_full_table_refuses_newcomers_and_keeps_the_others, fresh),
		cmocka_unit_test_setup(places_come_free_when_their_buckets_are_full_again, fresh),
		cmocka_unit_test_setup(chosen_sources_do_not_collide_under_another_key, fresh),
		cmocka_unit_test_setup(a_table_of_one_window_works, fresh),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
