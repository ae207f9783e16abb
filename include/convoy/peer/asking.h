/* When to ask a peer which addresses we shall have: conf/convoy-wire.md, "Handed-over
 * configuration". A state machine without a clock: `now` comes in. Control thread only. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <convoy/base/time.h>

enum {
	CV_ASKING_FIRST_S = 1, /* between the first request and the second, then twice that ... */
	CV_ASKING_LAST_S = 60, /* ... up to this */
	CV_ASKING_TAKE_S = 1,  /* between two grants that are taken into use */
	/* Requests without an answer, 7 s, after which it is told that there is none. */
	CV_ASKING_IN_VAIN = 4,
};

struct cv_asking {
	bool on;
	bool granted;       /* there is an address: only a new session is a reason to ask */
	uint8_t unanswered; /* requests, up to CV_ASKING_IN_VAIN and more */
	cv_time next;       /* request, CV_TIME_NEVER: none */
	cv_time earliest;   /* however many sessions begin */
	cv_time take_from;  /* what was granted */
};

/* Ask from now on, having nothing. */
void cv_asking_begin(struct cv_asking *asking, cv_time now);
/* A session is there, or the link is up. */
void cv_asking_session(struct cv_asking *asking);
/* When the next request is due; CV_TIME_NEVER: there is nothing to ask. */
cv_time cv_asking_deadline(const struct cv_asking *asking);
/* It was sent, or it could not be for want of a session, which is then what should be tried. */
void cv_asking_asked(struct cv_asking *asking, bool sent, cv_time now);
/* A grant came. Return: whether the peer is asked at all. */
bool cv_asking_answered(struct cv_asking *asking, cv_time now);
/* Whether the last grant may be taken into use, which it then is: a server that says something else
 * all the time does not keep us busy. */
bool cv_asking_takes(struct cv_asking *asking, cv_time now);
/* What the grant had in it is in use. */
void cv_asking_granted(struct cv_asking *asking);
/* Whether it is time to tell that no answer comes: exactly once. */
bool cv_asking_is_in_vain(const struct cv_asking *asking);
