/* The queue of wishes: every bit arrives, every wake is needed, and removed peers leave for good.
 */
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

#include <convoy/crypto/init.h>
#include <convoy/peer/peer.h>

enum { PEERS = 3, WORKERS = 2, RACES = 100000 };

static const uint8_t hash_key[16];
static struct cv_peers *peers;
static struct cv_peer *peer[PEERS];
static struct cv_wishes wishes;

static int set_up(void **state)
{
	(void)state;
	peers = cv_peers_new(hash_key);
	for (uint8_t i = 0; i < PEERS; i++)
		if (cv_peers_add(peers, (uint8_t[32]){ i }, &peer[i]) < 0)
			return -1;
	cv_wishes_init(&wishes);
	return 0;
}

static int tear_down(void **state)
{
	struct cv_peer *left;

	(void)state;
	while ((left = cv_peers_next(peers, NULL))) {
		cv_peers_remove(peers, left);
		cv_peer_release(left);
	}
	cv_peers_free(peers);
	return 0;
}

static void assert_none(void)
{
	uint32_t bits = 77;

	assert_null(cv_wishes_take(&wishes, &bits));
	assert_int_equal(bits, 77);
}

static void assert_taken(struct cv_peer *expected, uint32_t expected_bits)
{
	uint32_t bits;

	assert_ptr_equal(cv_wishes_take(&wishes, &bits), expected);
	assert_int_equal(bits, expected_bits);
}

static void nobody_wishes_at_first(void **state)
{
	(void)state;
	assert_none();
}

static void only_the_first_wish_wakes(void **state)
{
	(void)state;
	assert_true(cv_wishes_add(&wishes, peer[0], CV_WISH_PLAN));
	assert_false(cv_wishes_add(&wishes, peer[0], CV_WISH_PLAN));
	assert_false(cv_wishes_add(&wishes, peer[1], CV_WISH_PLAN));
	assert_taken(peer[1], CV_WISH_PLAN);
	assert_taken(peer[0], CV_WISH_PLAN);
	assert_none();
	assert_true(cv_wishes_add(&wishes, peer[1], CV_WISH_PLAN));
	assert_taken(peer[1], CV_WISH_PLAN);
}

static void wishes_of_one_peer_come_together(void **state)
{
	(void)state;
	cv_wishes_add(&wishes, peer[0], CV_WISH_PLAN);
	cv_wishes_add(&wishes, peer[0], CV_WISH_HANDSHAKE);
	cv_wishes_add(&wishes, peer[0], CV_WISH_CONFIRM | CV_WISH_PLAN);
	assert_taken(peer[0], CV_WISH_PLAN | CV_WISH_HANDSHAKE | CV_WISH_CONFIRM);
	assert_none();
}

static void wish_made_while_others_are_served_is_served_after_them(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		cv_wishes_add(&wishes, peer[i], CV_WISH_PLAN);
	assert_taken(peer[2], CV_WISH_PLAN);
	cv_wishes_add(&wishes, peer[2], CV_WISH_HANDSHAKE);
	cv_wishes_add(&wishes, peer[0], CV_WISH_HANDSHAKE); /* not taken yet: rides along */
	assert_taken(peer[1], CV_WISH_PLAN);
	assert_taken(peer[0], CV_WISH_PLAN | CV_WISH_HANDSHAKE);
	assert_taken(peer[2], CV_WISH_HANDSHAKE);
	assert_none();
}

static void removed_peer_is_not_taken(void **state)
{
	(void)state;
	cv_wishes_add(&wishes, peer[0], CV_WISH_PLAN);
	cv_wishes_add(&wishes, peer[1], CV_WISH_PLAN);
	cv_wishes_add(&wishes, peer[2], CV_WISH_PLAN);
	cv_peers_remove(peers, peer[1]);
	assert_taken(peer[2], CV_WISH_PLAN);
	assert_taken(peer[0], CV_WISH_PLAN);
	assert_none();
	cv_peer_release(peer[1]);
}

static void wish_of_a_removed_peer_is_not_heard(void **state)
{
	(void)state;
	cv_peers_remove(peers, peer[0]);
	assert_false(cv_wishes_add(&wishes, peer[0], CV_WISH_PLAN));
	assert_none();
	cv_peer_release(peer[0]);
}

/* The address sanitizer sees both: the walk over what was freed, and what never is. */
static void peer_released_in_the_queue_is_freed_when_it_comes_by(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		cv_wishes_add(&wishes, peer[i], CV_WISH_PLAN);
	cv_peers_remove(peers, peer[1]);
	cv_peer_release(peer[1]);
	assert_taken(peer[2], CV_WISH_PLAN);
	assert_taken(peer[0], CV_WISH_PLAN);
	assert_none();
}

static void peer_removed_while_the_queue_is_served_is_freed_once(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		cv_wishes_add(&wishes, peer[i], CV_WISH_PLAN);
	assert_taken(peer[2], CV_WISH_PLAN);
	cv_peers_remove(peers, peer[1]);
	cv_peers_remove(peers, peer[2]);
	cv_peer_release(peer[1]);
	cv_peer_release(peer[2]);
	assert_taken(peer[0], CV_WISH_PLAN);
	assert_none();
}

static void peers_left_in_the_queue_are_freed_at_the_end(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		cv_wishes_add(&wishes, peer[i], CV_WISH_PLAN);
}

/*
 * Races. In each, every worker writes its number and wishes once, while control, which is awake
 * because of a wish that was there before, takes until there is nothing. When all are done, control
 * looks again only if a worker was told to wake it. By then it must have met every wish, and read
 * what was written before it.
 */
static struct {
	unsigned started, done; /* races; the second counts every worker */
	unsigned wakes;
	unsigned written[WORKERS], read[WORKERS];
} race;

static void await(const unsigned *counter, unsigned value)
{
	for (unsigned spins = 0; __atomic_load_n(counter, __ATOMIC_ACQUIRE) != value; spins++)
		if (spins % 1024 == 1023)
			sched_yield();
}

static void linger(unsigned n)
{
	for (volatile unsigned i = 0; i < n; i++)
		;
}

static void *worker(void *arg)
{
	unsigned self = (unsigned)(uintptr_t)arg;

	for (unsigned i = 1; i <= RACES; i++) {
		await(&race.started, i);
		linger(self * i % 16);
		__atomic_store_n(&race.written[self], i, __ATOMIC_RELAXED);
		if (cv_wishes_add(&wishes, peer[i % 2], 1u << self))
			__atomic_fetch_add(&race.wakes, 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&race.done, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void take_all(void)
{
	uint32_t bits;

	while (cv_wishes_take(&wishes, &bits))
		for (unsigned i = 0; i < WORKERS; i++)
			if (bits >> i & 1)
				race.read[i] = __atomic_load_n(&race.written[i], __ATOMIC_RELAXED);
}

static void race_against(unsigned n_workers)
{
	pthread_t workers[WORKERS];
	unsigned lost = 0;

	memset(&race, 0, sizeof(race));
	for (uintptr_t i = 0; i < n_workers; i++)
		assert_int_equal(pthread_create(&workers[i], NULL, worker, (void *)i), 0);
	for (unsigned i = 1; i <= RACES; i++) {
		race.wakes = 0;
		cv_wishes_add(&wishes, peer[i / 2 % 2], 1u << i % 3);
		__atomic_store_n(&race.started, i, __ATOMIC_RELEASE);
		linger(i % 128);
		take_all();
		await(&race.done, i * n_workers);
		if (race.wakes)
			take_all();
		for (unsigned w = 0; w < n_workers; w++)
			lost += race.read[w] != i;
	}
	for (unsigned i = 0; i < n_workers; i++)
		pthread_join(workers[i], NULL);
	assert_int_equal(lost, 0);
}

static void no_wish_and_no_wake_is_lost_to_control(void **state)
{
	(void)state;
	race_against(1);
}

static void no_wish_and_no_wake_is_lost_among_workers(void **state)
{
	(void)state;
	race_against(WORKERS);
}

static int init_crypto(void **state)
{
	(void)state;
	return cv_crypto_init();
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(nobody_wishes_at_first),
		CASE(only_the_first_wish_wakes),
		CASE(wishes_of_one_peer_come_together),
		CASE(wish_made_while_others_are_served_is_served_after_them),
		CASE(removed_peer_is_not_taken),
		CASE(wish_of_a_removed_peer_is_not_heard),
		CASE(peer_released_in_the_queue_is_freed_when_it_comes_by),
		CASE(peer_removed_while_the_queue_is_served_is_freed_once),
		CASE(peers_left_in_the_queue_are_freed_at_the_end),
		CASE(no_wish_and_no_wake_is_lost_to_control),
		CASE(no_wish_and_no_wake_is_lost_among_workers),
	};

	return cmocka_run_group_tests_name("wishes", tests, init_crypto, NULL);
}
