/*
 * What a path carries is found, wherever the limit lies and wherever it goes.
 *
 * The path here has a limit, a loss and a round trip, and echoes what is below the one and escapes
 * the other. Data flows once a second. In any such world, in any order of what happens to it:
 * black holes are left in time, what is found lies within a step below the limit, nothing is
 * probed above the TUN's MTU, silence is no verdict, and chance hardly ever one.
 *
 * The seed of a failure is printed; CV_SEED= replays it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* cmocka.h needs what stands above it. */
#include <cmocka.h>

#include <convoy/peer/pmtu.h>

#include "law.h"

#define S  CV_NS_PER_S
#define MS CV_NS_PER_MS

enum {
	ROUNDS = 300,
	FLIGHT_MAX = 64,
	HOUR_S = 3600,
	/* A search between base and 65535 halves 12 times, each of which takes 1.5 s at most. */
	SEARCH_S = 20,
};

/* One world. */
static struct {
	struct cv_pmtu pmtu;
	uint32_t most, limit;
	uint32_t host_limit;    /* this host refuses more */
	uint32_t loss;          /* of 100 messages, each way */
	cv_time rtt, now, beat; /* beat: data flows next */
	struct {
		uint32_t size;
		cv_time when;
	} flight[FLIGHT_MAX];
	size_t flight_n;
	unsigned sent, falls;
	cv_time above_since; /* the size in use is more than the path carries; -1: it is not */
} world;

static bool is_lost(void)
{
	return below(100) < world.loss;
}

static void send(uint32_t size)
{
	assert_in_range(size, 1, world.most);
	world.sent++;
	if (size > world.host_limit) {
		cv_pmtu_refused(&world.pmtu, size, world.now);
		return;
	}
	if (size > world.limit || is_lost() || is_lost())
		return;
	assert_in_range(world.flight_n, 0, FLIGHT_MAX - 1);
	world.flight[world.flight_n].size = size;
	world.flight[world.flight_n++].when = world.now + world.rtt;
}

static void look(void)
{
	uint32_t before = world.pmtu.size, size;
	unsigned n = 0;

	while ((size = cv_pmtu_next(&world.pmtu, world.most, world.now, world.rtt))) {
		send(size);
		assert_in_range(++n, 1, 40);
	}
	assert_in_range(world.pmtu.size, 0, world.most);
	world.falls += world.pmtu.size < before;
}

static uint32_t in_use(void)
{
	return world.pmtu.size ? world.pmtu.size : world.most;
}

static void watch(void)
{
	if (in_use() <= world.limit)
		world.above_since = -1;
	else if (world.above_since < 0)
		world.above_since = world.now;
}

/* The next thing to happen, at most `until`. */
static cv_time next_event(cv_time until)
{
	cv_time when = cv_pmtu_deadline(&world.pmtu);

	when = when < until ? when : until;
	when = when < world.beat ? when : world.beat;
	for (size_t i = 0; i < world.flight_n; i++)
		when = when < world.flight[i].when ? when : world.flight[i].when;
	return when;
}

static void arrive(void)
{
	for (size_t i = 0; i < world.flight_n;) {
		uint32_t size = world.flight[i].size;

		if (world.flight[i].when > world.now) {
			i++;
			continue;
		}
		world.flight[i] = world.flight[--world.flight_n];
		cv_pmtu_echoed(&world.pmtu, size);
		look();
	}
}

static void live_until(cv_time until)
{
	while (world.now < until) {
		world.now = next_event(until);
		arrive();
		if (world.beat <= world.now) {
			cv_pmtu_flows(&world.pmtu, world.now);
			world.beat = world.now + S;
		}
		look();
		watch();
	}
}

static void live(cv_time while_)
{
	live_until(world.now + while_);
}

static void set_limit(uint32_t limit)
{
	world.limit = limit;
	watch();
}

static uint32_t any_size(uint32_t from, uint32_t to)
{
	return from + below(to - from + 1);
}

/* Usual MTUs, and any. */
static uint32_t any_most(void)
{
	switch (below(4)) {
	case 0:
		return any_size(68, 65535);
	case 1:
		return 8920;
	default:
		return any_size(1280, 1500);
	}
}

static uint32_t any_limit(void)
{
	return below(4) ? any_size(CV_PMTU_BASE, world.most > CV_PMTU_BASE ? world.most : 1300)
			: world.most;
}

static void begin(cv_time rtt_max, uint32_t loss)
{
	memset(&world, 0, sizeof(world));
	world.most = any_most();
	world.limit = any_limit();
	world.host_limit = UINT32_MAX;
	world.loss = loss;
	world.rtt = 1 + (cv_time)below((uint32_t)rtt_max);
	world.now = world.beat = (cv_time)below(1000) * S;
	world.above_since = -1;
}

static bool is_found(void)
{
	uint32_t best = world.limit < world.most ? world.limit : world.most;

	return world.pmtu.size <= best && world.pmtu.size + CV_PMTU_STEP >= best;
}

/* The limit falls at any moment, once and again. */
static void limit_is_followed_down(void)
{
	begin(200 * MS, 0);
	live(SEARCH_S * S);
	assert_true(is_found() && cv_pmtu_is_found(&world.pmtu));
	for (int i = 0; i < 5 && world.limit > CV_PMTU_BASE && world.most > CV_PMTU_BASE; i++) {
		live((cv_time)below(3000) * MS);
		set_limit(any_size(CV_PMTU_BASE, world.limit));
		live(2501 * MS + world.rtt);
		assert_int_equal(world.above_since, -1);
		live(SEARCH_S * S);
		assert_true(is_found());
	}
}

static void black_hole_is_left_in_time(void **state)
{
	(void)state;
	for_all_seeds(ROUNDS, limit_is_followed_down);
}

/* It rises at any moment; what failed once is asked for again. */
static void limit_is_followed_up(void)
{
	begin(1000 * MS, 0);
	live((cv_time)below(60) * S);
	for (int i = 0; i < 3; i++) {
		set_limit(
			any_size(world.limit, world.most > world.limit ? world.most : world.limit));
		live((CV_PMTU_RAISE_S + 60) * S);
		assert_true(is_found());
		assert_int_equal(world.above_since, -1);
	}
}

static void more_is_used_when_the_path_carries_more(void **state)
{
	(void)state;
	for_all_seeds(ROUNDS, limit_is_followed_up);
}

/* A tenth is lost each way, so that one round of 4000 ends with a wrong verdict. */
static unsigned wrong_worlds;

static void lossy_path_is_searched(void)
{
	begin(200 * MS, 10);
	live(60 * S);
	wrong_worlds += !is_found();
	set_limit(any_size(CV_PMTU_BASE, world.limit));
	live(10 * S); /* a round may end without a verdict, and the next one finds it */
	assert_int_equal(world.above_since, -1);
	live(60 * S);
	wrong_worlds += !is_found();
	world.falls = 0;
	live(HOUR_S * S);
	assert_in_range(world.falls, 0, 5);
}

static void chance_is_hardly_ever_a_verdict(void **state)
{
	(void)state;
	wrong_worlds = 0;
	for_all_seeds(ROUNDS / 3, lossy_path_is_searched);
	assert_in_range(wrong_worlds, 0, 2);
}

/* Nothing comes back: all stays as it is, and little is sent. */
static void silence_says_nothing(void)
{
	uint32_t size;

	begin(200 * MS, 0);
	live((cv_time)below(20000) * MS);
	world.loss = 100;
	live(2 * S); /* what was on its way, and the round that it belongs to */
	size = world.pmtu.size;
	world.sent = 0;
	live(60 * S);
	assert_int_equal(world.pmtu.size, size);
	assert_in_range(world.sent, 0, 60 * (CV_PMTU_TRIES + 1));
}

static void silence_is_no_verdict(void **state)
{
	(void)state;
	for_all_seeds(ROUNDS, silence_says_nothing);
}

static void disturb(void)
{
	switch (below(6)) {
	case 0:
		world.most = any_most();
		break;
	case 1:
		cv_pmtu_moved(&world.pmtu);
		break;
	case 2:
		world.loss = below(101);
		break;
	case 3:
		world.host_limit = below(2) ? UINT32_MAX : any_size(1, 2000);
		break;
	case 4:
		world.beat = world.now + (cv_time)below(100) * S;
		break;
	default:
		set_limit(any_size(1, 65535));
		break;
	}
}

/* Whatever happens: when it ends, what is there is found. */
static void all_is_found_in_the_end(void)
{
	begin(1500 * MS, 0);
	for (int i = 0; i < 100; i++) {
		disturb();
		live((cv_time)below(5000) * MS);
	}
	world.loss = 0;
	world.host_limit = UINT32_MAX;
	if (world.limit < CV_PMTU_BASE)
		set_limit(CV_PMTU_BASE);
	live((CV_PMTU_RAISE_S + 200) * S);
	assert_true(is_found());
}

static void any_world_ends_well(void **state)
{
	(void)state;
	for_all_seeds(ROUNDS, all_is_found_in_the_end);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(black_hole_is_left_in_time, name_failed_seed),
		cmocka_unit_test_teardown(more_is_used_when_the_path_carries_more,
					  name_failed_seed),
		cmocka_unit_test_teardown(chance_is_hardly_ever_a_verdict, name_failed_seed),
		cmocka_unit_test_teardown(silence_is_no_verdict, name_failed_seed),
		cmocka_unit_test_teardown(any_world_ends_well, name_failed_seed),
	};

	return cmocka_run_group_tests_name("pmtu", tests, NULL, NULL);
}
