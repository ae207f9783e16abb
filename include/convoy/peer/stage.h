/* Packets waiting for a session: a bounded queue a peer, out of one bounded pool a device. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <convoy/base/drop.h>

enum {
	CV_STAGE_MAX_PKTS = 128, /* a peer; kernel MAX_STAGED_PACKETS */
	CV_STAGE_BLOCK_SIZE = 2048,
	CV_STAGE_POOL_BLOCKS =
		2048, /* a device: 4 MiB at most, touched only when used. Not tuned. */
};

/* All blocks of a device, on one free list under one lock. */
struct cv_stage_pool;

struct cv_stage_pool *cv_stage_pool_new(void);
/* All stages must be empty. Wipes what it frees. */
void cv_stage_pool_free(struct cv_stage_pool *pool);

/* One peer's queue. Any thread may push; control flushes. */
struct cv_stage {
	pthread_spinlock_t lock;
	struct cv_stage_block *first, *last; /* first blocks of packets, oldest first */
	unsigned pkts;                       /* atomic for those who do not hold the lock */
};

void cv_stage_init(struct cv_stage *stage);

/* Whether nothing waits, as far as can be said without the lock. Any thread. */
static inline bool cv_stage_is_empty(const struct cv_stage *stage)
{
	return __atomic_load_n(&stage->pkts, __ATOMIC_RELAXED) == 0;
}

/*
 * Pushing and flushing race with a session coming up. The rule that no packet is left behind:
 * the pusher holds the lock while it looks whether a session is there and pushes only when it is
 * not; control publishes the session first and takes the packets, under the lock, afterwards.
 */
void cv_stage_lock(struct cv_stage *stage);
void cv_stage_unlock(struct cv_stage *stage);

/**
 * cv_stage_push() - keep a copy of a packet; stage->lock is held
 *
 * When CV_STAGE_MAX_PKTS wait already, or the pool is empty, the oldest of this peer is dropped
 * (STAGE_FULL); when that makes no room the new one is.
 */
void cv_stage_push(struct cv_stage *stage, struct cv_stage_pool *pool, const uint8_t *data,
		   uint32_t len, struct cv_drops *drops);

/**
 * cv_stage_pop() - take the oldest packet; stage->lock is held
 * @out, @size:	where it is copied; the block is wiped and goes home
 *
 * Return: its length, 0 when nothing waits, -ENOSPC (nothing changed) when size is too small.
 */
int cv_stage_pop(struct cv_stage *stage, struct cv_stage_pool *pool, uint8_t *out, uint32_t size);

/* Drop everything, counted under `reason`; takes the lock itself. Return: packets dropped. */
unsigned cv_stage_purge(struct cv_stage *stage, struct cv_stage_pool *pool, struct cv_drops *drops,
			enum cv_drop reason);
