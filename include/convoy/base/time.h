/* Time as a number: nanoseconds of CLOCK_BOOTTIME, so that keys age while the machine sleeps. */
#pragma once

#include <stdint.h>

typedef int64_t cv_time;

#define CV_TIME_NEVER INT64_MAX
#define CV_NS_PER_S   INT64_C(1000000000)
#define CV_NS_PER_MS  INT64_C(1000000)
