/* The index table: from the 32-bit receiver index of a message to its peer and keypair. */
#pragma once

#include <stdint.h>

#include <urcu/rcuhlist.h>

struct cv_peer;
struct cv_keypair;
struct cv_index;

/*
 * One index that we gave out. It is made for a handshake (keypair NULL) and becomes the keypair's
 * when the session is derived; the number stays the same.
 */
struct cv_index_entry {
	struct cds_hlist_node node;
	uint32_t index;
	struct cv_peer *peer;
	struct cv_keypair *keypair; /* cv_rcu_publish / cv_rcu_read */
};

/* Control thread. A table for about `expected` entries (more only makes it slower). */
struct cv_index *cv_index_new(uint32_t expected);
void cv_index_free(struct cv_index *table);

/**
 * cv_index_insert() - enter an index
 * @entry:	index and peer set by the caller, the index drawn at random: a guessable index
 *		tells a stranger how many sessions there are
 *
 * Takes: entry, until cv_index_remove() and a grace period.
 * Return: 0, or -EEXIST when the index is in use (draw another).
 */
int cv_index_insert(struct cv_index *table, struct cv_index_entry *entry);
/* Unpublish; the caller gives the entry to the graveyard. */
void cv_index_remove(struct cv_index *table, struct cv_index_entry *entry);

/* Any thread, under RCU. NULL when nobody has this index. */
struct cv_index_entry *cv_index_lookup(const struct cv_index *table, uint32_t index);
