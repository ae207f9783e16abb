/* Law: the wide checksum is the naive one, at every length and alignment, whole or in pieces. */
#include <stdlib.h>
#include <time.h>

#include <convoy/packet/csum.h>

#include "hex.h"

enum {
	LEN_MAX = 1600,
	ALIGN_MAX = 64,
	ROUNDS = 2000,
};

static uint8_t bytes[65536 + ALIGN_MAX];

/* RFC 1071, section 4.1, word by word, in network order. */
static uint16_t naive(const uint8_t *data, size_t len)
{
	uint32_t sum = 0;
	size_t i;

	for (i = 0; i < len; i++) {
		sum += i % 2 ? data[i] : (uint32_t)data[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)sum;
}

static void check(const uint8_t *data, size_t len)
{
	assert_int_equal(cv_be16_get(cv_csum_seed(cv_csum_add(0, data, len))), naive(data, len));
}

static void fill_random(void)
{
	size_t i;

	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)random();
}

static void wide_sum_is_the_naive_sum_at_every_length_and_alignment(void **state)
{
	size_t len, align;

	fill_random();
	for (len = 0; len <= LEN_MAX; len++)
		for (align = 0; align < ALIGN_MAX; align += 1 + len / 256)
			check(bytes + align, len);
}

static void wide_sum_is_the_naive_sum_of_all_ones(void **state)
{
	size_t len;

	memset(bytes, 0xff, sizeof(bytes));
	for (len = 0; len <= LEN_MAX; len++)
		check(bytes, len);
	check(bytes, 65535);
	check(bytes + 1, 65536);
}

static void a_sum_in_pieces_is_the_sum_of_the_whole(void **state)
{
	int round;

	fill_random();
	for (round = 0; round < ROUNDS; round++) {
		size_t len = (size_t)random() % LEN_MAX, done = 0;
		const uint8_t *data = bytes + random() % ALIGN_MAX;
		cv_csum sum = 0;

		while (done < len) {
			size_t piece = (size_t)random() % 200 / 2 * 2;

			if (piece > len - done)
				piece = len - done;
			if (piece == 0)
				continue;
			sum = cv_csum_add(sum, data + done, piece);
			done += piece;
			if (piece % 2)
				break;
		}
		assert_int_equal(cv_be16_get(cv_csum_seed(sum)), naive(data, len));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wide_sum_is_the_naive_sum_at_every_length_and_alignment),
		cmocka_unit_test(wide_sum_is_the_naive_sum_of_all_ones),
		cmocka_unit_test(a_sum_in_pieces_is_the_sum_of_the_whole),
	};
	const char *seed_text = getenv("CV_SEED");
	unsigned seed = seed_text ? (unsigned)strtoul(seed_text, NULL, 0) : (unsigned)time(NULL);

	printf("CV_SEED=%u\n", seed);
	srandom(seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
