/*
 * The quality of a path: smoothed times and sums of counts.
 *
 * Each message has a number, so of each direction it is known at its end how many were sent, up to
 * the highest that came, and how many came. What was only overtaken is missing for a moment and
 * counted when it comes. Loss lately is the difference of two tallies; the one that it is counted
 * from is renewed when another is PERIOD old.
 */
#include <convoy/peer/quality.h>

enum {
	PERIOD_S = 5,
	/* Clocks drift apart, by 100 us a second at worst, and may begin anew: no difference is
	 * taken over longer than this, and none that is larger counts. */
	APART_S = 10,
};

static cv_time difference(cv_time a, cv_time b)
{
	return a > b ? a - b : b - a;
}

/* Alpha is 1/8 and beta 1/4, as RFC 6298 has them. */
void cv_quality_echoed(struct cv_quality *quality, cv_time rtt)
{
	if (rtt < 1)
		rtt = 1; /* of a clock that did not move meanwhile */
	if (quality->rtt) {
		cv_time off = difference(quality->rtt, rtt);

		quality->rtt_variation += (off - quality->rtt_variation) / 4;
		quality->rtt += (rtt - quality->rtt) / 8;
	} else {
		quality->rtt = rtt;
		quality->rtt_variation = rtt / 2;
	}
	quality->unanswered = 0;
}

void cv_quality_missed(struct cv_quality *quality)
{
	quality->unanswered++;
}

/* Long enough that an echo which comes is seldom later: four times the usual. The bounds are for
 * hosts that are busy, and for a black hole to be found before TCP has waited long; not tuned. */
cv_time cv_quality_patience(const struct cv_quality *quality)
{
	enum { MIN_MS = 100, MAX_MS = 1000 };
	cv_time patience = 4 * quality->rtt;

	if (!quality->rtt || patience > MAX_MS * CV_NS_PER_MS)
		return MAX_MS * CV_NS_PER_MS;
	return patience < MIN_MS * CV_NS_PER_MS ? MIN_MS * CV_NS_PER_MS : patience;
}

/* Only differences of transit times matter, so the clocks need not agree, and may wrap. */
void cv_quality_heard(struct cv_quality *quality, uint32_t clock_us, cv_time when)
{
	uint32_t transit_us = (uint32_t)(when / (CV_NS_PER_MS / 1000)) - clock_us;
	uint32_t off_us = transit_us - quality->transit_us;

	if (off_us > UINT32_MAX / 2)
		off_us = -off_us;
	if (quality->heard && when - quality->heard <= APART_S * CV_NS_PER_S &&
	    off_us <= APART_S * 1000000)
		quality->jitter_16 += off_us - ((quality->jitter_16 + 8) >> 4);
	quality->heard = when;
	quality->transit_us = transit_us;
}

uint32_t cv_quality_jitter_us(const struct cv_quality *quality)
{
	return quality->jitter_16 >> 4;
}

void cv_quality_told(struct cv_quality *quality, const struct cv_received *received, uint64_t sent,
		     struct cv_messages *told)
{
	if (received->accepted > received->expected || received->expected > sent ||
	    received->accepted < told->accepted || received->expected < told->expected)
		return;
	*told = (struct cv_messages){ received->expected, received->accepted };
	quality->jitter_out_us = received->jitter_us;
}

void cv_quality_count(struct cv_quality *quality, const struct cv_tally *sums)
{
	quality->newest = *sums;
	if (sums->when - quality->older.when < PERIOD_S * CV_NS_PER_S)
		return;
	quality->oldest = quality->older;
	quality->older = *sums;
}

double cv_quality_loss(const struct cv_quality *quality, int way)
{
	const struct cv_messages *from = &quality->oldest.way[way], *to = &quality->newest.way[way];
	uint64_t expected = to->expected - from->expected;
	uint64_t accepted = to->accepted - from->accepted;

	return accepted < expected ? (double)(expected - accepted) / (double)expected : 0;
}
