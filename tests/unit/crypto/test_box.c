/* The handshake's AEADs at known answers. */
#include <errno.h>

#include <convoy/crypto/box.h>
#include <convoy/crypto/init.h>

#include "hex.h"

static int setup(void **state)
{
	return cv_crypto_init();
}

static void count_up(uint8_t *bytes, size_t n, uint8_t from)
{
	size_t i;

	for (i = 0; i < n; i++)
		bytes[i] = (uint8_t)(from + i);
}

static void box_agrees_with_another_implementation(void **state)
{
	uint8_t key[CV_BOX_KEY_SIZE], box[3 + CV_BOX_TAG_SIZE], text[3];

	count_up(key, sizeof(key), 0);
	cv_box_seal(key, "xyz", 3, "abc", 3, box);
	assert_hex_equal(box, "79da21f2f0866bb67b26d5873ae55e01d93373");
	assert_int_equal(cv_box_open(key, "xyz", 3, box, sizeof(box), text), 0);
	assert_memory_equal(text, "abc", 3);
}

static void box_holds_nothing_but_a_tag(void **state)
{
	const uint8_t key[CV_BOX_KEY_SIZE] = { 1 };
	uint8_t box[CV_BOX_TAG_SIZE];

	cv_box_seal(key, "xyz", 3, NULL, 0, box);
	assert_int_equal(cv_box_open(key, "xyz", 3, box, sizeof(box), NULL), 0);
	assert_int_equal(cv_box_open(key, "xyZ", 3, box, sizeof(box), NULL), -EBADMSG);
	box[15] ^= 0x80;
	assert_int_equal(cv_box_open(key, "xyz", 3, box, sizeof(box), NULL), -EBADMSG);
}

static void xbox_is_the_vector_of_the_draft(void **state)
{
	static const char text[] = "Ladies and Gentlemen of the class of '99: If I could offer you "
				   "only one tip for the future, sunscreen would be it.";
	enum { LEN = sizeof(text) - 1 };
	uint8_t key[CV_BOX_KEY_SIZE], nonce[CV_XBOX_NONCE_SIZE], ad[12];
	uint8_t box[LEN + CV_BOX_TAG_SIZE], back[LEN];

	count_up(key, sizeof(key), 0x80);
	count_up(nonce, sizeof(nonce), 0x40);
	unhex("50515253c0c1c2c3c4c5c6c7", ad);
	cv_xbox_seal(key, nonce, ad, sizeof(ad), text, LEN, box);
	assert_hex_equal(box,
			 "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
			 "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
			 "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
			 "21f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49");
	assert_int_equal(cv_xbox_open(key, nonce, ad, sizeof(ad), box, sizeof(box), back), 0);
	assert_memory_equal(back, text, LEN);
}

static void boxes_refuse_one_wrong_bit_anywhere(void **state)
{
	const uint8_t key[CV_BOX_KEY_SIZE] = { 3 }, nonce[CV_XBOX_NONCE_SIZE] = { 4 };
	uint8_t box[20 + CV_BOX_TAG_SIZE], xbox[sizeof(box)], text[20] = { 5 }, ad[4] = { 6 };
	size_t bit;

	cv_box_seal(key, ad, sizeof(ad), text, sizeof(text), box);
	cv_xbox_seal(key, nonce, ad, sizeof(ad), text, sizeof(text), xbox);
	for (bit = 0; bit < 8 * sizeof(box); bit++) {
		box[bit / 8] ^= (uint8_t)(1 << bit % 8);
		xbox[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(cv_box_open(key, ad, sizeof(ad), box, sizeof(box), text),
				 -EBADMSG);
		assert_int_equal(cv_xbox_open(key, nonce, ad, sizeof(ad), xbox, sizeof(xbox), text),
				 -EBADMSG);
		box[bit / 8] ^= (uint8_t)(1 << bit % 8);
		xbox[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (bit = 0; bit < 8 * sizeof(ad); bit++) {
		ad[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(cv_box_open(key, ad, sizeof(ad), box, sizeof(box), text),
				 -EBADMSG);
		ad[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(cv_box_open(key, ad, sizeof(ad), box, sizeof(box), text), 0);
	assert_int_equal(cv_xbox_open(key, nonce, ad, sizeof(ad), xbox, sizeof(xbox), text), 0);
}

static void what_is_shorter_than_a_tag_is_no_box(void **state)
{
	const uint8_t key[CV_BOX_KEY_SIZE] = { 3 }, nonce[CV_XBOX_NONCE_SIZE] = { 4 };
	uint8_t box[CV_BOX_TAG_SIZE] = { 0 };

	assert_int_equal(cv_box_open(key, NULL, 0, box, 15, NULL), -EBADMSG);
	assert_int_equal(cv_box_open(key, NULL, 0, box, 0, NULL), -EBADMSG);
	assert_int_equal(cv_xbox_open(key, nonce, NULL, 0, box, 15, NULL), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(box_agrees_with_another_implementation),
		cmocka_unit_test(box_holds_nothing_but_a_tag),
		cmocka_unit_test(xbox_is_the_vector_of_the_draft),
		cmocka_unit_test(boxes_refuse_one_wrong_bit_anywhere),
		cmocka_unit_test(what_is_shorter_than_a_tag_is_no_box),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
