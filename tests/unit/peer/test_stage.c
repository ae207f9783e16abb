/* Staged packets: their order, their bounds, their wiping, and the race with a new session. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* cmocka.h needs what stands above it. */
#include <cmocka.h>

/* The source itself, so that a case can look into blocks that are at home. */
#include "../../../src/peer/stage.c"

enum { SUPER_SIZE = 65535 };

static struct cv_stage_pool *pool;
static struct cv_stage stage, other;
static struct cv_drops drops;
static uint8_t bytes[SUPER_SIZE], out[SUPER_SIZE];

static int set_up(void **state)
{
	(void)state;
	pool = cv_stage_pool_new();
	cv_stage_init(&stage);
	cv_stage_init(&other);
	memset(&drops, 0, sizeof(drops));
	return pool ? 0 : -1;
}

/* Also checks, in cv_stage_pool_free(), that every block came home. */
static int tear_down(void **state)
{
	(void)state;
	cv_stage_purge(&stage, pool, &drops, CV_DROP_STAGE_PURGED);
	cv_stage_purge(&other, pool, &drops, CV_DROP_STAGE_PURGED);
	cv_stage_pool_free(pool);
	return 0;
}

static void push(struct cv_stage *to, uint8_t mark, uint32_t len)
{
	memset(bytes, mark, len);
	cv_stage_lock(to);
	cv_stage_push(to, pool, bytes, len, &drops);
	cv_stage_unlock(to);
}

static int pop(struct cv_stage *from, uint32_t size)
{
	int len;

	cv_stage_lock(from);
	len = cv_stage_pop(from, pool, out, size);
	cv_stage_unlock(from);
	return len;
}

static uint64_t full(void)
{
	return drops.count[CV_DROP_STAGE_FULL];
}

static void packets_come_back_whole_and_in_order(void **state)
{
	static const uint32_t lens[] = { 1, 100, DATA_SIZE, DATA_SIZE + 1, 9000, SUPER_SIZE };

	(void)state;
	for (uint8_t i = 0; i < 6; i++)
		push(&stage, i, lens[i]);
	for (uint8_t i = 0; i < 6; i++) {
		memset(bytes, i, lens[i]);
		assert_int_equal(pop(&stage, sizeof(out)), lens[i]);
		assert_memory_equal(out, bytes, lens[i]);
	}
	assert_int_equal(pop(&stage, sizeof(out)), 0);
	assert_int_equal(full(), 0);
}

static void bytes_keep_their_order_across_blocks(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < SUPER_SIZE; i++)
		bytes[i] = (uint8_t)(i * 31 + i / 251);
	cv_stage_lock(&stage);
	cv_stage_push(&stage, pool, bytes, SUPER_SIZE, &drops);
	cv_stage_unlock(&stage);
	assert_int_equal(pop(&stage, sizeof(out)), SUPER_SIZE);
	assert_memory_equal(out, bytes, SUPER_SIZE);
}

static void too_small_a_buffer_changes_nothing(void **state)
{
	(void)state;
	push(&stage, 7, 100);
	assert_int_equal(pop(&stage, 99), -ENOSPC);
	assert_int_equal(stage.pkts, 1);
	assert_int_equal(pop(&stage, 100), 100);
}

static void more_than_the_limit_drops_the_oldest(void **state)
{
	(void)state;
	for (int i = 0; i < CV_STAGE_MAX_PKTS + 3; i++)
		push(&stage, (uint8_t)i, 40);
	assert_int_equal(stage.pkts, CV_STAGE_MAX_PKTS);
	assert_int_equal(full(), 3);
	for (int i = 3; i < CV_STAGE_MAX_PKTS + 3; i++) {
		assert_int_equal(pop(&stage, sizeof(out)), 40);
		assert_int_equal(out[39], (uint8_t)i);
	}
	assert_int_equal(pop(&stage, sizeof(out)), 0);
}

/* CV_STAGE_POOL_BLOCKS divided by 128 is 16 blocks a packet. */
static void fill_pool(struct cv_stage *from)
{
	for (int i = 0; i < CV_STAGE_MAX_PKTS; i++)
		push(from, 1, CV_STAGE_POOL_BLOCKS / CV_STAGE_MAX_PKTS * DATA_SIZE);
	assert_int_equal(full(), 0);
	assert_int_equal(from->pkts, CV_STAGE_MAX_PKTS);
}

static void empty_pool_drops_the_new_packet_of_a_peer_without_others(void **state)
{
	(void)state;
	fill_pool(&other);
	push(&stage, 9, 40);
	assert_int_equal(stage.pkts, 0);
	assert_int_equal(full(), 1);
	assert_int_equal(other.pkts, CV_STAGE_MAX_PKTS);
}

static void empty_pool_drops_the_oldest_of_the_same_peer(void **state)
{
	(void)state;
	push(&stage, 1, 40);
	push(&stage, 2, 40);
	for (int i = 0; i < 63; i++)
		push(&other, 3, 32 * DATA_SIZE);
	push(&other, 3, 30 * DATA_SIZE);
	assert_int_equal(full(), 0);

	push(&stage, 4, 40);
	assert_int_equal(full(), 1);
	assert_int_equal(pop(&stage, sizeof(out)), 40);
	assert_int_equal(out[0], 2);
	assert_int_equal(pop(&stage, sizeof(out)), 40);
	assert_int_equal(out[0], 4);
}

static void packet_that_finds_no_room_even_so_is_dropped_too(void **state)
{
	(void)state;
	push(&stage, 1, 40);
	push(&stage, 2, 40);
	for (int i = 0; i < 63; i++)
		push(&other, 3, 32 * DATA_SIZE);
	push(&other, 3, 30 * DATA_SIZE);

	push(&stage, 4, 2 * DATA_SIZE);
	assert_int_equal(full(), 2);
	assert_int_equal(stage.pkts, 1);
	assert_int_equal(pop(&stage, sizeof(out)), 40);
	assert_int_equal(out[0], 2);
}

static void blocks_that_came_home_are_used_again(void **state)
{
	(void)state;
	for (int round = 0; round < 3; round++) {
		fill_pool(&stage);
		while (pop(&stage, sizeof(out)) > 0)
			;
	}
	assert_int_equal(pool->fresh, CV_STAGE_POOL_BLOCKS);
}

static void purge_empties_and_counts_under_its_reason(void **state)
{
	(void)state;
	push(&stage, 1, 40);
	push(&stage, 2, 9000);
	push(&other, 3, 40);
	assert_int_equal(cv_stage_purge(&stage, pool, &drops, CV_DROP_STAGE_PURGED), 2);
	assert_int_equal(drops.count[CV_DROP_STAGE_PURGED], 2);
	assert_int_equal(pop(&stage, sizeof(out)), 0);
	assert_int_equal(other.pkts, 1);
	assert_int_equal(cv_stage_purge(&stage, pool, &drops, CV_DROP_STAGE_PURGED), 0);
	push(&stage, 4, 40);
	assert_int_equal(pop(&stage, sizeof(out)), 40);
}

static void blocks_at_home_hold_no_plaintext(void **state)
{
	const uint8_t mark = 0xa7;

	(void)state;
	memset(pool->blocks, 0, CV_STAGE_POOL_BLOCKS * sizeof(*pool->blocks));
	push(&stage, mark, 9000);
	push(&stage, mark, 100);
	push(&stage, mark, SUPER_SIZE);
	assert_int_equal(pop(&stage, sizeof(out)), 9000);
	cv_stage_purge(&stage, pool, &drops, CV_DROP_STAGE_PURGED);
	for (int i = 0; i < CV_STAGE_MAX_PKTS + 1; i++)
		push(&other, mark, 40);
	cv_stage_purge(&other, pool, &drops, CV_DROP_STAGE_PURGED);
	for (unsigned i = 0; i < pool->fresh; i++)
		assert_null(memchr(pool->blocks[i].data, mark, DATA_SIZE));
}

/*
 * The rule of the header: pushers look for a session under the lock; control publishes it, then
 * takes what is there. Nothing is left behind.
 */
static bool session;
static unsigned sent;

static void *pusher(void *arg)
{
	static const uint8_t packet[100] = { 1 };
	struct cv_drops own = { { 0 } };

	(void)arg;
	for (int i = 0; i < 30; i++) {
		cv_stage_lock(&stage);
		if (!__atomic_load_n(&session, __ATOMIC_ACQUIRE))
			cv_stage_push(&stage, pool, packet, sizeof(packet), &own);
		else
			__atomic_fetch_add(&sent, 1, __ATOMIC_RELAXED);
		cv_stage_unlock(&stage);
	}
	assert_int_equal(own.count[CV_DROP_STAGE_FULL], 0);
	return NULL;
}

static void no_packet_stays_behind_when_a_session_comes_up(void **state)
{
	(void)state;
	for (int round = 0; round < 200; round++) {
		pthread_t threads[2];
		unsigned flushed = 0;

		session = false;
		sent = 0;
		for (int i = 0; i < 2; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, pusher, NULL), 0);
		__atomic_store_n(&session, true, __ATOMIC_RELEASE);
		while (pop(&stage, sizeof(out)) > 0)
			flushed++;
		for (int i = 0; i < 2; i++)
			pthread_join(threads[i], NULL);
		assert_int_equal(flushed + sent, 2 * 30);
		assert_int_equal(stage.pkts, 0);
	}
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(packets_come_back_whole_and_in_order),
		CASE(bytes_keep_their_order_across_blocks),
		CASE(too_small_a_buffer_changes_nothing),
		CASE(more_than_the_limit_drops_the_oldest),
		CASE(empty_pool_drops_the_new_packet_of_a_peer_without_others),
		CASE(empty_pool_drops_the_oldest_of_the_same_peer),
		CASE(packet_that_finds_no_room_even_so_is_dropped_too),
		CASE(blocks_that_came_home_are_used_again),
		CASE(purge_empties_and_counts_under_its_reason),
		CASE(blocks_at_home_hold_no_plaintext),
		CASE(no_packet_stays_behind_when_a_session_comes_up),
	};

	return cmocka_run_group_tests_name("stage", tests, NULL, NULL);
}
