/*
 * meter: what a piece of work costs.
 *
 * How it works. A round runs the work until 20 ms were spent in it, preparations not counted; of
 * five rounds the median is taken, since a neighbour on the machine spoils one or two, and an
 * unusually lucky one is as untypical. The clock is read around each run and costs some 50 ns, so
 * a run does about a thousand things.
 *
 * Cycles are those of user space by perf_event_open(2), where the machine grants it; many virtual
 * ones do not. Unlike nanoseconds they do not depend on the frequency of the moment. The counter
 * is read outside of the time that is taken.
 */
#include "meter.h"

#include <linux/perf_event.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
	ROUNDS = 5,
	ROUND_NS = 20000000,
};

/* Of one of what a run does n of. */
struct cost {
	double ns, cycles;
};

static bool as_json;
static char *const *facts;
static size_t facts_n;
static int counter = -1; /* a perf event, -1: not granted */

void meter_must(bool did, const char *what)
{
	if (!did) {
		fprintf(stderr, "stages: %s\n", what);
		exit(1);
	}
}

static uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t cycles(void)
{
	uint64_t n = 0;

	if (counter >= 0)
		meter_must(read(counter, &n, sizeof(n)) == sizeof(n), "the cycle counter is gone");
	return n;
}

static struct cost one_round(const struct work *work)
{
	uint64_t ns = 0, cycles_spent = 0, done = 0;

	while (ns < ROUND_NS) {
		uint64_t first_cycle, start;

		if (work->prepare)
			work->prepare(work->arg);
		first_cycle = cycles();
		start = clock_ns();
		work->run(work->arg);
		ns += clock_ns() - start;
		cycles_spent += cycles() - first_cycle;
		done += work->n;
	}
	return (struct cost){ (double)ns / (double)done, (double)cycles_spent / (double)done };
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double values[ROUNDS])
{
	qsort(values, ROUNDS, sizeof(values[0]), compare);
	return values[ROUNDS / 2];
}

static struct cost measure(const struct work *work)
{
	double ns[ROUNDS], cycles_spent[ROUNDS];

	one_round(work); /* caches, predictors and frequency find their state */
	for (int i = 0; i < ROUNDS; i++) {
		struct cost cost = one_round(work);

		ns[i] = cost.ns;
		cycles_spent[i] = cost.cycles;
	}
	return (struct cost){ median(ns), median(cycles_spent) };
}

void meter_open(bool json, char *const *with_facts, size_t n)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_HARDWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_HW_CPU_CYCLES,
		.exclude_kernel = 1,
		.exclude_hv = 1,
	};
	cpu_set_t here;

	CPU_ZERO(&here);
	CPU_SET(sched_getcpu(), &here);
	if (sched_setaffinity(0, sizeof(here), &here) < 0)
		perror("staying on one core");
	counter = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	as_json = json;
	facts = with_facts;
	facts_n = n;
	if (as_json)
		return;
	for (size_t i = 0; i < facts_n; i++)
		printf("%s\n", facts[i]);
	printf("\n| %-8s | %-9s | %-17s | %5s | %7s | %8s | %7s |\n", "stage", "provider", "suite",
	       "bytes", "entries", "ns", "cycles");
	printf("|----------|-----------|-------------------|------:|--------:|---------:|--------:|\n");
}

static const char *number(char out[16], bool is_there, double value, int digits,
			  const char *nothing)
{
	if (is_there)
		snprintf(out, 16, "%.*f", digits, value);
	return is_there ? out : nothing;
}

static const char *quoted(char out[32], const char *text)
{
	if (text)
		snprintf(out, 32, "\"%s\"", text);
	return text ? out : "null";
}

static void print_json(const struct label *label, const struct cost *cost)
{
	char provider[32], suite[32], size[16], entries[16], cycles_spent[16];

	printf("{\"stage\": \"%s\", \"provider\": %s, \"suite\": %s, \"size\": %s, "
	       "\"entries\": %s, \"ns\": %.2f, \"cycles\": %s",
	       label->stage, quoted(provider, label->provider), quoted(suite, label->suite),
	       number(size, label->size, label->size, 0, "null"),
	       number(entries, label->entries, label->entries, 0, "null"), cost->ns,
	       number(cycles_spent, counter >= 0, cost->cycles, 1, "null"));
	for (size_t i = 0; i < facts_n; i++) {
		int name = (int)strcspn(facts[i], "=");

		printf(", \"%.*s\": \"%s\"", name, facts[i],
		       facts[i] + name + (facts[i][name] == '='));
	}
	printf("}\n");
}

void meter_print(const struct label *label, const struct work *work)
{
	char size[16], entries[16], cycles_spent[16];
	struct cost cost = measure(work);

	if (as_json)
		print_json(label, &cost);
	else
		printf("| %-8s | %-9s | %-17s | %5s | %7s | %8.1f | %7s |\n", label->stage,
		       label->provider ? label->provider : "", label->suite ? label->suite : "",
		       number(size, label->size, label->size, 0, ""),
		       number(entries, label->entries, label->entries, 0, ""), cost.ns,
		       number(cycles_spent, counter >= 0, cost.cycles, 0, "-"));
	fflush(stdout);
}
