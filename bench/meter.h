/* What a piece of work costs: the median of rounds, in nanoseconds and in cycles. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Work that can be done again and again. */
struct work {
	void (*prepare)(void *arg); /* before each run, not measured; NULL for nothing */
	void (*run)(void *arg);
	void *arg;
	size_t n; /* what one run does: packets, lookups. About a thousand, see meter.c */
};

/* What the figures are of. */
struct label {
	const char *stage;
	const char *provider; /* of the AEAD; NULL: does not matter */
	const char *suite;    /* likewise */
	uint32_t size;        /* IP bytes of a packet; 0: does not matter */
	uint32_t entries;     /* of a table; 0: there is none */
};

/* Give up unless work did what it is measured for. */
void meter_must(bool did, const char *what);

/**
 * meter_open() - stay on one core, look for a cycle counter, begin the output
 * @json:	lines of JSON, else a table
 * @facts:	facts[n]: "name=value", of the machine and the build; in the head of the table or in
 *		each line of JSON
 */
void meter_open(bool json, char *const *facts, size_t n);

/* Measure the work and print it. */
void meter_print(const struct label *label, const struct work *work);
