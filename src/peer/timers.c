/*
 * The timers of one peer as data: events arm and cancel deadlines, the control thread fires them.
 *
 * How it works. The kernel keeps five timers a peer and moves them at almost every packet. Here a
 * timer is a number, the moment at which it fires; an event is a load, a comparison and sometimes a
 * store. Only one real timer stands behind all of it, the control thread's heap, and it knows of
 * this peer one moment, `planned`: when control will look. A deadline that is cancelled or moved
 * back needs no word to anybody: control looks, finds that nothing is due, and plans anew. Only a
 * deadline that appears *before* `planned` must be told (the event returns true).
 *
 * Why no deadline is lost. A worker arms while control plans, each without a lock:
 *
 *	worker				control, cv_timers_plan()
 *	 W1 deadline = d		 C1 planned = p	   (earliest of the deadlines it saw)
 *	 W2 d < planned? tell		 C2 look again: any deadline < p? then once more from C1
 *
 * All four are sequentially consistent, so there is one order of them (Dekker). If C2 comes before
 * W1 and so misses d, then C1 is before W2 and the worker sees p: it tells when d < p. If W2 came
 * before C1 and so compared with an older plan, then W1 is before C2 and control sees d. With less
 * (release and acquire) both could miss, even on x86. This is paid only when a timer that is not
 * pending is armed; everything else is relaxed.
 *
 * A plan may also lie in the past, between the moment at which control wakes and its next
 * cv_timers_plan(): nothing is before it, nobody tells, and that plan sees everything.
 *
 * Cancelling and arming by several workers at once end in some order of these events, which is all
 * that the kernel promises as well. Firing is a compare-and-swap: it fires the deadline it saw
 * pass, or not at all when a worker just cancelled or moved it. keepalive_again may be set by a
 * worker just after control looked at it; it then serves the next keepalive, one is sent right now
 * anyway.
 */
#include <stddef.h>

#include <convoy/peer/timers.h>

static bool is_pending(const cv_time *timer)
{
	return __atomic_load_n(timer, __ATOMIC_RELAXED) != CV_TIME_NEVER;
}

/* W1: arm a timer unless it is pending. */
static bool arm_if_idle(cv_time *timer, cv_time when)
{
	cv_time idle = CV_TIME_NEVER;

	return !is_pending(timer) &&
	       __atomic_compare_exchange_n(timer, &idle, when, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_RELAXED);
}

/* W2: whether control must be told of what was just armed. */
static bool is_before_plan(const struct cv_timers *timers, cv_time when)
{
	return when < __atomic_load_n(&timers->planned, __ATOMIC_SEQ_CST);
}

static void cancel(cv_time *timer)
{
	if (is_pending(timer))
		__atomic_store_n(timer, CV_TIME_NEVER, __ATOMIC_RELAXED);
}

/*
 * Push the persistent keepalive back. It is pending from cv_timers_set_persistent() on until it is
 * switched off or stopped, so all that a worker does is to move it away from a plan that knows it:
 * nobody must be told. One that is moved while control switches it off or stops it may come to life
 * again; it then fires for nothing (interval 0), or waits until control sets it again and plans.
 */
static void postpone_persistent(struct cv_timers *timers, cv_time now)
{
	uint32_t interval_s = __atomic_load_n(&timers->persistent_s, __ATOMIC_RELAXED);

	if (interval_s && is_pending(&timers->persistent))
		__atomic_store_n(&timers->persistent, now + interval_s * CV_NS_PER_S,
				 __ATOMIC_RELAXED);
}

void cv_timers_init(struct cv_timers *timers)
{
	*timers = (struct cv_timers){
		.new_handshake = CV_TIME_NEVER,
		.keepalive = CV_TIME_NEVER,
		.persistent = CV_TIME_NEVER,
		.probe = CV_TIME_NEVER,
		.planned = CV_TIME_NEVER,
		.retransmit = CV_TIME_NEVER,
		.zero_keys = CV_TIME_NEVER,
		.echo = CV_TIME_NEVER,
	};
}

void cv_timers_stop(struct cv_timers *timers)
{
	cancel(&timers->new_handshake);
	cancel(&timers->keepalive);
	cancel(&timers->persistent);
	cancel(&timers->probe);
	__atomic_store_n(&timers->keepalive_again, false, __ATOMIC_RELAXED);
	timers->retransmit = CV_TIME_NEVER;
	timers->zero_keys = CV_TIME_NEVER;
	timers->echo = CV_TIME_NEVER;
	timers->attempts = 0;
}

/* Return: whether control must be told. One that is armed while control switches probes off fires
 * for nothing. */
static bool arm_probe(struct cv_timers *timers, cv_time now)
{
	cv_time when = now + CV_PROBE_INTERVAL_S * CV_NS_PER_S;

	return __atomic_load_n(&timers->probes, __ATOMIC_RELAXED) &&
	       arm_if_idle(&timers->probe, when) && is_before_plan(timers, when);
}

/* The white paper's 15 s, less up to two thirds of a second, where the kernel adds up to one third:
 * who lost a session has the next one within 15 s, handshake and all. */
bool cv_timers_data_sent(struct cv_timers *timers, cv_time now)
{
	cv_time early = (CV_REKEY_TIMEOUT_JITTER_MS +
			 __atomic_load_n(&timers->jitter_ms, __ATOMIC_RELAXED)) *
			CV_NS_PER_MS;
	cv_time when = now + (CV_KEEPALIVE_TIMEOUT_S + CV_REKEY_TIMEOUT_S) * CV_NS_PER_S - early;

	bool tell = arm_if_idle(&timers->new_handshake, when) && is_before_plan(timers, when);

	return arm_probe(timers, now) || tell;
}

bool cv_timers_data_received(struct cv_timers *timers, cv_time now)
{
	cv_time when = now + CV_KEEPALIVE_TIMEOUT_S * CV_NS_PER_S;
	bool tell = arm_probe(timers, now);

	if (arm_if_idle(&timers->keepalive, when))
		return is_before_plan(timers, when) || tell;
	if (!__atomic_load_n(&timers->keepalive_again, __ATOMIC_RELAXED))
		__atomic_store_n(&timers->keepalive_again, true, __ATOMIC_RELAXED);
	return tell;
}

void cv_timers_any_sent(struct cv_timers *timers, cv_time now)
{
	cancel(&timers->keepalive);
	postpone_persistent(timers, now);
}

void cv_timers_any_received(struct cv_timers *timers, cv_time now)
{
	cancel(&timers->new_handshake);
	postpone_persistent(timers, now);
}

void cv_timers_restart_attempts(struct cv_timers *timers)
{
	timers->attempts = 0;
}

void cv_timers_initiation_sent(struct cv_timers *timers, cv_time now, cv_time jitter)
{
	timers->retransmit = now + CV_REKEY_TIMEOUT_S * CV_NS_PER_S + jitter;
}

void cv_timers_handshake_complete(struct cv_timers *timers)
{
	timers->retransmit = CV_TIME_NEVER;
	timers->attempts = 0;
}

void cv_timers_session_derived(struct cv_timers *timers, cv_time now)
{
	timers->zero_keys = now + CV_ZERO_KEYS_S * CV_NS_PER_S;
}

void cv_timers_set_persistent(struct cv_timers *timers, uint32_t seconds, cv_time now)
{
	if (seconds == timers->persistent_s && is_pending(&timers->persistent) == (seconds > 0))
		return;
	__atomic_store_n(&timers->persistent_s, seconds, __ATOMIC_RELAXED);
	__atomic_store_n(&timers->persistent, seconds ? now + seconds * CV_NS_PER_S : CV_TIME_NEVER,
			 __ATOMIC_SEQ_CST);
}

void cv_timers_set_probes(struct cv_timers *timers, bool probes)
{
	__atomic_store_n(&timers->probes, probes, __ATOMIC_RELAXED);
	if (probes)
		return;
	cancel(&timers->probe);
	timers->echo = CV_TIME_NEVER;
}

void cv_timers_expect_echo(struct cv_timers *timers, cv_time when)
{
	timers->echo = when;
}

static cv_time earliest(const struct cv_timers *timers)
{
	cv_time when = timers->retransmit;
	const cv_time others[] = {
		timers->zero_keys,
		timers->echo,
		__atomic_load_n(&timers->new_handshake, __ATOMIC_SEQ_CST),
		__atomic_load_n(&timers->keepalive, __ATOMIC_SEQ_CST),
		__atomic_load_n(&timers->persistent, __ATOMIC_SEQ_CST),
		__atomic_load_n(&timers->probe, __ATOMIC_SEQ_CST),
	};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		when = others[i] < when ? others[i] : when;
	return when;
}

cv_time cv_timers_plan(struct cv_timers *timers)
{
	cv_time when;

	do {
		when = earliest(timers);
		__atomic_store_n(&timers->planned, when, __ATOMIC_SEQ_CST);
	} while (earliest(timers) < when);
	return when;
}

/* Whether this timer's moment has come; it then stands at `next`. */
static bool fires(cv_time *timer, cv_time now, cv_time next)
{
	cv_time when = __atomic_load_n(timer, __ATOMIC_RELAXED);

	return when <= now && __atomic_compare_exchange_n(timer, &when, next, false,
							  __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static unsigned fire_keepalives(struct cv_timers *timers, cv_time now)
{
	uint32_t interval_s = timers->persistent_s;
	unsigned actions = 0;

	if (fires(&timers->keepalive, now, CV_TIME_NEVER)) {
		actions |= CV_TIMER_KEEPALIVE;
		if (__atomic_exchange_n(&timers->keepalive_again, false, __ATOMIC_RELAXED))
			__atomic_store_n(&timers->keepalive,
					 now + CV_KEEPALIVE_TIMEOUT_S * CV_NS_PER_S,
					 __ATOMIC_RELAXED);
	}
	/* Armed anew here, not only by the keepalive's any_sent: it may not be sendable. */
	if (fires(&timers->persistent, now,
		  interval_s ? now + interval_s * CV_NS_PER_S : CV_TIME_NEVER) &&
	    interval_s)
		actions |= CV_TIMER_KEEPALIVE;
	return actions;
}

static unsigned fire_retransmit(struct cv_timers *timers, cv_time now)
{
	if (timers->retransmit > now)
		return 0;
	timers->retransmit = CV_TIME_NEVER;
	if (timers->attempts <= CV_MAX_HANDSHAKE_ATTEMPTS) {
		timers->attempts++;
		return CV_TIMER_RETRY | CV_TIMER_CLEAR_SOURCE;
	}
	cancel(&timers->keepalive);
	if (timers->zero_keys == CV_TIME_NEVER)
		timers->zero_keys = now + CV_ZERO_KEYS_S * CV_NS_PER_S;
	return CV_TIMER_GIVE_UP;
}

static unsigned fire_probes(struct cv_timers *timers, cv_time now)
{
	unsigned actions = 0;

	if (fires(&timers->probe, now, CV_TIME_NEVER) && timers->probes)
		actions |= CV_TIMER_PROBE;
	if (timers->echo <= now) {
		timers->echo = CV_TIME_NEVER;
		actions |= CV_TIMER_NO_ECHO;
	}
	return actions;
}

unsigned cv_timers_fire(struct cv_timers *timers, cv_time now, cv_time jitter)
{
	unsigned actions = fire_keepalives(timers, now);

	actions |= fire_retransmit(timers, now);
	actions |= fire_probes(timers, now);
	if (fires(&timers->new_handshake, now, CV_TIME_NEVER)) {
		timers->attempts = 0;
		actions |= CV_TIMER_INITIATE | CV_TIMER_CLEAR_SOURCE;
	}
	if (timers->zero_keys <= now) {
		timers->zero_keys = CV_TIME_NEVER;
		actions |= CV_TIMER_ZERO_KEYS;
	}
	__atomic_store_n(&timers->jitter_ms, (uint16_t)(jitter / CV_NS_PER_MS), __ATOMIC_RELAXED);
	return actions;
}
