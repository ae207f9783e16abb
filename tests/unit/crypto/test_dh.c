/* X25519 at the vectors of RFC 7748, and the points it refuses. */
#include <errno.h>

#include <convoy/crypto/dh.h>
#include <convoy/crypto/init.h>

#include "hex.h"

static int setup(void **state)
{
	return cv_crypto_init();
}

static void dh_gives_the_vectors_of_rfc_7748_5_2(void **state)
{
	static const struct {
		const char *scalar, *point, *out;
	} cases[] = {
		{ "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
		  "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
		  "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552" },
		{ "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
		  "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
		  "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957" },
	};
	uint8_t scalar[32], point[32], out[32];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unhex(cases[i].scalar, scalar);
		unhex(cases[i].point, point);
		assert_int_equal(cv_dh(scalar, point, out), 0);
		assert_hex_equal(out, cases[i].out);
	}
}

static void dh_gives_the_iterated_vectors_of_rfc_7748_5_2(void **state)
{
	uint8_t k[32] = { 9 }, u[32] = { 9 }, out[32];
	int i;

	for (i = 1; i <= 1000; i++) {
		assert_int_equal(cv_dh(k, u, out), 0);
		memcpy(u, k, sizeof(u));
		memcpy(k, out, sizeof(k));
		if (i == 1)
			assert_hex_equal(k, "422c8e7a6227d7bca1350b3e2bb7279f"
					    "7897b87bb6854b783c60e80311ae3079");
	}
	assert_hex_equal(k, "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
}

static void alice_and_bob_of_rfc_7748_6_1_agree(void **state)
{
	static const char secret[] =
		"4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";
	uint8_t alice[32], bob[32], alice_public[32], bob_public[32], shared[32];

	unhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a", alice);
	unhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb", bob);
	cv_dh_public(alice, alice_public);
	cv_dh_public(bob, bob_public);
	assert_hex_equal(alice_public,
			 "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
	assert_hex_equal(bob_public,
			 "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
	assert_int_equal(cv_dh(alice, bob_public, shared), 0);
	assert_hex_equal(shared, secret);
	assert_int_equal(cv_dh(bob, alice_public, shared), 0);
	assert_hex_equal(shared, secret);
}

static void points_of_low_order_are_refused_and_nothing_written(void **state)
{
	/* 0, 1, the two of order 8, p - 1, p and p + 1. */
	static const char *const points[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	};
	uint8_t private_key[32], point[32], out[32];
	size_t i;
	int top_bit;

	memset(private_key, 1, sizeof(private_key));
	for (i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		for (top_bit = 0; top_bit < 2; top_bit++) {
			unhex(points[i], point);
			point[31] |= (uint8_t)(top_bit << 7);
			memset(out, 0xee, sizeof(out));
			assert_int_equal(cv_dh(private_key, point, out), -EINVAL);
			assert_int_equal(out[0], 0xee);
			assert_int_equal(out[31], 0xee);
		}
	}
}

static void clamping_changes_the_five_bits_and_not_the_public_key(void **state)
{
	uint8_t key[32], clamped[32], public_of_key[32], public_of_clamped[32];

	memset(key, 0xff, sizeof(key));
	memcpy(clamped, key, sizeof(key));
	cv_dh_clamp(clamped);
	assert_int_equal(clamped[0], 0xf8);
	assert_int_equal(clamped[31], 0x7f);
	assert_memory_equal(clamped + 1, key + 1, 30);
	cv_dh_public(key, public_of_key);
	cv_dh_public(clamped, public_of_clamped);
	assert_memory_equal(public_of_key, public_of_clamped, 32);

	memset(key, 0, sizeof(key));
	cv_dh_clamp(key);
	assert_int_equal(key[31], 0x40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dh_gives_the_vectors_of_rfc_7748_5_2),
		cmocka_unit_test(dh_gives_the_iterated_vectors_of_rfc_7748_5_2),
		cmocka_unit_test(alice_and_bob_of_rfc_7748_6_1_agree),
		cmocka_unit_test(points_of_low_order_are_refused_and_nothing_written),
		cmocka_unit_test(clamping_changes_the_five_bits_and_not_the_public_key),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
