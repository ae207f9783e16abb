/* The handshake ring: bounded, in order, nothing lost between two threads. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device/ring.h"

enum { MANY = 200000 };

static int ring_make(void **state)
{
	struct cv_ring *ring = aligned_alloc(64, sizeof(*ring));

	memset(ring, 0, sizeof(*ring));
	ring->slots = calloc(CV_RING_SLOTS, sizeof(*ring->slots));
	*state = ring;
	return 0;
}

static int ring_free(void **state)
{
	struct cv_ring *ring = *state;

	free(ring->slots);
	free(ring);
	return 0;
}

static void push(struct cv_ring *ring, uint32_t number)
{
	struct cv_ring_message *slot = cv_ring_free_slot(ring, true);

	memcpy(slot->data, &number, sizeof(number));
	cv_ring_push(ring);
}

static uint32_t first(const struct cv_ring *ring)
{
	uint32_t number;

	memcpy(&number, cv_ring_first(ring)->data, sizeof(number));
	return number;
}

static void a_full_ring_has_no_slot_until_one_is_popped(void **state)
{
	struct cv_ring *ring = *state;

	assert_null(cv_ring_first(ring));
	for (uint32_t i = 0; i < CV_RING_SLOTS; i++)
		push(ring, i);
	assert_null(cv_ring_free_slot(ring, true));
	assert_int_equal(cv_ring_count(ring), CV_RING_SLOTS);
	assert_int_equal(first(ring), 0);
	cv_ring_pop(ring);
	assert_non_null(cv_ring_free_slot(ring, true));
	assert_int_equal(first(ring), 1);
}

static void a_quarter_is_kept_for_those_who_are_known(void **state)
{
	struct cv_ring *ring = *state;

	for (uint32_t i = 0; i < CV_RING_SLOTS / 4 * 3; i++) {
		assert_non_null(cv_ring_free_slot(ring, false));
		push(ring, i);
	}
	assert_null(cv_ring_free_slot(ring, false));
	assert_non_null(cv_ring_free_slot(ring, true));
	cv_ring_pop(ring);
	assert_non_null(cv_ring_free_slot(ring, false));
}

static void indices_may_wrap(void **state)
{
	struct cv_ring *ring = *state;

	ring->head = ring->tail = UINT32_MAX - 2;
	for (uint32_t i = 0; i < 8; i++)
		push(ring, i);
	for (uint32_t i = 0; i < 8; i++) {
		assert_int_equal(first(ring), i);
		cv_ring_pop(ring);
	}
	assert_null(cv_ring_first(ring));
}

static void *produce(void *arg)
{
	struct cv_ring *ring = arg;

	for (uint32_t i = 0; i < MANY; i++) {
		while (!cv_ring_free_slot(ring, true))
			sched_yield();
		push(ring, i);
	}
	return NULL;
}

static void two_threads_pass_every_message_in_order(void **state)
{
	struct cv_ring *ring = *state;
	pthread_t producer;

	assert_int_equal(pthread_create(&producer, NULL, produce, ring), 0);
	for (uint32_t i = 0; i < MANY; i++) {
		while (!cv_ring_first(ring))
			sched_yield();
		assert_int_equal(first(ring), i);
		cv_ring_pop(ring);
	}
	assert_null(cv_ring_first(ring));
	pthread_join(producer, NULL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_full_ring_has_no_slot_until_one_is_popped,
						ring_make, ring_free),
		cmocka_unit_test_setup_teardown(a_quarter_is_kept_for_those_who_are_known,
						ring_make, ring_free),
		cmocka_unit_test_setup_teardown(indices_may_wrap, ring_make, ring_free),
		cmocka_unit_test_setup_teardown(two_threads_pass_every_message_in_order, ring_make,
						ring_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
