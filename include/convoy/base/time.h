/* Time as a number: nanoseconds of CLOCK_BOOTTIME, so that keys age while the machine sleeps. */
#pragma once

#include <stdint.h>

/* Some are atomic, and 32-bit x86 would align them by 4, where a cache line may cut them. */
typedef int64_t cv_time __attribute__((aligned(8)));

#define CV_TIME_NEVER INT64_MAX
#define CV_NS_PER_S   INT64_C(1000000000)
#define CV_NS_PER_MS  INT64_C(1000000)
