/* Key text, strict, and drawn keys. */
#include <errno.h>

#include <convoy/crypto/init.h>
#include <convoy/crypto/key.h>

#include "hex.h"

static const char b64[] = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eH/8=";
static const char hex[] = "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1fff";

static int setup(void **state)
{
	return cv_crypto_init();
}

static void both_texts_name_the_same_key(void **state)
{
	char text[CV_KEY_HEX_LEN + 1];
	struct cv_key a, b;

	assert_int_equal(cv_key_from_base64(b64, strlen(b64), &a), 0);
	assert_int_equal(cv_key_from_hex(hex, strlen(hex), &b), 0);
	assert_hex_equal(a.b, hex);
	assert_true(cv_key_equal(&a, &b));
	assert_string_equal(cv_key_to_base64(&a, text), b64);
	assert_string_equal(cv_key_to_hex(&a, text), hex);
}

static void text_need_not_be_terminated(void **state)
{
	char text[CV_KEY_BASE64_LEN + 3] = { 0 };
	struct cv_key key;

	memcpy(text, b64, CV_KEY_BASE64_LEN);
	text[CV_KEY_BASE64_LEN] = 'A';
	assert_int_equal(cv_key_from_base64(text, CV_KEY_BASE64_LEN, &key), 0);
	assert_hex_equal(key.b, hex);
}

static void hexadecimal_may_be_of_either_case(void **state)
{
	struct cv_key key;

	assert_int_equal(
		cv_key_from_hex("0102030405060708090A0b0C0D0E0F101112131415161718191A1B1C1D1E1FfF",
				64, &key),
		0);
	assert_hex_equal(key.b, hex);
}

static void sloppy_text_is_refused_and_nothing_written(void **state)
{
	static const char *const bad64[] = {
		"",
		"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eH/8",   /* no padding */
		"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eH/8==", /* too much */
		"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eH/9=",  /* bits behind the key */
		"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eH/+=",
		"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eH_8=", /* the URL alphabet */
		"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eH/88", /* 33 bytes */
		"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHw==", /* 31 bytes */
		" AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eH/8",
		"AQIDBAUGBwgJCgsMDQ4PEBESExQV FhcYGRobHB0eH/=",
		"AQIDBAUGBwgJCgsMDQ4PEBESEx=VFhcYGRobHB0eH/8=",
		"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eH/8\n",
	};
	static const char *const bad16[] = {
		"",
		"0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1ff",
		"0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1fff0",
		"0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f0g",
		"0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f  ",
		"0x02030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1fff",
		"01:2:3:405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1fff",
	};
	struct cv_key key = { { 0xee } };
	size_t i;

	for (i = 0; i < sizeof(bad64) / sizeof(bad64[0]); i++) {
		assert_int_equal(cv_key_from_base64(bad64[i], strlen(bad64[i]), &key), -EINVAL);
		assert_int_equal(key.b[0], 0xee);
	}
	for (i = 0; i < sizeof(bad16) / sizeof(bad16[0]); i++) {
		assert_int_equal(cv_key_from_hex(bad16[i], strlen(bad16[i]), &key), -EINVAL);
		assert_int_equal(key.b[0], 0xee);
	}
}

static void texts_come_back_whatever_the_key(void **state)
{
	char text[CV_KEY_HEX_LEN + 1];
	struct cv_key key, back;
	int i;

	for (i = 0; i < 500; i++) {
		cv_key_generate_preshared(&key);
		cv_key_to_base64(&key, text);
		assert_int_equal(cv_key_from_base64(text, strlen(text), &back), 0);
		assert_true(cv_key_equal(&key, &back));
		cv_key_to_hex(&key, text);
		assert_int_equal(cv_key_from_hex(text, strlen(text), &back), 0);
		assert_true(cv_key_equal(&key, &back));
	}
}

static void drawn_private_keys_are_clamped_and_differ(void **state)
{
	struct cv_key last = { { 0 } }, key;
	int i;

	for (i = 0; i < 100; i++) {
		cv_key_generate_private(&key);
		assert_int_equal(key.b[0] & 7, 0);
		assert_int_equal(key.b[31] & 0xc0, 0x40);
		assert_false(cv_key_equal(&key, &last));
		last = key;
	}
}

static void preshared_keys_are_not_clamped(void **state)
{
	struct cv_key key;
	uint8_t low = 0, high = 0;
	int i;

	for (i = 0; i < 200; i++) {
		cv_key_generate_preshared(&key);
		low |= key.b[0] & 7;
		high |= key.b[31] & 0x80;
	}
	assert_int_equal(low, 7);
	assert_int_equal(high, 0x80);
}

static void public_key_is_that_of_the_model(void **state)
{
	struct cv_key private_key, public_key;

	memset(private_key.b, 1, sizeof(private_key.b));
	cv_key_public(&private_key, &public_key);
	assert_hex_equal(public_key.b,
			 "a4e09292b651c278b9772c569f5fa9bb13d906b46ab68c9df9dc2b4409f8a209");
}

static void only_the_zero_key_is_zero(void **state)
{
	struct cv_key key = { { 0 } };
	int i;

	assert_true(cv_key_is_zero(&key));
	for (i = 0; i < CV_KEY_SIZE; i++) {
		key.b[i] = 0x80;
		assert_false(cv_key_is_zero(&key));
		key.b[i] = 0;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_texts_name_the_same_key),
		cmocka_unit_test(text_need_not_be_terminated),
		cmocka_unit_test(hexadecimal_may_be_of_either_case),
		cmocka_unit_test(sloppy_text_is_refused_and_nothing_written),
		cmocka_unit_test(texts_come_back_whatever_the_key),
		cmocka_unit_test(drawn_private_keys_are_clamped_and_differ),
		cmocka_unit_test(preshared_keys_are_not_clamped),
		cmocka_unit_test(public_key_is_that_of_the_model),
		cmocka_unit_test(only_the_zero_key_is_zero),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
