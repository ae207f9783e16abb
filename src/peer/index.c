/*
 * The index table: from the 32-bit receiver index of a message to the peer and keypair it is for.
 *
 * A fixed array of chains. Indices are drawn at random, so their low bits are the bucket: there is
 * nothing a hash would improve. A chain changes by one pointer store (publish a complete entry at
 * the head; lead the predecessor past a removed one), and a removed entry keeps its `next` until
 * its grace period is over, so a reader who stands on it walks on.
 *
 * The types are liburcu's, the two stores are ours: the library's own cds_hlist_add_head_rcu() does
 * the same with barriers that the thread sanitizer cannot see.
 */
#include <errno.h>
#include <stdlib.h>

#include <convoy/peer/index.h>
#include <convoy/peer/rcu.h>

#include "internal.h"

struct cv_index {
	uint32_t mask;
	struct cds_hlist_head buckets[];
};

struct cv_index *cv_index_new(uint32_t expected)
{
	size_t n = 64;
	struct cv_index *table;

	while (n < expected)
		n *= 2;
	table = calloc(1, sizeof(*table) + n * sizeof(table->buckets[0]));
	if (table)
		table->mask = (uint32_t)(n - 1);
	return table;
}

void cv_index_free(struct cv_index *table)
{
	free(table);
}

int cv_index_insert(struct cv_index *table, struct cv_index_entry *entry)
{
	struct cds_hlist_head *bucket = &table->buckets[entry->index & table->mask];

	if (cv_index_lookup(table, entry->index))
		return -EEXIST;
	entry->node.next = bucket->next;
	entry->node.prev = (struct cds_hlist_node *)bucket;
	if (bucket->next)
		bucket->next->prev = &entry->node;
	cv_rcu_publish(&bucket->next, &entry->node);
	return 0;
}

void cv_index_remove(struct cv_index *table, struct cv_index_entry *entry)
{
	(void)table;
	if (entry->node.next)
		entry->node.next->prev = entry->node.prev;
	cv_rcu_publish(&entry->node.prev->next, entry->node.next);
}

struct cv_index_entry *cv_index_lookup(const struct cv_index *table, uint32_t index)
{
	const struct cds_hlist_head *bucket = &table->buckets[index & table->mask];
	struct cds_hlist_node *node = cv_rcu_read(&bucket->next);

	for (; node; node = cv_rcu_read(&node->next)) {
		struct cv_index_entry *entry = container_of(node, struct cv_index_entry, node);

		if (entry->index == index)
			return entry;
	}
	return NULL;
}
