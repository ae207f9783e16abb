/* The timers of one peer as data: events arm and cancel deadlines, control fires them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <convoy/base/time.h>

/* White paper, section 6.1, and the kernel's messages.h. */
enum {
	CV_REKEY_TIMEOUT_S = 5,
	CV_REKEY_TIMEOUT_JITTER_MS = 333,
	CV_KEEPALIVE_TIMEOUT_S = 10,
	CV_MAX_HANDSHAKE_ATTEMPTS = 18, /* give up when more than this many retries were made */
	CV_ZERO_KEYS_S = 540,
	/* Between two Convoys: conf/convoy-wire.md, "Path". */
	CV_PROBE_INTERVAL_S = 1,
};

/*
 * Workers report events (data sent, data received, anything authentic sent or received) once per
 * burst; each is a few relaxed loads and, when something changes, a store. Nobody wakes the control
 * thread unless a deadline appears that lies before the moment at which it will look anyway
 * (`planned`). So timers cost nothing when idle, and about one wake-up per timeout under load.
 *
 * A deadline is CV_TIME_NEVER when its timer is not pending. Deadlines never fire early.
 */
struct cv_timers {
	/* Armed and cancelled by any thread, fired by control. Atomic. */
	cv_time new_handshake; /* data went out and nothing came back */
	cv_time keepalive;     /* data came in and nothing went out */
	cv_time persistent;
	cv_time probe;         /* data flows, and the path was not looked at for a while */
	cv_time planned;       /* when control will look at this peer */
	uint32_t persistent_s; /* interval, 0: off */
	uint16_t jitter_ms;    /* of new_handshake, 0..333, drawn anew by cv_timers_fire() */
	bool keepalive_again;  /* more data came in while `keepalive` was pending */
	bool probes;           /* the peer answers them */

	/* Control thread only. */
	cv_time retransmit;
	cv_time zero_keys;
	cv_time echo;      /* a probe that was not answered by then is given up */
	unsigned attempts; /* initiations sent again without an answer */
};

/* What firing asks the control thread to do. */
enum {
	CV_TIMER_INITIATE = 1 << 0,     /* send an initiation, a new chain (attempts is 0) */
	CV_TIMER_RETRY = 1 << 1,        /* send an initiation, is_retry */
	CV_TIMER_CLEAR_SOURCE = 1 << 2, /* forget the cached local address */
	CV_TIMER_GIVE_UP = 1 << 3,      /* purge staged packets */
	CV_TIMER_KEEPALIVE = 1 << 4,    /* send a keepalive */
	CV_TIMER_ZERO_KEYS = 1 << 5,    /* wipe handshake and all keypairs */
	CV_TIMER_PROBE = 1 << 6,        /* send a probe */
	CV_TIMER_NO_ECHO = 1 << 7,      /* give up probes that are due */
};

void cv_timers_init(struct cv_timers *timers);
/* Stop everything (interface down, peer removed). Keeps persistent_s: cv_timers_set_persistent()
 * with it arms it again. */
void cv_timers_stop(struct cv_timers *timers);
/* Whether an initiation went out and is not answered yet. Control thread. */
static inline bool cv_timers_is_trying(const struct cv_timers *timers)
{
	return timers->retransmit != CV_TIME_NEVER;
}

/*
 * Events, any thread. They return true when a deadline was armed that control does not know of
 * yet: tell it (it calls cv_timers_plan() then). Kernel: wg_timers_data_sent() and its sisters.
 * A non-empty data message sent is data_sent and any_sent; a keepalive or handshake is any_sent.
 * Something authentic received is any_received; when it is non-empty data, data_received as well.
 */
bool cv_timers_data_sent(struct cv_timers *timers, cv_time now);
bool cv_timers_data_received(struct cv_timers *timers, cv_time now);
void cv_timers_any_sent(struct cv_timers *timers, cv_time now);
void cv_timers_any_received(struct cv_timers *timers, cv_time now);

/*
 * Events, control thread; call cv_timers_plan() after them. jitter is random,
 * 0..CV_REKEY_TIMEOUT_JITTER_MS in ns.
 * restart_attempts: traffic or a user asks for a handshake (what is no CV_TIMER_RETRY), whether or
 * not an initiation may be sent already: the count of attempts begins anew.
 * initiation_sent: arms retransmit, also when sending failed.
 * handshake_complete: response consumed, or first data under the next keypair.
 */
void cv_timers_restart_attempts(struct cv_timers *timers);
void cv_timers_initiation_sent(struct cv_timers *timers, cv_time now, cv_time jitter);
void cv_timers_handshake_complete(struct cv_timers *timers);
void cv_timers_session_derived(struct cv_timers *timers, cv_time now);
/* 0 switches off. Turning it on does not send: the caller does that, at once. Setting what is set
 * and pending already changes nothing. */
void cv_timers_set_persistent(struct cv_timers *timers, uint32_t seconds, cv_time now);

/* Whether probes are sent while data flows. The caller sends the first. */
void cv_timers_set_probes(struct cv_timers *timers, bool probes);
/* The earliest moment at which a probe that is out is given up, or CV_TIME_NEVER. */
void cv_timers_expect_echo(struct cv_timers *timers, cv_time when);

/* When control must look next: publishes `planned` and returns it. Control thread. */
cv_time cv_timers_plan(struct cv_timers *timers);

/**
 * cv_timers_fire() - take all deadlines that have passed
 * @jitter:	a fresh one for the next new_handshake, in whole milliseconds
 *
 * Return: CV_TIMER_* bits. Call cv_timers_plan() afterwards.
 */
unsigned cv_timers_fire(struct cv_timers *timers, cv_time now, cv_time jitter);
