/*
 * Leases of a Pool, against a list that is asked address by address.
 *
 * Pools are small, so that they are full all the time; peers come and go, and with them AllowedIPs
 * that lie inside the pool, around it, or on somebody's lease. Every few steps the leases are
 * written and read again, as by a restart, or lost. After each step: no address is two peers', all
 * lie where they may, who had one keeps it while it may be kept, and nobody was refused for whom
 * there was one. The seed of a failure is printed; CV_SEED= replays it.
 */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* cmocka.h needs what stands above it. */
#include <cmocka.h>

#include <convoy/config/lease.h>
#include <convoy/crypto/init.h>

#include "law.h"

enum {
	ROUNDS = 400,
	STEPS = 60,
	KEYS = 24,
	PREFIXES = 2, /* AllowedIPs of a peer */
	TEXT_MAX = KEYS * 120,
};

static struct cv_prefix addresses[CV_FAMILIES], allowed[KEYS][PREFIXES];
static struct cv_config config;
static bool is_peer[KEYS];
static struct cv_leases leases;

static struct cv_key key_of(uint32_t n)
{
	return (struct cv_key){ { (uint8_t)(n * 37 + 1), (uint8_t)n } };
}

static const struct cv_lease *lease_of(uint32_t n)
{
	const struct cv_key key = key_of(n);

	return cv_leases_find(&leases, &key);
}

/* The world ------------------------------------------------------------------------------- */

static struct cv_addr draw_addr(int family)
{
	struct cv_addr addr = config.pool.prefixes[family].addr;

	addr.b[cv_addr_size(addr.family) - 1] = (uint8_t)below(32);
	return addr;
}

static struct cv_prefix draw_prefix(void)
{
	int family = (int)below(CV_FAMILIES);
	struct cv_prefix prefix = { .addr = draw_addr(family) };

	prefix.bits = (uint8_t)(cv_addr_bits(prefix.addr.family) - (below(3) ? 0 : below(8)));
	if (below(3) == 0 && lease_of(below(KEYS)))
		prefix.addr = lease_of(below(KEYS)) ? prefix.addr : draw_addr(family);
	cv_prefix_mask(&prefix);
	return prefix;
}

static void draw_peer(uint32_t n)
{
	is_peer[n] = below(4) > 0;
	for (int i = 0; i < PREFIXES; i++)
		allowed[n][i] = below(6) ? (struct cv_prefix){ 0 } : draw_prefix();
}

static void draw_world(void)
{
	const struct cv_prefix pools[] = {
		{ { AF_INET, { 10, 77, 0, 0 } }, (uint8_t)(27 + below(4)) },
		{ { AF_INET6, { 0xfd } }, (uint8_t)(below(3) ? 123 + below(4) : 64) },
	};

	config = (struct cv_config){ .addresses = addresses, .n_addresses = CV_FAMILIES };
	for (int family = 0; family < CV_FAMILIES; family++) {
		config.pool.prefixes[family] = pools[family];
		addresses[family] = (struct cv_prefix){ draw_addr(family), 24 };
	}
	addresses[CV_IPV6].bits = 64;
	config.pool.dns[0] = draw_addr(CV_IPV4);
	config.pool.n_dns = below(2);
	for (uint32_t n = 0; n < KEYS; n++)
		draw_peer(n);
}

/* The model ------------------------------------------------------------------------------- */

static bool is_edge(int family, const struct cv_addr *addr)
{
	const struct cv_prefix *pool = &config.pool.prefixes[family];
	uint8_t last = addr->b[cv_addr_size(addr->family) - 1];
	unsigned hosts = cv_addr_bits(addr->family) - pool->bits;

	return last == 0 || (family == CV_IPV4 && (last & ((1 << hosts) - 1)) == (1 << hosts) - 1);
}

static bool is_ours(const struct cv_addr *addr)
{
	for (size_t i = 0; i < config.n_addresses; i++)
		if (cv_addr_equal(&addresses[i].addr, addr))
			return true;
	return config.pool.n_dns && cv_addr_equal(&config.pool.dns[0], addr);
}

static bool is_in_pool(int family, const struct cv_prefix *prefix)
{
	const struct cv_prefix *pool = &config.pool.prefixes[family];

	return prefix->bits >= pool->bits && cv_prefix_contains(pool, &prefix->addr);
}

/* Whether the AllowedIPs of a peer other than this one have it. */
static bool is_claimed(int family, const struct cv_addr *addr, uint32_t but)
{
	for (uint32_t n = 0; n < KEYS; n++)
		for (int i = 0; is_peer[n] && n != but && i < PREFIXES; i++)
			if (is_in_pool(family, &allowed[n][i]) &&
			    cv_prefix_contains(&allowed[n][i], addr))
				return true;
	return false;
}

/* Whether a peer has AllowedIPs in the pool beside this lease; KEYS is nobody. */
static bool has_own(int family, uint32_t n, const struct cv_addr *addr)
{
	for (int i = 0; n < KEYS && is_peer[n] && i < PREFIXES; i++)
		if (is_in_pool(family, &allowed[n][i]) &&
		    !(addr && cv_addr_equal(&allowed[n][i].addr, addr) &&
		      allowed[n][i].bits == cv_addr_bits(addr->family)))
			return true;
	return false;
}

static bool may_hold(int family, const struct cv_addr *addr, uint32_t n)
{
	return cv_prefix_contains(&config.pool.prefixes[family], addr) && !is_edge(family, addr) &&
	       !is_ours(addr) && !is_claimed(family, addr, n) && !has_own(family, n, addr);
}

static bool is_held(int family, const struct cv_addr *addr)
{
	for (uint32_t n = 0; n < KEYS; n++)
		if (lease_of(n) && lease_of(n)->holds[family] &&
		    cv_addr_equal(&lease_of(n)->addrs[family], addr))
			return true;
	return false;
}

/* Whether there is an address for a peer without one. */
static bool has_free(int family)
{
	struct cv_addr addr = config.pool.prefixes[family].addr;

	for (uint32_t n = 0; n < KEYS; n++)
		if (lease_of(n) && lease_of(n)->holds[family] && !is_peer[n])
			return true;
	for (uint32_t last = 0; last < 256; last++) {
		addr.b[cv_addr_size(addr.family) - 1] = (uint8_t)last;
		if (may_hold(family, &addr, KEYS) && !is_held(family, &addr))
			return true;
	}
	return false;
}

/* The laws -------------------------------------------------------------------------------- */

static void check_lease(const struct cv_lease *lease, uint32_t n, int family)
{
	assert_true(may_hold(family, &lease->addrs[family], n));
	for (uint32_t other = 0; other < n; other++)
		if (lease_of(other) && lease_of(other)->holds[family])
			assert_false(cv_addr_equal(&lease_of(other)->addrs[family],
						   &lease->addrs[family]));
}

static void check_all(void)
{
	for (uint32_t n = 0; n < KEYS; n++)
		for (int family = 0; lease_of(n) && family < CV_FAMILIES; family++)
			if (lease_of(n)->holds[family])
				check_lease(lease_of(n), n, family);
}

static void tell_all(void)
{
	cv_leases_begin(&leases, &config);
	for (uint32_t n = 0; n < KEYS; n++) {
		const struct cv_key key = key_of(n);

		if (!is_peer[n])
			continue;
		cv_leases_tell_peer(&leases, &key);
		for (int i = 0; i < PREFIXES; i++)
			if (allowed[n][i].addr.family)
				cv_leases_tell_prefix(&leases, &key, &allowed[n][i]);
	}
	assert_int_equal(cv_leases_settle(&leases), 0);
}

/* What had to be kept is there. */
static void check_kept(const struct cv_leases *before)
{
	for (size_t i = 0; i < before->n; i++) {
		const struct cv_lease *was = &before->list[i];
		const struct cv_lease *is = cv_leases_find(&leases, &was->public_key);

		for (int family = 0; family < CV_FAMILIES; family++) {
			if (!was->holds[family] ||
			    !may_hold(family, &was->addrs[family], was->public_key.b[1]))
				continue;
			assert_non_null(is);
			assert_true(is->holds[family]);
			assert_true(cv_addr_equal(&is->addrs[family], &was->addrs[family]));
		}
	}
}

static void no_flaw(void *arg, uint32_t line, const char *why)
{
	fail_msg("line %u: %s", line, why);
}

static void restart(void)
{
	struct cv_leases before = leases;
	char text[TEXT_MAX];
	size_t len = cv_leases_print(&leases, text, sizeof(text));

	assert_true(len < sizeof(text));
	assert_int_equal(cv_leases_parse(text, len, &leases, no_flaw, NULL), 0);
	tell_all();
	check_kept(&before);
	cv_leases_free(&before);
}

static void reload(void)
{
	struct cv_leases before = { .n = leases.n };

	before.list = malloc((leases.n + 1) * sizeof(*before.list));
	assert_non_null(before.list);
	if (leases.n)
		memcpy(before.list, leases.list, leases.n * sizeof(*before.list));
	for (int i = 0; i < 3; i++)
		draw_peer(below(KEYS));
	tell_all();
	check_kept(&before);
	free(before.list);
}

static void ask(uint32_t n)
{
	const struct cv_key key = key_of(n);
	const struct cv_lease *lease = lease_of(n);
	struct cv_addr had[CV_FAMILIES] = { 0 };
	bool wants[CV_FAMILIES], can = true;
	int r;

	for (int family = 0; family < CV_FAMILIES; family++) {
		if (lease && lease->holds[family])
			had[family] = lease->addrs[family];
		wants[family] = !has_own(family, n, lease ? &lease->addrs[family] : NULL);
		can &= !wants[family] || had[family].family || has_free(family);
	}
	r = cv_leases_take(&leases, &key, wants);
	assert_int_equal(r, can ? 0 : -ENOSPC);
	lease = lease_of(n);
	for (int family = 0; family < CV_FAMILIES; family++) {
		if (r == 0 && wants[family])
			assert_true(lease->holds[family]);
		if (had[family].family)
			assert_true(cv_addr_equal(&lease->addrs[family], &had[family]));
	}
}

static void no_address_is_two_peers_and_each_keeps_its_own(void)
{
	draw_world();
	tell_all();
	for (int step = 0; step < STEPS; step++) {
		uint32_t n = below(KEYS);

		switch (below(12)) {
		case 0:
			restart();
			break;
		case 1:
			reload();
			break;
		default:
			if (is_peer[n])
				ask(n);
		}
		check_all();
	}
	cv_leases_free(&leases);
}

/* The file is lost, and they come in another order: in a large pool nobody is in another's way. */
static void a_key_points_to_its_address(void)
{
	struct cv_leases before;

	draw_world();
	config.pool.prefixes[CV_IPV4] = (struct cv_prefix){ { AF_INET, { 10 } }, 8 };
	config.pool.prefixes[CV_IPV6].bits = 64;
	addresses[CV_IPV4].bits = 8;
	tell_all();
	for (uint32_t n = 0; n < KEYS / 2; n++)
		if (is_peer[n])
			ask(n);
	before = leases;
	leases = (struct cv_leases){ 0 };
	tell_all();
	for (uint32_t n = KEYS / 2; n-- > 0;)
		if (is_peer[n])
			ask(n);
	check_kept(&before);
	cv_leases_free(&before);
	cv_leases_free(&leases);
}

static void no_address_is_two_peers(void **state)
{
	for_all_seeds(ROUNDS, no_address_is_two_peers_and_each_keeps_its_own);
}

static void a_key_points(void **state)
{
	for_all_seeds(ROUNDS, a_key_points_to_its_address);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(no_address_is_two_peers, name_failed_seed),
		cmocka_unit_test_teardown(a_key_points, name_failed_seed),
	};

	if (cv_crypto_init())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
