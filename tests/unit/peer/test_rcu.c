/* The grace period: nothing is freed under a reader, and the writer never waits for itself. */
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* cmocka.h needs what stands above it. */
#include <cmocka.h>

#include <convoy/peer/index.h>
#include <convoy/peer/peer.h>
#include <convoy/peer/rcu.h>
#include <convoy/peer/routes.h>

enum { READERS = 2, CHANGES = 3000 };

static struct cv_graveyard graveyard;

static void count(void *what)
{
	++*(int *)what;
}

static void burying_nothing_is_fine(void **state)
{
	(void)state;
	cv_graveyard_bury(&graveyard);
	cv_graveyard_done(&graveyard);
}

static void everything_added_is_released_once(void **state)
{
	int n[100] = { 0 };

	(void)state;
	for (int i = 0; i < 100; i++)
		cv_graveyard_add(&graveyard, &n[i], count);
	for (int i = 0; i < 100; i++)
		assert_int_equal(n[i], 0);
	cv_graveyard_bury(&graveyard);
	cv_graveyard_bury(&graveyard);
	for (int i = 0; i < 100; i++)
		assert_int_equal(n[i], 1);
	cv_graveyard_add(&graveyard, &n[0], count);
	cv_graveyard_done(&graveyard);
	assert_int_equal(n[0], 2);
}

static void online_reader_may_bury(void **state)
{
	int n = 0;

	(void)state;
	cv_rcu_register();
	cv_graveyard_add(&graveyard, &n, count);
	cv_graveyard_bury(&graveyard);
	assert_int_equal(n, 1);
	cv_rcu_quiescent();
	cv_rcu_offline();
	cv_graveyard_add(&graveyard, &n, count);
	cv_graveyard_done(&graveyard);
	cv_rcu_online();
	cv_rcu_unregister();
	assert_int_equal(n, 2);
}

static int published, about_to_bury;

static void *bury(void *arg)
{
	(void)arg;
	cv_graveyard_add(&graveyard, &published, count);
	__atomic_store_n(&about_to_bury, 1, __ATOMIC_RELEASE);
	cv_graveyard_done(&graveyard);
	return NULL;
}

/* The reader goes on for long enough that a release which does not wait would come meanwhile. */
static void burying_waits_for_a_reader_who_is_not_quiescent(void **state)
{
	pthread_t writer;

	(void)state;
	cv_rcu_register();
	assert_int_equal(pthread_create(&writer, NULL, bury, NULL), 0);
	while (!__atomic_load_n(&about_to_bury, __ATOMIC_ACQUIRE))
		sched_yield();
	for (int i = 0; i < 2000; i++) {
		assert_int_equal(*(volatile int *)&published, 0);
		sched_yield();
	}
	cv_rcu_offline();
	pthread_join(writer, NULL);
	cv_rcu_online();
	assert_int_equal(published, 1);
	cv_rcu_unregister();
}

/*
 * Two readers look up what a writer replaces and frees. What is freed is first made unlike anything
 * alive, so a reader who still holds it tells; the sanitizers tell of more.
 */
enum { ALIVE = 0x600d, DEAD = 0xdead };

struct session {
	struct cv_index_entry entry;
	int life;
};

static struct cv_routes *routes;
static struct cv_index *table;
static unsigned ready, confused;
static bool is_over;

static void bury_session(void *what)
{
	struct session *session = what;

	session->life = DEAD;
	free(session);
}

static unsigned look(const struct cv_addr *addr, uint32_t index)
{
	const struct cv_peer *peer = cv_routes_lookup(routes, addr);
	const struct cv_index_entry *entry = cv_index_lookup(table, index);
	unsigned wrong = !peer;

	/* Used long after it was found, as a burst does. */
	for (int i = 0; entry && i < 20; i++)
		wrong += entry->index != index || ((const struct session *)entry)->life != ALIVE;
	return wrong;
}

static void *reader(void *arg)
{
	const struct cv_addr addr = { AF_INET, { 10, 1, 2, 3 } };

	(void)arg;
	cv_rcu_register();
	__atomic_fetch_add(&ready, 1, __ATOMIC_RELEASE);
	for (unsigned turn = 0; !__atomic_load_n(&is_over, __ATOMIC_ACQUIRE); turn++) {
		unsigned wrong = look(&addr, 64 * (turn % 4));

		__atomic_fetch_add(&confused, wrong, __ATOMIC_RELAXED);
		if (turn % 8) {
			cv_rcu_quiescent();
		} else {
			cv_rcu_offline();
			cv_rcu_online();
		}
	}
	cv_rcu_unregister();
	return NULL;
}

static struct session *enter(uint32_t index)
{
	struct session *session = calloc(1, sizeof(*session));

	assert_non_null(session);
	session->life = ALIVE;
	session->entry.index = index;
	assert_int_equal(cv_index_insert(table, &session->entry), 0);
	return session;
}

/* A default route stays, so that there is always an owner; the prefixes below it come and go. */
static void change(struct cv_peer *peer, struct session **sessions, unsigned turn)
{
	const unsigned at = turn % 4;
	struct cv_prefix prefix = { { AF_INET, { 10, 1, 2, 3 } }, (uint8_t)(1 + turn * 7 % 32) };

	assert_int_equal(cv_routes_insert(routes, &prefix, peer), 0);
	prefix.bits = (uint8_t)(1 + turn * 5 % 32);
	cv_routes_remove(routes, &prefix, peer);
	prefix.addr.b[3] = (uint8_t)turn; /* forks beside the way */
	assert_int_equal(cv_routes_insert(routes, &prefix, peer), 0);
	if (turn % 64 == 0)
		cv_routes_remove_peer(routes, peer);

	cv_index_remove(table, &sessions[at]->entry);
	cv_graveyard_add(&graveyard, sessions[at], bury_session);
	sessions[at] = enter(64 * at); /* all in one chain */
	cv_graveyard_bury(&graveyard);
}

static void readers_never_see_what_was_freed(void **state)
{
	static struct cv_peer covering, peer;
	const struct cv_prefix everything = { { AF_INET, { 0 } }, 0 };
	struct session *sessions[4];
	pthread_t readers[READERS];

	(void)state;
	routes = cv_routes_new(&graveyard);
	table = cv_index_new(1);
	assert_int_equal(cv_routes_insert(routes, &everything, &covering), 0);
	for (uint32_t i = 0; i < 4; i++)
		sessions[i] = enter(64 * i);
	for (int i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&readers[i], NULL, reader, NULL), 0);
	while (__atomic_load_n(&ready, __ATOMIC_ACQUIRE) < READERS)
		sched_yield();
	for (unsigned turn = 0; turn < CHANGES; turn++)
		change(&peer, sessions, turn);
	__atomic_store_n(&is_over, true, __ATOMIC_RELEASE);
	for (int i = 0; i < READERS; i++)
		pthread_join(readers[i], NULL);
	assert_int_equal(confused, 0);

	for (int i = 0; i < 4; i++)
		free(sessions[i]);
	cv_graveyard_done(&graveyard);
	cv_routes_free(routes);
	cv_index_free(table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(burying_nothing_is_fine),
		cmocka_unit_test(everything_added_is_released_once),
		cmocka_unit_test(online_reader_may_bury),
		cmocka_unit_test(burying_waits_for_a_reader_who_is_not_quiescent),
		cmocka_unit_test(readers_never_see_what_was_freed),
	};

	return cmocka_run_group_tests_name("rcu", tests, NULL, NULL);
}
