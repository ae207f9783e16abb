/* Timestamps of initiations: TAI64N, coarse, and never twice the same. */
#include <string.h>

#include <convoy/base/wire.h>
#include <convoy/noise/handshake.h>

enum {
	/* The largest power of two below a 50th of a second: initiations that the peer would accept
	 * have different stamps, and the clock's finer bits are not told to anyone. */
	WHITEN_NS = 1 << 24,
};

/* TAI64 label of 1970-01-01, with the ten leap seconds that TAI was ahead then. */
#define TAI64_EPOCH UINT64_C(0x400000000000000a)

struct tai64n {
	cv_be64 seconds;
	cv_be32 nanoseconds;
};

_Static_assert(sizeof(struct tai64n) == CV_TAI64N_SIZE, "cr.yp.to/libtai/tai64.html");

static void write_stamp(uint64_t seconds, uint32_t ns, uint8_t ret_timestamp[CV_TAI64N_SIZE])
{
	const struct tai64n stamp = { cv_be64_of(seconds), cv_be32_of(ns) };

	memcpy(ret_timestamp, &stamp, sizeof(stamp));
}

/* One step later than floor, which is whitened itself. */
static void write_next(const uint8_t floor[CV_TAI64N_SIZE], uint8_t ret_timestamp[CV_TAI64N_SIZE])
{
	struct tai64n stamp;
	uint32_t ns;

	memcpy(&stamp, floor, sizeof(stamp));
	ns = cv_be32_get(stamp.nanoseconds) + WHITEN_NS;
	if (ns < CV_NS_PER_S)
		write_stamp(cv_be64_get(stamp.seconds), ns, ret_timestamp);
	else
		write_stamp(cv_be64_get(stamp.seconds) + 1, 0, ret_timestamp);
}

void cv_tai64n_now(int64_t wall_ns, const uint8_t floor[CV_TAI64N_SIZE],
		   uint8_t ret_timestamp[CV_TAI64N_SIZE])
{
	uint8_t stamp[CV_TAI64N_SIZE];
	int64_t seconds = wall_ns / CV_NS_PER_S;
	int64_t ns = wall_ns % CV_NS_PER_S;

	if (ns < 0) {
		seconds--;
		ns += CV_NS_PER_S;
	}
	write_stamp(TAI64_EPOCH + (uint64_t)seconds, (uint32_t)ns & ~(uint32_t)(WHITEN_NS - 1),
		    stamp);
	if (memcmp(stamp, floor, sizeof(stamp)) <= 0)
		write_next(floor, stamp);
	memcpy(ret_timestamp, stamp, sizeof(stamp));
}
