/* Probes of the path to a peer: which are out, what answers them, and how many of its we answer. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <convoy/base/addr.h>
#include <convoy/base/time.h>
#include <convoy/peer/pmtu.h>
#include <convoy/peer/quality.h>

enum {
	/* Bytes of the smallest one's plaintext: an echo is no longer. */
	CV_PROBE_SIZE_MIN = 48,
	/* Of so many that were sent last an echo still counts. */
	CV_PROBES_OUT = 8,
	/* Echoes to a peer, and how many of them at once: a search for the path's MTU has room,
	 * what is more costs the peer and not us. Not tuned. */
	CV_ECHOES_PER_S = 20,
	CV_ECHOES_BURST = 20,
};

struct cv_probe {
	cv_time sent;
	cv_time due; /* to be given up then; CV_TIME_NEVER: it was. An echo still counts. */
	uint32_t number;
	uint16_t size; /* bytes of plaintext; 0: no probe, or it was echoed */
};

/* All zero at first; malloc'd, for Convoys only. Control thread. */
struct cv_probing {
	struct cv_probe out[CV_PROBES_OUT];
	uint32_t next;        /* number; wraps */
	cv_time echoes_until; /* our echoes of the last second are spread up to then */
	struct cv_quality quality;
	struct cv_pmtu pmtu;
	struct cv_addr here, there; /* of the path that all this is about */
	uint16_t told_mtu;          /* the last that was logged; 0: none */
};

/* Data goes this way now. Return: whether it is another path than before, since an address is
 * another one; a port or an unknown source makes none. */
bool cv_probing_goes(struct cv_probing *probing, const struct cv_addr *here,
		     const struct cv_addr *there);
/* The probe of number `next` was sent. */
void cv_probing_sent(struct cv_probing *probing, uint16_t size, cv_time now);
/* An echo came. Return: whether it is the first of a probe that is out, which is told. */
bool cv_probing_echoed(struct cv_probing *probing, uint32_t number, uint16_t size, cv_time when,
		       struct cv_probe *ret_probe);
/* Take one probe that is due; call it until false. */
bool cv_probing_give_up(struct cv_probing *probing, cv_time now, struct cv_probe *ret_probe);
/* When the next one is due, or CV_TIME_NEVER. */
cv_time cv_probing_due(const struct cv_probing *probing);
/* A probe of the peer's came. Return: whether to answer it. */
bool cv_probing_may_echo(struct cv_probing *probing, cv_time now);
