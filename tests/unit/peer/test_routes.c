/* AllowedIPs: the kernel's corner cases, the order of a dump, and that nothing stays behind. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* cmocka.h needs what stands above it. */
#include <cmocka.h>

#include <convoy/peer/peer.h>
#include <convoy/peer/routes.h>

static struct cv_peer a, b, c;
static struct cv_graveyard graveyard;
static struct cv_routes *routes;

static int set_up(void **state)
{
	(void)state;
	memset(&a.routes, 0, sizeof(a.routes));
	memset(&b.routes, 0, sizeof(b.routes));
	memset(&c.routes, 0, sizeof(c.routes));
	routes = cv_routes_new(&graveyard);
	return routes ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	cv_routes_free(routes);
	cv_graveyard_done(&graveyard);
	return 0;
}

static struct cv_prefix prefix(const char *text)
{
	struct cv_prefix prefix;

	assert_int_equal(cv_prefix_parse(text, &prefix), 0);
	return prefix;
}

static void insert(const char *text, struct cv_peer *peer)
{
	struct cv_prefix p = prefix(text);

	assert_int_equal(cv_routes_insert(routes, &p, peer), 0);
}

static bool drop(const char *text, struct cv_peer *peer)
{
	struct cv_prefix p = prefix(text);

	return cv_routes_remove(routes, &p, peer);
}

static struct cv_peer *owner(const char *text)
{
	struct cv_addr addr;

	assert_int_equal(cv_addr_parse(text, &addr), 0);
	return cv_routes_lookup(routes, &addr);
}

static void visit(void *arg, const struct cv_prefix *p)
{
	char text[CV_PREFIX_TEXT_MAX];

	strcat(strcat(arg, cv_prefix_format(p, text)), " ");
}

static void assert_list(const struct cv_peer *peer, const char *expected)
{
	char text[1024] = "";

	cv_routes_each(routes, peer, visit, text);
	assert_string_equal(text, expected);
}

static void empty_table_owns_nothing(void **state)
{
	const struct cv_addr none = { 0 };

	(void)state;
	assert_null(owner("1.2.3.4"));
	assert_null(owner("::1"));
	assert_null(cv_routes_lookup(routes, &none));
}

static void longest_prefix_wins_in_any_order_of_insertion(void **state)
{
	const char *const text[] = { "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24" };
	struct cv_peer *const peer[] = { &a, &b, &c };

	(void)state;
	for (int order = 0; order < 6; order++) {
		int first = order % 3, second = (first + 1 + order / 3) % 3;

		insert(text[first], peer[first]);
		insert(text[second], peer[second]);
		insert(text[3 - first - second], peer[3 - first - second]);
		assert_ptr_equal(owner("10.1.2.255"), &c);
		assert_ptr_equal(owner("10.1.3.0"), &b);
		assert_ptr_equal(owner("10.1.1.255"), &b);
		assert_ptr_equal(owner("10.2.2.2"), &a);
		assert_null(owner("11.1.2.3"));
		for (int i = 0; i < 3; i++)
			cv_routes_remove_peer(routes, peer[i]);
	}
}

static void default_routes_own_all_of_their_family(void **state)
{
	(void)state;
	insert("0.0.0.0/0", &a);
	assert_ptr_equal(owner("0.0.0.0"), &a);
	assert_ptr_equal(owner("255.255.255.255"), &a);
	assert_null(owner("::"));
	insert("::/0", &b);
	assert_ptr_equal(owner("::"), &b);
	assert_ptr_equal(owner("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), &b);
	assert_ptr_equal(owner("::ffff:1.2.3.4"), &b);
	assert_ptr_equal(owner("1.2.3.4"), &a);
}

static void host_prefixes_own_one_address(void **state)
{
	(void)state;
	insert("192.168.4.4/32", &a);
	insert("192.168.4.5/32", &b);
	insert("2607:5300:6006:6b0::c05f:543/128", &c);
	assert_ptr_equal(owner("192.168.4.4"), &a);
	assert_ptr_equal(owner("192.168.4.5"), &b);
	assert_null(owner("192.168.4.6"));
	assert_ptr_equal(owner("2607:5300:6006:6b0::c05f:543"), &c);
	assert_null(owner("2607:5300:6006:6b0::c05f:542"));
}

static void host_bits_are_masked(void **state)
{
	(void)state;
	insert("64.15.112.99/20", &a);
	insert("2607:5300:6006:6b0:dead:beef:0:1/64", &b);
	assert_ptr_equal(owner("64.15.112.0"), &a);
	assert_ptr_equal(owner("64.15.127.255"), &a);
	assert_null(owner("64.15.128.0"));
	assert_ptr_equal(owner("2607:5300:6006:6b0::"), &b);
	assert_list(&a, "64.15.112.0/20 ");
	assert_list(&b, "2607:5300:6006:6b0::/64 ");
	assert_true(drop("64.15.120.1/20", &a));
	assert_null(owner("64.15.112.0"));
}

/* 10.1.0.0/23 exists as a fork of the two halves, and as nobody's prefix. */
static void forks_own_nothing(void **state)
{
	(void)state;
	insert("10.0.0.0/8", &a);
	insert("10.1.0.0/25", &b);
	insert("10.1.1.0/25", &c);
	assert_ptr_equal(owner("10.1.0.1"), &b);
	assert_ptr_equal(owner("10.1.1.1"), &c);
	assert_ptr_equal(owner("10.1.0.200"), &a);
}

static void inserting_again_moves_a_prefix(void **state)
{
	(void)state;
	insert("10.0.0.0/24", &a);
	insert("10.0.1.0/24", &a);
	insert("10.0.0.0/24", &b);
	assert_ptr_equal(owner("10.0.0.1"), &b);
	assert_list(&a, "10.0.1.0/24 ");
	assert_list(&b, "10.0.0.0/24 ");
	cv_routes_remove_peer(routes, &a);
	assert_ptr_equal(owner("10.0.0.1"), &b);
}

static void list_is_in_order_of_insertion_and_a_repeated_one_goes_last(void **state)
{
	(void)state;
	insert("10.9.0.0/16", &a);
	insert("fd00::/8", &a);
	insert("10.0.0.0/8", &a);
	insert("10.1.0.0/16", &a);
	assert_list(&a, "10.9.0.0/16 fd00::/8 10.0.0.0/8 10.1.0.0/16 ");
	insert("fd00::/8", &a);
	assert_list(&a, "10.9.0.0/16 10.0.0.0/8 10.1.0.0/16 fd00::/8 ");
	assert_true(drop("10.0.0.0/8", &a));
	assert_list(&a, "10.9.0.0/16 10.1.0.0/16 fd00::/8 ");
}

static void removal_restores_the_covering_prefix(void **state)
{
	(void)state;
	insert("10.0.0.0/8", &a);
	insert("10.1.0.0/16", &b);
	insert("10.1.2.0/24", &c);
	assert_true(drop("10.1.0.0/16", &b));
	assert_ptr_equal(owner("10.1.3.1"), &a);
	assert_ptr_equal(owner("10.1.2.1"), &c);
	assert_true(drop("10.1.2.0/24", &c));
	assert_ptr_equal(owner("10.1.2.1"), &a);
	assert_true(drop("10.0.0.0/8", &a));
	assert_null(owner("10.1.2.1"));
}

static void removal_is_refused_to_all_but_the_owner(void **state)
{
	(void)state;
	insert("10.0.0.0/24", &a);
	insert("10.0.1.0/24", &a);
	assert_false(drop("10.0.0.0/24", &b));
	assert_false(drop("10.0.0.0/23", &a)); /* a fork stands there */
	assert_false(drop("10.0.0.0/25", &a));
	assert_false(drop("10.0.2.0/24", &a));
	assert_false(drop("::/0", &a));
	assert_ptr_equal(owner("10.0.0.1"), &a);
}

static void removing_a_peer_leaves_those_nested_in_it_and_around_it(void **state)
{
	(void)state;
	insert("0.0.0.0/0", &a);
	insert("10.0.0.0/8", &b);
	insert("10.1.0.0/16", &c);
	insert("10.1.2.0/24", &b);
	insert("10.1.2.3/32", &a);
	insert("fd00::/16", &b);
	cv_routes_remove_peer(routes, &b);
	assert_ptr_equal(owner("10.2.0.0"), &a);
	assert_ptr_equal(owner("10.1.2.4"), &c);
	assert_ptr_equal(owner("10.1.2.3"), &a);
	assert_null(owner("fd00::"));
	assert_list(&b, "");
	cv_routes_remove_peer(routes, &b);
}

/* The kernel once overflowed a stack of 128 nodes here. */
static void a_replacement_takes_away_only_what_it_does_not_insert(void **state)
{
	(void)state;
	insert("10.0.0.0/8", &a);
	insert("10.1.0.0/16", &a);
	insert("10.2.0.0/16", &b);
	cv_routes_replace_begin(routes);
	insert("10.0.0.0/8", &a);
	insert("fd00::/64", &a);
	assert_ptr_equal(owner("10.1.0.1"), &a);
	assert_ptr_equal(owner("10.9.0.1"), &a);
	cv_routes_replace_sweep(routes, &a);
	assert_list(&a, "10.0.0.0/8 fd00::/64 ");
	assert_list(&b, "10.2.0.0/16 ");
	cv_routes_replace_begin(routes);
	cv_routes_replace_sweep(routes, &a);
	assert_list(&a, "");
	assert_list(&b, "10.2.0.0/16 ");
}

static void chain_of_129_prefixes_is_walked_to_its_end(void **state)
{
	static struct cv_peer peers[129];
	struct cv_prefix p = prefix("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128");

	(void)state;
	memset(peers, 0, sizeof(peers));
	for (int bits = 0; bits <= 128; bits++) {
		p.bits = (uint8_t)bits;
		assert_int_equal(cv_routes_insert(routes, &p, &peers[bits]), 0);
	}
	for (int bits = 0; bits <= 128; bits++) {
		struct cv_addr addr = p.addr;

		if (bits < 128) /* the first bit that no longer fits */
			addr.b[bits / 8] ^= (uint8_t)(0x80 >> bits % 8);
		assert_ptr_equal(cv_routes_lookup(routes, &addr), &peers[bits]);
	}
	for (int bits = 0; bits <= 128; bits++)
		cv_routes_remove_peer(routes, &peers[bits]);
	assert_int_equal(graveyard.n, 129);
}

/* Three nodes for two neighbours: the fork goes with the first of them. */
static void forks_go_when_they_are_not_needed(void **state)
{
	(void)state;
	insert("10.0.0.0/24", &a);
	insert("10.0.1.0/24", &b);
	assert_true(drop("10.0.0.0/24", &a));
	assert_int_equal(graveyard.n, 2);
	assert_ptr_equal(owner("10.0.1.1"), &b);
	assert_true(drop("10.0.1.0/24", &b));
	assert_int_equal(graveyard.n, 3);
}

/* A prefix with two below stays as their fork, and goes when it loses one. */
static void owner_turns_into_fork_and_fork_into_owner(void **state)
{
	(void)state;
	insert("10.0.0.0/24", &a);
	insert("10.0.1.0/24", &b);
	insert("10.0.0.0/23", &c);
	assert_true(drop("10.0.0.0/23", &c));
	assert_int_equal(graveyard.n, 0);
	insert("10.0.0.0/23", &c);
	cv_routes_remove_peer(routes, &a);
	assert_ptr_equal(owner("10.0.0.1"), &c);
	assert_ptr_equal(owner("10.0.1.1"), &b);
	assert_int_equal(graveyard.n, 1);
}

static void hundred_thousand_prefixes_load_and_answer(void **state)
{
	enum { PREFIXES = 100000 };
	struct cv_prefix p = { .addr.family = AF_INET6, .bits = 64 };

	(void)state;
	for (uint32_t i = 0; i < PREFIXES; i++) {
		uint32_t where = i * 2654435761u;

		memcpy(p.addr.b + 2, &where, sizeof(where));
		assert_int_equal(cv_routes_insert(routes, &p, i % 2 ? &a : &b), 0);
	}
	for (uint32_t i = 0; i < PREFIXES; i++) {
		uint32_t where = i * 2654435761u;

		memcpy(p.addr.b + 2, &where, sizeof(where));
		assert_ptr_equal(cv_routes_lookup(routes, &p.addr), i % 2 ? &a : &b);
	}
	cv_routes_remove_peer(routes, &a);
	cv_routes_remove_peer(routes, &b);
	assert_int_equal(graveyard.n, 2 * PREFIXES - 1);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(empty_table_owns_nothing),
		CASE(longest_prefix_wins_in_any_order_of_insertion),
		CASE(default_routes_own_all_of_their_family),
		CASE(host_prefixes_own_one_address),
		CASE(host_bits_are_masked),
		CASE(forks_own_nothing),
		CASE(inserting_again_moves_a_prefix),
		CASE(list_is_in_order_of_insertion_and_a_repeated_one_goes_last),
		CASE(removal_restores_the_covering_prefix),
		CASE(removal_is_refused_to_all_but_the_owner),
		CASE(removing_a_peer_leaves_those_nested_in_it_and_around_it),
		CASE(a_replacement_takes_away_only_what_it_does_not_insert),
		CASE(chain_of_129_prefixes_is_walked_to_its_end),
		CASE(forks_go_when_they_are_not_needed),
		CASE(owner_turns_into_fork_and_fork_into_owner),
		CASE(hundred_thousand_prefixes_load_and_answer),
	};

	return cmocka_run_group_tests_name("routes", tests, NULL, NULL);
}
