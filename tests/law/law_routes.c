/*
 * AllowedIPs are what a list says that is searched from end to end, longest prefix first.
 *
 * Prefixes are dense: their addresses differ in a few bits only, which lie anywhere, so that they
 * nest, meet, and come again all the time. After every change some addresses are looked up in both;
 * at the end each peer's prefixes must come in the same order. The seed of a failure is printed;
 * CV_SEED= replays it.
 */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* cmocka.h needs what stands above it. */
#include <cmocka.h>

#include <convoy/peer/peer.h>
#include <convoy/peer/routes.h>

#include "law.h"

enum {
	ROUNDS = 1500,
	CHANGES = 120,
	LOOKUPS = 12,
	PEERS = 6,
	VARYING_BITS = 6,
};

/* The model: a list in order of insertion, over all peers. */
struct entry {
	struct cv_prefix prefix;
	struct cv_peer *peer;
};

static struct {
	struct entry entries[CHANGES];
	size_t n;
} model;

static bool model_remove(const struct cv_prefix *prefix, const struct cv_peer *peer)
{
	for (size_t i = 0; i < model.n; i++) {
		struct entry *entry = &model.entries[i];

		if (!cv_prefix_equal(&entry->prefix, prefix) || (peer && entry->peer != peer))
			continue;
		memmove(entry, entry + 1, (--model.n - i) * sizeof(*entry));
		return true;
	}
	return false;
}

static void model_insert(const struct cv_prefix *prefix, struct cv_peer *peer)
{
	model_remove(prefix, NULL);
	model.entries[model.n++] = (struct entry){ *prefix, peer };
}

static void model_remove_peer(const struct cv_peer *peer)
{
	size_t kept = 0;

	for (size_t i = 0; i < model.n; i++)
		if (model.entries[i].peer != peer)
			model.entries[kept++] = model.entries[i];
	model.n = kept;
}

static struct cv_peer *model_lookup(const struct cv_addr *addr)
{
	const struct entry *best = NULL;

	for (size_t i = 0; i < model.n; i++) {
		const struct entry *entry = &model.entries[i];

		if (cv_prefix_contains(&entry->prefix, addr) &&
		    (!best || entry->prefix.bits > best->prefix.bits))
			best = entry;
	}
	return best ? best->peer : NULL;
}

/* What varies in this round. */
static struct cv_peer peers[PEERS];
static struct cv_graveyard graveyard;
static struct cv_routes *routes;
static uint8_t varying[VARYING_BITS]; /* numbers of the bits in which addresses differ */

static struct cv_addr any_addr(void)
{
	struct cv_addr addr = { .family = below(2) ? AF_INET : AF_INET6 };
	unsigned bits = cv_addr_bits(addr.family);

	memset(addr.b, 0x5a, bits / 8);
	for (int i = 0; i < VARYING_BITS; i++) {
		unsigned bit = varying[i] % bits;

		if (below(2))
			addr.b[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
	}
	return addr;
}

/* Ends of prefixes lie beside the varying bits, at the ends of the address, or anywhere. */
static struct cv_prefix any_prefix(void)
{
	struct cv_prefix prefix = { .addr = any_addr() };
	unsigned bits = cv_addr_bits(prefix.addr.family);

	if (below(4))
		prefix.bits = (uint8_t)(varying[below(VARYING_BITS)] % bits + below(2));
	else
		prefix.bits = (uint8_t)(below(3) ? below(bits + 1) : below(2) * bits);
	return prefix;
}

static void change(void)
{
	struct cv_prefix prefix = any_prefix(), masked = prefix;
	struct cv_peer *peer = &peers[below(PEERS)];
	uint32_t what = below(20);

	cv_prefix_mask(&masked);
	if (what < 12) {
		assert_int_equal(cv_routes_insert(routes, &prefix, peer), 0);
		model_insert(&masked, peer);
	} else if (what < 19) {
		if (model.n && below(2)) {
			const struct entry *known = &model.entries[below((uint32_t)model.n)];

			prefix = masked = known->prefix;
			peer = known->peer;
		}
		assert_int_equal(cv_routes_remove(routes, &prefix, peer),
				 model_remove(&masked, peer));
	} else {
		cv_routes_remove_peer(routes, peer);
		model_remove_peer(peer);
	}
}

struct listing {
	const struct cv_peer *peer;
	size_t at;
};

static void expect_next(void *arg, const struct cv_prefix *prefix)
{
	struct listing *listing = arg;

	while (listing->at < model.n && model.entries[listing->at].peer != listing->peer)
		listing->at++;
	assert_true(listing->at < model.n);
	assert_true(cv_prefix_equal(&model.entries[listing->at++].prefix, prefix));
}

static void lists_are_the_same(void)
{
	for (int i = 0; i < PEERS; i++) {
		struct listing listing = { &peers[i], 0 };

		cv_routes_each(routes, &peers[i], expect_next, &listing);
		while (listing.at < model.n)
			assert_ptr_not_equal(model.entries[listing.at++].peer, &peers[i]);
	}
}

static void routes_are_the_model(void)
{
	memset(peers, 0, sizeof(peers));
	memset(&model, 0, sizeof(model));
	routes = cv_routes_new(&graveyard);
	assert_non_null(routes);
	for (int i = 0; i < VARYING_BITS; i++)
		varying[i] = (uint8_t)below(128);
	for (int i = 0; i < CHANGES; i++) {
		change();
		for (int j = 0; j < LOOKUPS; j++) {
			struct cv_addr addr = any_addr();

			assert_ptr_equal(cv_routes_lookup(routes, &addr), model_lookup(&addr));
		}
	}
	lists_are_the_same();
	cv_routes_free(routes);
	cv_graveyard_done(&graveyard);
}

static void routes_are_a_list_searched_from_end_to_end(void **state)
{
	(void)state;
	for_all_seeds(ROUNDS, routes_are_the_model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(routes_are_a_list_searched_from_end_to_end,
					  name_failed_seed),
	};

	return cmocka_run_group_tests_name("routes", tests, NULL, NULL);
}
