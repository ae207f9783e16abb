/* Read-copy-update for peers, routes and keypairs: a thin door to liburcu's QSBR flavour. */
#pragma once

#include <stddef.h>

/*
 * Workers read without locks; only the control thread writes. A worker promises to hold no pointer
 * across cv_rcu_quiescent() (one loop turn = one quiescent state) and goes offline around its
 * blocking wait. Pointers are published with cv_rcu_publish() and read with cv_rcu_read(), which
 * are plain release stores and acquire loads, so that the thread sanitizer can follow them.
 */
#define cv_rcu_publish(slot, ptr) __atomic_store_n((slot), (ptr), __ATOMIC_RELEASE)
#define cv_rcu_read(slot)         __atomic_load_n((slot), __ATOMIC_ACQUIRE)

/* Every thread that reads calls these once at its start and end. */
void cv_rcu_register(void);
void cv_rcu_unregister(void);

/* The thread holds no RCU pointer now. Never blocks. */
void cv_rcu_quiescent(void);
/* Around a blocking wait: between the two the thread holds no RCU pointer. */
void cv_rcu_offline(void);
void cv_rcu_online(void);

/* What was unpublished and waits for its last reader. Control thread only. */
struct cv_graveyard {
	size_t n, size;
	struct cv_grave *graves;
};

/**
 * cv_graveyard_add() - free `what` by `release` once no worker can still see it
 *
 * Takes: what, already unpublished. When no memory is left to remember it, waits and frees here.
 * All zero is an empty graveyard. release() adds nothing to the graveyard.
 */
void cv_graveyard_add(struct cv_graveyard *graveyard, void *what, void (*release)(void *what));

/* Wait for all readers, then free everything added so far. Blocks for one loop turn of the slowest
 * worker at most; costs nothing when there is nothing to free. The caller may be registered and
 * online itself. */
void cv_graveyard_bury(struct cv_graveyard *graveyard);
/* Bury what is left and free the graveyard's own memory. */
void cv_graveyard_done(struct cv_graveyard *graveyard);
