/* Law: the replay window accepts what a set of all counters, cut to the window, accepts. */
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include <convoy/noise/keypair.h>
#include <convoy/noise/replay.h>

#include "hex.h"

enum {
	RANGE = 1 << 20, /* counters a run may come to */
	STEPS = 200000,
};

/* Counters of a run are base + [0, RANGE). */
struct model {
	uint64_t base;
	uint64_t highest;
	bool any;
	bool seen[RANGE];
};

static struct model model;
static struct cv_replay replay;

static bool model_accept(uint32_t offset)
{
	uint64_t counter = model.base + offset;

	if (counter >= CV_REJECT_AFTER_MESSAGES || model.seen[offset])
		return false;
	if (model.any && counter < model.highest && model.highest - counter > CV_REPLAY_WINDOW)
		return false;
	model.seen[offset] = true;
	if (!model.any || counter > model.highest)
		model.highest = counter;
	model.any = true;
	return true;
}

/* Near the front mostly, as packets are; at the edge of the window often; anywhere sometimes. */
static uint32_t next_offset(uint32_t front)
{
	long kind = random() % 100;
	int64_t offset = front;

	if (kind < 60)
		offset += random() % 40 - 15;
	else if (kind < 75)
		offset += -(int64_t)CV_REPLAY_WINDOW + random() % 140 - 70;
	else if (kind < 90)
		offset -= random() % (2 * CV_REPLAY_BITS);
	else if (kind < 98)
		offset += random() % 300;
	else
		offset += random() % (3 * CV_REPLAY_BITS);
	if (offset < 0)
		return 0;
	return offset < RANGE ? (uint32_t)offset : RANGE - 1;
}

static void run(uint64_t base)
{
	uint32_t front = 0;
	int step;

	memset(&model, 0, sizeof(model));
	memset(&replay, 0, sizeof(replay));
	model.base = base;
	for (step = 0; step < STEPS; step++) {
		uint32_t offset = next_offset(front);

		if (cv_replay_accept(&replay, base + offset) != model_accept(offset))
			fail_msg("step %d, counter %llu", step, (unsigned long long)base + offset);
		if (model.any)
			front = (uint32_t)(model.highest - base);
		if (front > RANGE - 4 * CV_REPLAY_BITS && random() % 1000 == 0)
			break;
	}
}

static void window_agrees_with_a_set_from_zero_on(void **state)
{
	run(0);
}

static void window_agrees_with_a_set_far_out(void **state)
{
	run((UINT64_C(1) << 60) + (uint64_t)random());
}

static void window_agrees_with_a_set_up_to_the_limit(void **state)
{
	run(CV_REJECT_AFTER_MESSAGES - RANGE / 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(window_agrees_with_a_set_from_zero_on),
		cmocka_unit_test(window_agrees_with_a_set_far_out),
		cmocka_unit_test(window_agrees_with_a_set_up_to_the_limit),
	};
	const char *seed_text = getenv("CV_SEED");
	unsigned seed = seed_text ? (unsigned)strtoul(seed_text, NULL, 0) : (unsigned)time(NULL);

	printf("CV_SEED=%u\n", seed);
	srandom(seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
