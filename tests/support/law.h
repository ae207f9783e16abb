/* Random numbers and seeds of the law tests: every failure names the seed that repeats it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* splitmix64. */
static uint64_t random_state;

/* Any of [0, bound). */
static inline uint32_t below(uint32_t bound)
{
	uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)((z >> 32) * bound >> 32);
}

/* The seed of the round that runs. */
static uint64_t seed;
static bool law_runs;

/* Run a law for many seeds, or, with CV_SEED= in the environment, for that one. */
static inline void for_all_seeds(uint32_t rounds, void (*law)(void))
{
	const char *asked = getenv("CV_SEED");

	rounds = asked ? 1 : rounds;
	seed = asked ? strtoull(asked, NULL, 0) : UINT64_C(0xc0) << 32;
	fprintf(stderr, "seeds from %#llx, %u of them\n", (unsigned long long)seed, rounds);
	for (uint32_t round = 0; round < rounds; round++, seed++) {
		random_state = seed;
		law_runs = true;
		law();
		law_runs = false;
	}
}

/* cmocka's tear-down of a law. */
static inline int name_failed_seed(void **state)
{
	(void)state;
	if (law_runs)
		fprintf(stderr, "failed with CV_SEED=%#llx\n", (unsigned long long)seed);
	law_runs = false;
	return 0;
}
