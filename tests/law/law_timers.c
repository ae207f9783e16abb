/*
 * Lazy timers do what eager ones do, at the same nanosecond; none is early, none is lost.
 *
 * The model is the kernel's: five real timers, each moved at every event, each running its handler
 * when it expires. Beside it runs the real thing, with a control thread that looks only when it
 * planned to or when it is told. Random events go to both; what fires is written down in both, and
 * what follows from it (a keepalive that can be sent or not, an initiation with its next retry)
 * happens in both. A second law lets two real threads arm and plan at once.
 *
 * The seed of a failure is printed; CV_SEED= replays it.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* cmocka.h needs what stands above it. */
#include <cmocka.h>

#include <convoy/peer/timers.h>

#include "law.h"

enum {
	ROUNDS = 1500,
	EVENTS = 300,
	RACES = 100000,
};

#define S CV_NS_PER_S

/* What fired in either world: how often so far, and what last. */
struct log {
	size_t n;
	cv_time when;
	unsigned actions;
};

static void write_down(struct log *log, cv_time when, unsigned actions)
{
	*log = (struct log){ log->n + 1, when, actions };
}

/* Chance that both worlds share: the same answer for the same moment. */
static uint32_t chance(cv_time when, uint32_t bound)
{
	uint64_t z = (uint64_t)when + seed * UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)((z >> 32) * bound >> 32);
}

static cv_time jitter_at(cv_time when)
{
	return chance(when, 334) * CV_NS_PER_MS;
}

enum event {
	DATA_SENT,
	DATA_RECEIVED,
	KEEPALIVE_SENT,
	KEEPALIVE_RECEIVED,
	LAST_OF_WORKER = KEEPALIVE_RECEIVED,
	USER_INITIATES,
	SESSION_DERIVED,
	HANDSHAKE_COMPLETE,
	SET_PERSISTENT,
	SET_PROBES,
	PROBE_SENT,
	STOP,
	EVENT_COUNT,
};

/* The model. In the order in which those that expire together run. */
enum { KEEPALIVE, PERSISTENT, RETRANSMIT, NEW_HANDSHAKE, ZERO_KEYS, PROBE, ECHO, TIMER_COUNT };

static struct eager {
	cv_time expires[TIMER_COUNT];
	bool another, probes;
	uint32_t interval_s;
	unsigned attempts;
	cv_time last_initiation;
	cv_time jitter; /* of new_handshake; the same all through a round */
	struct log log;
} eager;

static void eager_authentic(cv_time now, int cancelled)
{
	eager.expires[cancelled] = CV_TIME_NEVER;
	if (eager.interval_s && eager.expires[PERSISTENT] != CV_TIME_NEVER)
		eager.expires[PERSISTENT] = now + eager.interval_s * S;
}

static void eager_data(cv_time now)
{
	if (eager.probes && eager.expires[PROBE] == CV_TIME_NEVER)
		eager.expires[PROBE] = now + S;
}

static void eager_initiate(cv_time now, bool is_retry)
{
	if (!is_retry)
		eager.attempts = 0;
	if (now - eager.last_initiation < 5 * S)
		return;
	eager.last_initiation = now;
	eager_authentic(now, KEEPALIVE);
	eager.expires[RETRANSMIT] = now + 5 * S + jitter_at(now);
}

static void eager_event(enum event event, cv_time now, uint32_t interval_s)
{
	cv_time *expires = eager.expires;

	switch (event) {
	case DATA_SENT:
		if (expires[NEW_HANDSHAKE] == CV_TIME_NEVER)
			expires[NEW_HANDSHAKE] = now + 15 * S - 333 * CV_NS_PER_MS - eager.jitter;
		eager_authentic(now, KEEPALIVE);
		eager_data(now);
		break;
	case DATA_RECEIVED:
		eager_authentic(now, NEW_HANDSHAKE);
		if (expires[KEEPALIVE] == CV_TIME_NEVER)
			expires[KEEPALIVE] = now + 10 * S;
		else
			eager.another = true;
		eager_data(now);
		break;
	case KEEPALIVE_SENT:
		eager_authentic(now, KEEPALIVE);
		break;
	case KEEPALIVE_RECEIVED:
		eager_authentic(now, NEW_HANDSHAKE);
		break;
	case USER_INITIATES:
		eager_initiate(now, false);
		break;
	case SESSION_DERIVED:
		expires[ZERO_KEYS] = now + 540 * S;
		break;
	case HANDSHAKE_COMPLETE:
		expires[RETRANSMIT] = CV_TIME_NEVER;
		eager.attempts = 0;
		break;
	case SET_PERSISTENT:
		if (eager.interval_s == interval_s &&
		    (expires[PERSISTENT] != CV_TIME_NEVER) == (interval_s > 0))
			break;
		eager.interval_s = interval_s;
		expires[PERSISTENT] = interval_s ? now + interval_s * S : CV_TIME_NEVER;
		break;
	case SET_PROBES:
		eager.probes = interval_s;
		if (!interval_s)
			expires[PROBE] = expires[ECHO] = CV_TIME_NEVER;
		break;
	case PROBE_SENT:
		expires[ECHO] = now + jitter_at(now);
		break;
	default: /* STOP */
		for (int i = 0; i < TIMER_COUNT; i++)
			expires[i] = CV_TIME_NEVER;
		eager.another = false;
		eager.attempts = 0;
		break;
	}
}

static unsigned eager_expire(int timer, cv_time now)
{
	cv_time *expires = eager.expires;

	expires[timer] = CV_TIME_NEVER;
	switch (timer) {
	case KEEPALIVE:
		if (eager.another)
			expires[KEEPALIVE] = now + 10 * S;
		eager.another = false;
		return CV_TIMER_KEEPALIVE;
	case PERSISTENT:
		expires[PERSISTENT] = now + eager.interval_s * S;
		return CV_TIMER_KEEPALIVE;
	case RETRANSMIT:
		if (eager.attempts++ <= 18)
			return CV_TIMER_RETRY | CV_TIMER_CLEAR_SOURCE;
		eager.attempts--;
		expires[KEEPALIVE] = CV_TIME_NEVER;
		if (expires[ZERO_KEYS] == CV_TIME_NEVER)
			expires[ZERO_KEYS] = now + 540 * S;
		return CV_TIMER_GIVE_UP;
	case NEW_HANDSHAKE:
		eager.attempts = 0;
		return CV_TIMER_INITIATE | CV_TIMER_CLEAR_SOURCE;
	case PROBE:
		return CV_TIMER_PROBE;
	case ECHO:
		return CV_TIMER_NO_ECHO;
	default:
		return CV_TIMER_ZERO_KEYS;
	}
}

/* One keepalive in four finds no session. */
static bool keepalive_is_sendable(cv_time now)
{
	return chance(now ^ 1, 4) != 0;
}

static cv_time eager_first(void)
{
	cv_time first = CV_TIME_NEVER;

	for (int i = 0; i < TIMER_COUNT; i++)
		first = eager.expires[i] < first ? eager.expires[i] : first;
	return first;
}

static void eager_run(cv_time now)
{
	unsigned actions = 0;

	for (int i = 0; i < TIMER_COUNT; i++)
		if (eager.expires[i] == now)
			actions |= eager_expire(i, now);
	write_down(&eager.log, now, actions);
	if (actions & (CV_TIMER_INITIATE | CV_TIMER_RETRY))
		eager_initiate(now, !(actions & CV_TIMER_INITIATE));
	if ((actions & CV_TIMER_KEEPALIVE) && keepalive_is_sendable(now))
		eager_event(KEEPALIVE_SENT, now, 0);
}

/* The real thing, and a control thread that knows nothing but its plan. */
static struct lazy {
	struct cv_timers timers;
	cv_time plan;
	cv_time last_initiation;
	cv_time jitter;
	unsigned looks;
	struct log log;
} lazy;

static void lazy_initiate(cv_time now)
{
	if (now - lazy.last_initiation < 5 * S)
		return;
	lazy.last_initiation = now;
	cv_timers_any_sent(&lazy.timers, now);
	cv_timers_initiation_sent(&lazy.timers, now, jitter_at(now));
}

/* Return: whether control is told. It always is of what it does itself. */
static bool lazy_event(enum event event, cv_time now, uint32_t interval_s)
{
	struct cv_timers *timers = &lazy.timers;
	bool tell = event > LAST_OF_WORKER;

	switch (event) {
	case DATA_SENT:
		tell = cv_timers_data_sent(timers, now);
		cv_timers_any_sent(timers, now);
		break;
	case DATA_RECEIVED:
		cv_timers_any_received(timers, now);
		tell = cv_timers_data_received(timers, now);
		break;
	case KEEPALIVE_SENT:
		cv_timers_any_sent(timers, now);
		break;
	case KEEPALIVE_RECEIVED:
		cv_timers_any_received(timers, now);
		break;
	case USER_INITIATES:
		cv_timers_restart_attempts(timers);
		lazy_initiate(now);
		break;
	case SESSION_DERIVED:
		cv_timers_session_derived(timers, now);
		break;
	case HANDSHAKE_COMPLETE:
		cv_timers_handshake_complete(timers);
		break;
	case SET_PERSISTENT:
		cv_timers_set_persistent(timers, interval_s, now);
		break;
	case SET_PROBES:
		cv_timers_set_probes(timers, interval_s);
		break;
	case PROBE_SENT:
		cv_timers_expect_echo(timers, now + jitter_at(now));
		break;
	default: /* STOP */
		cv_timers_stop(timers);
		break;
	}
	return tell;
}

static void lazy_look(cv_time now)
{
	unsigned actions = cv_timers_fire(&lazy.timers, now, lazy.jitter);

	lazy.looks++;
	if (!actions)
		return;
	write_down(&lazy.log, now, actions);
	if (actions & (CV_TIMER_INITIATE | CV_TIMER_RETRY))
		lazy_initiate(now);
	if ((actions & CV_TIMER_KEEPALIVE) && keepalive_is_sendable(now))
		lazy_event(KEEPALIVE_SENT, now, 0);
}

/* Both worlds at once. */
static void set_up(cv_time now)
{
	memset(&eager, 0, sizeof(eager));
	for (int i = 0; i < TIMER_COUNT; i++)
		eager.expires[i] = CV_TIME_NEVER;
	eager.jitter = below(334) * CV_NS_PER_MS;
	memset(&lazy, 0, sizeof(lazy));
	lazy.jitter = eager.jitter;
	cv_timers_init(&lazy.timers);
	cv_timers_fire(&lazy.timers, now, lazy.jitter);
	lazy.plan = cv_timers_plan(&lazy.timers);
}

/* Mostly traffic; steps from nothing to longer than most timers, often whole seconds, so that
 * deadlines fall together with each other and with events. */
static enum event any_event(void)
{
	return below(5) ? (enum event)below(LAST_OF_WORKER + 1) : (enum event)below(EVENT_COUNT);
}

static cv_time any_step(void)
{
	switch (below(8)) {
	case 0:
		return 0;
	case 1:
	case 2:
		return below(1000) * CV_NS_PER_MS / 7;
	case 3:
		return below(600 * 1000) * CV_NS_PER_MS;
	default:
		return below(12) * S;
	}
}

static uint32_t any_interval_s(void)
{
	static const uint32_t intervals_s[] = { 0, 1, 5, 10, 25, 65535 };

	return intervals_s[below(6)];
}

/* An event in both worlds. Control plans when it is told, or later when it is awake anyway. */
static void happen(enum event event, cv_time now, bool is_awake)
{
	uint32_t interval_s = any_interval_s();

	eager_event(event, now, interval_s);
	if (lazy_event(event, now, interval_s) && !is_awake)
		lazy.plan = cv_timers_plan(&lazy.timers);
}

/* All that is due before or at `until`. Now and then a worker is busy while control is awake. */
static void pass_time(cv_time until)
{
	for (;;) {
		cv_time now = eager_first() < lazy.plan ? eager_first() : lazy.plan;

		if (now > until)
			break;
		if (eager_first() == now)
			eager_run(now);
		if (lazy.plan == now) {
			if (below(4) == 0)
				lazy_look(now - 1); /* too early: nothing */
			lazy_look(now);
			if (below(4) == 0)
				happen((enum event)below(LAST_OF_WORKER + 1), now, true);
			lazy.plan = cv_timers_plan(&lazy.timers);
			assert_true(lazy.plan > now);
		}
		assert_int_equal(lazy.log.n, eager.log.n);
		assert_int_equal(lazy.log.when, eager.log.when);
		assert_int_equal(lazy.log.actions, eager.log.actions);
	}
}

static void lazy_timers_are_eager_timers(void)
{
	cv_time now = 1000 * S;

	set_up(now);
	for (int i = 0; i < EVENTS; i++) {
		now += any_step();
		pass_time(now);
		happen(any_event(), now, false);
		assert_int_equal(lazy.timers.attempts, eager.attempts);
	}
	/* Silence: the chain of retries ends by itself, only the persistent keepalive goes on. */
	happen(SET_PERSISTENT, now, false);
	pass_time(now + 700 * S);
}

static void lazy_timers_fire_when_eager_ones_do(void **state)
{
	(void)state;
	for_all_seeds(ROUNDS, lazy_timers_are_eager_timers);
}

/* Bursts both ways every millisecond for 100 seconds: what the laziness is for. */
static void be_busy(bool probed, unsigned probes)
{
	unsigned told = 0;

	set_up(0);
	cv_timers_set_probes(&lazy.timers, probed);
	for (cv_time now = 0; now < 100 * S; now += CV_NS_PER_MS) {
		while (lazy.plan <= now) {
			lazy_look(lazy.plan);
			lazy.plan = cv_timers_plan(&lazy.timers);
		}
		for (int event = DATA_SENT; event <= DATA_RECEIVED; event++) {
			if (lazy_event((enum event)event, now, 0)) {
				lazy.plan = cv_timers_plan(&lazy.timers);
				told++;
			}
		}
	}
	assert_int_equal(lazy.log.n, probes);
	assert_true(told + lazy.looks <= 2 * 100 / CV_KEEPALIVE_TIMEOUT_S + 2 * probes);
}

static void busy_timers_wake_control_once_a_timeout(void **state)
{
	(void)state;
	be_busy(false, 0);
}

/* They come a millisecond after the second: with the next data. */
static void busy_timers_of_a_convoy_probe_once_a_second(void **state)
{
	(void)state;
	be_busy(true, 99);
}

/*
 * Two threads: in each race a worker arms the keepalive while control, which is awake, plans. When
 * both are done, the deadline is in control's plan or the worker was told to say so.
 */
static struct {
	struct cv_timers timers;
	unsigned started, done; /* races */
	bool told;
} race;

static void await(const unsigned *counter, unsigned value)
{
	for (unsigned spins = 0; __atomic_load_n(counter, __ATOMIC_ACQUIRE) != value; spins++)
		if (spins % 1024 == 1023)
			sched_yield();
}

static void *arm(void *arg)
{
	(void)arg;
	for (unsigned i = 1; i <= RACES; i++) {
		await(&race.started, i);
		race.told = cv_timers_data_received(&race.timers, 0);
		__atomic_store_n(&race.done, i, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void deadline_armed_while_control_plans_is_planned_or_told(void **state)
{
	pthread_t worker;
	unsigned lost = 0;

	(void)state;
	cv_timers_init(&race.timers);
	assert_int_equal(pthread_create(&worker, NULL, arm, NULL), 0);
	for (unsigned i = 1; i <= RACES; i++) {
		cv_timers_session_derived(&race.timers, 0);
		race.timers.keepalive = CV_TIME_NEVER;
		race.timers.planned = 0;
		__atomic_store_n(&race.started, i, __ATOMIC_RELEASE);
		for (volatile unsigned delay = 0; delay < i % 256; delay++)
			;
		cv_timers_plan(&race.timers);
		await(&race.done, i);
		lost += !race.told && race.timers.planned > race.timers.keepalive;
	}
	pthread_join(worker, NULL);
	assert_int_equal(lost, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(lazy_timers_fire_when_eager_ones_do, name_failed_seed),
		cmocka_unit_test(busy_timers_wake_control_once_a_timeout),
		cmocka_unit_test(busy_timers_of_a_convoy_probe_once_a_second),
		cmocka_unit_test(deadline_armed_while_control_plans_is_planned_or_told),
	};

	return cmocka_run_group_tests_name("timers", tests, NULL, NULL);
}
