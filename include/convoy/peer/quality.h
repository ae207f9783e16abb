/* How good the path to a peer is, from what two Convoys tell each other. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <convoy/base/time.h>
#include <convoy/noise/frame.h>
#include <convoy/noise/keypair.h>

enum { CV_QUALITY_IN, CV_QUALITY_OUT, CV_QUALITY_WAYS };

/* Of all sessions, at some moment. */
struct cv_tally {
	cv_time when;
	struct cv_messages way[CV_QUALITY_WAYS];
};

/* All zero at first. Control thread only. conf/convoy-wire.md, "Path". */
struct cv_quality {
	cv_time rtt; /* smoothed, there and back, the peer's own delay with it; 0: unknown */
	cv_time rtt_variation; /* smoothed as well */
	uint32_t unanswered;   /* probes in a row */

	cv_time heard;          /* when the last frame with a clock came; 0: never */
	uint32_t transit_us;    /* our clock less the peer's, then */
	uint32_t jitter_16;     /* of what comes in, in sixteenths of a microsecond */
	uint32_t jitter_out_us; /* of what goes out, as the peer has it */

	struct cv_messages ended[CV_QUALITY_WAYS]; /* of sessions that are over */
	struct cv_tally oldest, older, newest;     /* loss is told of oldest to newest */
};

/* A probe was answered after this time. Source: RFC 6298, section 2. */
void cv_quality_echoed(struct cv_quality *quality, cv_time rtt);
/* A probe was given up. */
void cv_quality_missed(struct cv_quality *quality);
/* How long to wait for the echo of a probe that is sent now. */
cv_time cv_quality_patience(const struct cv_quality *quality);

/* A frame came at `when` whose sender's clock stood so. Source: RFC 3550, section 6.4.1 and
 * appendix A.8. */
void cv_quality_heard(struct cv_quality *quality, uint32_t clock_us, cv_time when);
/* Jitter of what comes in. */
uint32_t cv_quality_jitter_us(const struct cv_quality *quality);

/**
 * cv_quality_told() - the peer told what it received in a session
 * @sent:	messages that we sent in it: more cannot have come
 * @told:	what it told last; is followed unless this is older, or cannot be
 */
void cv_quality_told(struct cv_quality *quality, const struct cv_received *received, uint64_t sent,
		     struct cv_messages *told);
/* The sums over all sessions, at that moment. */
void cv_quality_count(struct cv_quality *quality, const struct cv_tally *sums);
/* Messages of this direction that were lost lately, of the last 5 to 10 s in which data flowed:
 * 0 to 1. */
double cv_quality_loss(const struct cv_quality *quality, int way);
