/* Wire integers: bytes in their order, whatever the machine's. */
#include <convoy/base/wire.h>

#include "hex.h"

static void big_endian_puts_the_highest_byte_first(void **state)
{
	const cv_be16 two = cv_be16_of(0x0102);
	const cv_be32 four = cv_be32_of(0x01020304);
	const cv_be64 eight = cv_be64_of(UINT64_C(0x0102030405060708));

	assert_hex_equal(two.b, "0102");
	assert_hex_equal(four.b, "01020304");
	assert_hex_equal(eight.b, "0102030405060708");
}

static void little_endian_puts_the_lowest_byte_first(void **state)
{
	const cv_le32 four = cv_le32_of(0x01020304);
	const cv_le64 eight = cv_le64_of(UINT64_C(0x0102030405060708));

	assert_hex_equal(four.b, "04030201");
	assert_hex_equal(eight.b, "0807060504030201");
}

static void what_was_written_is_read(void **state)
{
	assert_int_equal(cv_be16_get(cv_be16_of(0xfedc)), 0xfedc);
	assert_int_equal(cv_be32_get(cv_be32_of(0xfedcba98)), 0xfedcba98);
	assert_true(cv_be64_get(cv_be64_of(UINT64_MAX - 5)) == UINT64_MAX - 5);
	assert_int_equal(cv_le32_get(cv_le32_of(0xfedcba98)), 0xfedcba98);
	assert_true(cv_le64_get(cv_le64_of(UINT64_MAX - 5)) == UINT64_MAX - 5);
}

static void wire_integers_need_no_alignment(void **state)
{
	assert_int_equal(_Alignof(cv_be64), 1);
	assert_int_equal(_Alignof(cv_le32), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(big_endian_puts_the_highest_byte_first),
		cmocka_unit_test(little_endian_puts_the_lowest_byte_first),
		cmocka_unit_test(what_was_written_is_read),
		cmocka_unit_test(wire_integers_need_no_alignment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
