/* How good the path to a peer is, from what two Convoys tell each other. */
#pragma once

#include <stdint.h>

#include <convoy/base/time.h>

/* All zero at first. Control thread only. conf/convoy-wire.md, "Path". */
struct cv_quality {
	cv_time rtt; /* smoothed, there and back, the peer's own delay with it; 0: unknown */
	cv_time rtt_variation; /* smoothed as well */
	uint32_t unanswered;   /* probes in a row */
};

/* A probe was answered after this time. Source: RFC 6298, section 2. */
void cv_quality_echoed(struct cv_quality *quality, cv_time rtt);
/* A probe was given up. */
void cv_quality_missed(struct cv_quality *quality);
/* How long to wait for the echo of a probe that is sent now. */
cv_time cv_quality_patience(const struct cv_quality *quality);
