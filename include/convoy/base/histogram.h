/* How often something was how large: buckets by powers of two, and the sum. */
#pragma once

#include <stdint.h>

enum { CV_HISTOGRAM_BUCKETS = 12 };

/* bucket[i] counts values above 2^(i-1) and up to 2^i; the last one all that are larger. */
struct cv_histogram {
	uint64_t bucket[CV_HISTOGRAM_BUCKETS];
	uint64_t sum;
};

/* Count a value, 1 or more. */
static inline void cv_histogram_add(struct cv_histogram *histogram, uint32_t value)
{
	unsigned i = value > 1 ? 32 - (unsigned)__builtin_clz(value - 1) : 0;

	histogram->bucket[i < CV_HISTOGRAM_BUCKETS ? i : CV_HISTOGRAM_BUCKETS - 1]++;
	histogram->sum += value;
}
