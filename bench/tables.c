/*
 * tables: what a lookup costs.
 *
 * The path looks up a route once per super or run and an index once per run, so that a figure
 * here is shared by the packets of a train. The replay window is asked for each packet.
 *
 * Entries are drawn at random, from the same seed each time: IPv4 prefixes of 16 to 32 bits, of
 * which some lie inside others, and indices of 32 bits. What is looked up is there, and a thousand
 * lookups are done again and again: caches hold what they need, as they would for flows that live.
 */
#include "tables.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <convoy/noise/replay.h>
#include <convoy/peer/index.h>
#include <convoy/peer/routes.h>

#include "bare_end.h"
#include "meter.h"

enum {
	LOOKUPS = 1024,
	INDICES = 1000,
};

struct tables {
	struct end end; /* whose routes are replaced */
	struct cv_addr addrs[LOOKUPS];
	struct cv_index *index;
	struct cv_index_entry entries[INDICES];
	uint32_t wanted[LOOKUPS];
	struct cv_replay replay;
	uint64_t counter;
	uint64_t random;
};

static uint32_t draw(struct tables *tables)
{
	tables->random = tables->random * UINT64_C(6364136223846793005) + 1;
	return (uint32_t)(tables->random >> 32);
}

static void run_routes(void *arg)
{
	const struct tables *tables = arg;
	int found = 0;

	for (int i = 0; i < LOOKUPS; i++)
		found += !!cv_routes_lookup(tables->end.plane.routes, &tables->addrs[i]);
	meter_must(found == LOOKUPS, "a route was not found");
}

static void run_index(void *arg)
{
	const struct tables *tables = arg;
	int found = 0;

	for (int i = 0; i < LOOKUPS; i++)
		found += !!cv_index_lookup(tables->index, tables->wanted[i]);
	meter_must(found == LOOKUPS, "an index was not found");
}

static void run_replay(void *arg)
{
	struct tables *tables = arg;
	int accepted = 0;

	for (int i = 0; i < LOOKUPS; i++)
		accepted += cv_replay_accept(&tables->replay, tables->counter++);
	meter_must(accepted == LOOKUPS, "a counter was refused");
}

/* Replace the routes by n others, and draw addresses inside them. */
static void fill_routes(struct tables *tables, uint32_t n)
{
	struct cv_routes *routes = tables->end.plane.routes;
	struct cv_addr *inside = calloc(n, sizeof(*inside));

	meter_must(inside, "no memory");
	cv_routes_remove_peer(routes, tables->end.peer);
	cv_graveyard_bury(&tables->end.graveyard);
	for (uint32_t i = 0; i < n; i++) {
		struct cv_prefix prefix = { .addr.family = AF_INET };
		uint32_t bytes = draw(tables);

		memcpy(prefix.addr.b, &bytes, sizeof(bytes));
		prefix.bits = (uint8_t)(16 + draw(tables) % 17);
		inside[i] = prefix.addr;
		end_must(cv_routes_insert(routes, &prefix, tables->end.peer));
	}
	for (int i = 0; i < LOOKUPS; i++)
		tables->addrs[i] = inside[draw(tables) % n];
	free(inside);
}

static void fill_index(struct tables *tables)
{
	tables->index = cv_index_new(INDICES);
	meter_must(tables->index, "no memory");
	for (int i = 0; i < INDICES; i++) {
		struct cv_index_entry *entry = &tables->entries[i];

		entry->peer = tables->end.peer;
		do
			entry->index = draw(tables);
		while (cv_index_insert(tables->index, entry) < 0);
	}
	for (int i = 0; i < LOOKUPS; i++)
		tables->wanted[i] = tables->entries[draw(tables) % INDICES].index;
}

void tables_measure(void)
{
	static const uint32_t prefixes[] = { 1, 1000, 100000 };
	static const uint8_t key[32];
	struct tables *tables = calloc(1, sizeof(*tables));
	struct work routes = { .run = run_routes, .arg = tables, .n = LOOKUPS };
	struct work index = { .run = run_index, .arg = tables, .n = LOOKUPS };
	struct work replay = { .run = run_replay, .arg = tables, .n = LOOKUPS };

	meter_must(tables, "no memory");
	end_open(&tables->end, 1, key, key, 1);
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		fill_routes(tables, prefixes[i]);
		meter_print(&(struct label){ "routes", .entries = prefixes[i] }, &routes);
	}
	fill_index(tables);
	meter_print(&(struct label){ "index", .entries = INDICES }, &index);
	meter_print(&(struct label){ "replay" }, &replay);
	for (int i = 0; i < INDICES; i++)
		cv_index_remove(tables->index, &tables->entries[i]);
	cv_index_free(tables->index);
	end_close(&tables->end);
	free(tables);
}
