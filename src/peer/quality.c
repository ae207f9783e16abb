/* The quality of a path: smoothed times and sums of counts. */
#include <convoy/peer/quality.h>

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
