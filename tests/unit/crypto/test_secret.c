/* Wiping, comparing, and the vault. */
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <convoy/crypto/init.h>
#include <convoy/crypto/random.h>
#include <convoy/crypto/secret.h>

#include "hex.h"

#ifdef __has_feature
#define CLANG_ASAN __has_feature(address_sanitizer)
#else
#define CLANG_ASAN 0
#endif

enum { SIZE = 200, MANY = 1000 };

static int setup(void **state)
{
	return cv_crypto_init();
}

static void wipe_leaves_zeros(void **state)
{
	uint8_t bytes[70];

	memset(bytes, 0xee, sizeof(bytes));
	cv_wipe(bytes + 1, sizeof(bytes) - 2);
	assert_int_equal(bytes[0], 0xee);
	assert_int_equal(bytes[69], 0xee);
	assert_true(cv_secret_is_zero(bytes + 1, sizeof(bytes) - 2));
}

static void equality_sees_every_bit(void **state)
{
	uint8_t a[32] = { 0 }, b[32] = { 0 };
	size_t bit;

	assert_true(cv_secret_equal(a, b, sizeof(a)));
	for (bit = 0; bit < 8 * sizeof(b); bit++) {
		b[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(cv_secret_equal(a, b, sizeof(a)));
		assert_false(cv_secret_is_zero(b, sizeof(b)));
		b[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void random_numbers_stay_below_their_bound(void **state)
{
	uint32_t seen = 0;
	int i;

	for (i = 0; i < 500; i++) {
		uint32_t n = cv_random_below(5);

		assert_true(n < 5);
		seen |= 1u << n;
	}
	assert_int_equal(seen, 31);
}

static void vault_objects_are_zero_aligned_and_apart(void **state)
{
	static uint8_t *objects[MANY];
	struct cv_vault vault;
	int i;

	cv_vault_init(&vault, SIZE);
	for (i = 0; i < MANY; i++) {
		objects[i] = cv_vault_take(&vault);
		assert_non_null(objects[i]);
		assert_int_equal((uintptr_t)objects[i] % 64, 0);
		assert_true(cv_secret_is_zero(objects[i], SIZE));
		memset(objects[i], i, SIZE);
	}
	for (i = 0; i < MANY; i++) {
		assert_int_equal(objects[i][0], (uint8_t)i);
		assert_int_equal(objects[i][SIZE - 1], (uint8_t)i);
	}
	for (i = 0; i < MANY; i++)
		cv_vault_return(objects[i]);
	cv_vault_done(&vault);
}

static void what_comes_back_is_wiped_and_given_out_again(void **state)
{
	struct cv_vault vault;
	uint8_t *a, *b;

	cv_vault_init(&vault, SIZE);
	a = cv_vault_take(&vault);
	memset(a, 0xee, SIZE);
	cv_vault_return(a);
	/* Still the vault's memory, so it may be looked at. */
	assert_true(cv_secret_is_zero(a, SIZE));
	b = cv_vault_take(&vault);
	assert_ptr_equal(a, b);
	assert_true(cv_secret_is_zero(b, SIZE));
	cv_vault_return(b);
	cv_vault_done(&vault);
}

static void returning_nothing_does_nothing(void **state)
{
	cv_vault_return(NULL);
}

static void objects_go_home_to_their_own_vault(void **state)
{
	struct cv_vault a, b;
	void *of_a, *of_b;

	cv_vault_init(&a, 40);
	cv_vault_init(&b, 3000);
	of_a = cv_vault_take(&a);
	of_b = cv_vault_take(&b);
	cv_vault_return(of_b);
	assert_int_equal(a.taken, 1);
	assert_int_equal(b.taken, 0);
	cv_vault_return(of_a);
	assert_int_equal(a.taken, 0);
	cv_vault_done(&a);
	cv_vault_done(&b);
}

static void the_largest_object_fits_a_chunk(void **state)
{
	struct cv_vault vault;
	uint8_t *object;

	cv_vault_init(&vault, 32768);
	object = cv_vault_take(&vault);
	assert_non_null(object);
	memset(object, 0xee, 32768);
	cv_vault_return(object);
	cv_vault_done(&vault);
}

/* Take an object without the right to lock memory. Return: what the child found, 0 when right. */
static int take_without_right_to_lock(void)
{
	const struct rlimit none = { 0, 0 };
	struct cv_vault vault;
	uint8_t *object;

	if (setrlimit(RLIMIT_MEMLOCK, &none) || (geteuid() == 0 && setuid(65534)))
		return 1;
	cv_vault_init(&vault, SIZE);
	if (!cv_vault_is_locked(&vault))
		return 2;
	object = cv_vault_take(&vault);
	if (!object || cv_vault_is_locked(&vault))
		return 3;
	memset(object, 0xee, SIZE);
	cv_vault_return(object);
	cv_vault_done(&vault);
	return 0;
}

static void a_vault_that_cannot_lock_works_and_says_so(void **state)
{
	pid_t child;
	int status;

#if defined(__SANITIZE_ADDRESS__) || CLANG_ASAN
	skip(); /* the sanitizer turns mlock(2) into nothing */
#endif
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(take_without_right_to_lock());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wipe_leaves_zeros),
		cmocka_unit_test(equality_sees_every_bit),
		cmocka_unit_test(random_numbers_stay_below_their_bound),
		cmocka_unit_test(vault_objects_are_zero_aligned_and_apart),
		cmocka_unit_test(what_comes_back_is_wiped_and_given_out_again),
		cmocka_unit_test(returning_nothing_does_nothing),
		cmocka_unit_test(objects_go_home_to_their_own_vault),
		cmocka_unit_test(the_largest_object_fits_a_chunk),
		cmocka_unit_test(a_vault_that_cannot_lock_works_and_says_so),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
