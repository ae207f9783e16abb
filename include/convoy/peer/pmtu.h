/* What the path to a peer carries, found out by probes: RFC 8899 as data. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <convoy/base/time.h>

enum {
	/* Bytes of an inner packet that every path is taken to carry: with 32 bytes of ours, UDP
	 * and IPv6 they make the 1280 of RFC 8200. RFC 8899, section 5.1.2: BASE_PLPMTU. */
	CV_PMTU_BASE = 1200,
	/* Probes of one size without an echo, while smaller ones have theirs, before the path is
	 * taken not to carry it: MAX_PROBES. RFC 8899 says 3, which a path that loses a tenth of
	 * what it carries, either way, would reach by chance every two minutes. */
	CV_PMTU_TRIES = 5,
	/* The search ends with an interval of this size: a step of padding. */
	CV_PMTU_STEP = 16,
	/* After so long more is tried again: PMTU_RAISE_TIMER. */
	CV_PMTU_RAISE_S = 600,
};

/*
 * All zero at first. Sizes are those of the inner packet, so of a message's plaintext. Events below
 * change what is known; cv_pmtu_next() says what is to be sent because of them.
 *
 * A *round* is one size, probed until there is a verdict: it is echoed, or it is not while the base
 * is, or nothing is, which says nothing about sizes. conf/convoy-wire.md, "Path MTU".
 */
struct cv_pmtu {
	uint32_t size;   /* what the path carries; 0: not known, and `most` hoped for */
	uint32_t most;   /* the TUN's MTU at the last look */
	uint32_t failed; /* the least that it does not carry; 0: not known */
	cv_time raise;   /* then that is forgotten */

	bool may_begin; /* a round, when none is under way */
	bool is_sure;   /* `size` was echoed since data last flowed */

	uint32_t trying; /* the size of this round; 0: none is under way */
	cv_time when;    /* to act if it is not echoed */
	unsigned tries;  /* probes of this size */
	unsigned waits;  /* times that `when` came */
	bool base_owed;  /* one of the base is to be sent as well */
	bool lives;      /* the base was echoed in this round */
};

/* Data flows: about once a second while it does. */
void cv_pmtu_flows(struct cv_pmtu *pmtu, cv_time now);
/* A probe of this size arrived at the peer. Also one that was given up before. */
void cv_pmtu_echoed(struct cv_pmtu *pmtu, uint32_t size);
/* This host refuses to send a probe of this size whole. */
void cv_pmtu_refused(struct cv_pmtu *pmtu, uint32_t size, cv_time now);
/* The endpoint is another one: what was found out is still hoped for, what failed is forgotten. */
void cv_pmtu_moved(struct cv_pmtu *pmtu);

/**
 * cv_pmtu_next() - which probe is to be sent now; to be asked until there is none
 * @most:	the TUN's MTU now
 * @rtt:	to the peer, smoothed; 0: not known
 *
 * After each event, and when cv_pmtu_deadline() has come.
 *
 * Return: its size, or 0 for none.
 */
uint32_t cv_pmtu_next(struct cv_pmtu *pmtu, uint32_t most, cv_time now, cv_time rtt);
/* When cv_pmtu_next() must be asked again without an event; CV_TIME_NEVER: not at all. */
static inline cv_time cv_pmtu_deadline(const struct cv_pmtu *pmtu)
{
	return pmtu->trying ? pmtu->when : CV_TIME_NEVER;
}
/* Whether nothing between what the path carries and what it does not is left to try. */
bool cv_pmtu_is_found(const struct cv_pmtu *pmtu);
