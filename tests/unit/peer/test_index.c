/* The index table: numbers in, entries out; many of them, and of the same bucket. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* cmocka.h needs what stands above it. */
#include <cmocka.h>

#include <convoy/peer/index.h>

enum { ENTRIES = 1000 };

static struct cv_index_entry entries[ENTRIES];
static struct cv_index *table;

static int set_up(void **state)
{
	(void)state;
	memset(entries, 0, sizeof(entries));
	table = cv_index_new(4);
	return table ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	cv_index_free(table);
	return 0;
}

static void index_finds_its_entry_and_no_other(void **state)
{
	(void)state;
	entries[0].index = 0x12345678;
	assert_int_equal(cv_index_insert(table, &entries[0]), 0);
	assert_ptr_equal(cv_index_lookup(table, 0x12345678), &entries[0]);
	assert_null(cv_index_lookup(table, 0x02345678));
	assert_null(cv_index_lookup(table, 0));
}

static void index_in_use_is_refused_and_untouched(void **state)
{
	(void)state;
	entries[0].index = 7;
	entries[1].index = 7;
	assert_int_equal(cv_index_insert(table, &entries[0]), 0);
	assert_int_equal(cv_index_insert(table, &entries[1]), -EEXIST);
	assert_ptr_equal(cv_index_lookup(table, 7), &entries[0]);
	cv_index_remove(table, &entries[0]);
	assert_int_equal(cv_index_insert(table, &entries[1]), 0);
	assert_ptr_equal(cv_index_lookup(table, 7), &entries[1]);
}

static void zero_and_the_largest_are_indices_like_any(void **state)
{
	(void)state;
	entries[0].index = 0;
	entries[1].index = UINT32_MAX;
	assert_int_equal(cv_index_insert(table, &entries[0]), 0);
	assert_int_equal(cv_index_insert(table, &entries[1]), 0);
	assert_ptr_equal(cv_index_lookup(table, 0), &entries[0]);
	assert_ptr_equal(cv_index_lookup(table, UINT32_MAX), &entries[1]);
}

static void removal_from_any_place_of_a_chain_leaves_the_rest(void **state)
{
	(void)state;
	for (int gone = 0; gone < 3; gone++) {
		for (uint32_t i = 0; i < 3; i++) {
			entries[i].index = i << 24; /* one bucket */
			assert_int_equal(cv_index_insert(table, &entries[i]), 0);
		}
		cv_index_remove(table, &entries[gone]);
		for (int i = 0; i < 3; i++)
			assert_ptr_equal(cv_index_lookup(table, entries[i].index),
					 i == gone ? NULL : &entries[i]);
		for (int i = 0; i < 3; i++)
			if (i != gone)
				cv_index_remove(table, &entries[i]);
	}
}

/* What an RCU reader does who stands on an entry when it is taken out. */
static void removed_entry_still_leads_on(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 3; i++) {
		entries[i].index = i << 24;
		assert_int_equal(cv_index_insert(table, &entries[i]), 0);
	}
	cv_index_remove(table, &entries[1]);
	assert_ptr_equal(entries[1].node.next, &entries[0].node);
}

static void more_entries_than_expected_are_all_found(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < ENTRIES; i++) {
		entries[i].index = i * 2654435761u;
		assert_int_equal(cv_index_insert(table, &entries[i]), 0);
	}
	for (uint32_t i = 0; i < ENTRIES; i += 2)
		cv_index_remove(table, &entries[i]);
	for (uint32_t i = 0; i < ENTRIES; i++)
		assert_ptr_equal(cv_index_lookup(table, entries[i].index),
				 i % 2 ? &entries[i] : NULL);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(index_finds_its_entry_and_no_other),
		CASE(index_in_use_is_refused_and_untouched),
		CASE(zero_and_the_largest_are_indices_like_any),
		CASE(removal_from_any_place_of_a_chain_leaves_the_rest),
		CASE(removed_entry_still_leads_on),
		CASE(more_entries_than_expected_are_all_found),
	};

	return cmocka_run_group_tests_name("index", tests, NULL, NULL);
}
