/* Histograms: which bucket a value falls into. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/* cmocka.h needs what stands above it. */
#include <cmocka.h>

#include <convoy/base/histogram.h>

static unsigned bucket_of(uint32_t value)
{
	struct cv_histogram histogram = { 0 };
	unsigned found = CV_HISTOGRAM_BUCKETS;

	cv_histogram_add(&histogram, value);
	assert_int_equal(histogram.sum, value);
	for (unsigned i = 0; i < CV_HISTOGRAM_BUCKETS; i++)
		if (histogram.bucket[i]) {
			assert_int_equal(histogram.bucket[i], 1);
			assert_int_equal(found, CV_HISTOGRAM_BUCKETS);
			found = i;
		}
	return found;
}

static void bucket_ends_at_its_power_of_two(void **state)
{
	assert_int_equal(bucket_of(1), 0);
	for (unsigned i = 1; i < CV_HISTOGRAM_BUCKETS - 1; i++) {
		assert_int_equal(bucket_of((1u << (i - 1)) + 1), i);
		assert_int_equal(bucket_of(1u << i), i);
	}
}

static void last_bucket_takes_all_that_is_larger(void **state)
{
	assert_int_equal(bucket_of((1u << (CV_HISTOGRAM_BUCKETS - 2)) + 1),
			 CV_HISTOGRAM_BUCKETS - 1);
	assert_int_equal(bucket_of(UINT32_MAX), CV_HISTOGRAM_BUCKETS - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bucket_ends_at_its_power_of_two),
		cmocka_unit_test(last_bucket_takes_all_that_is_larger),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
