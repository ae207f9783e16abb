/*
 * Packets waiting for a session: a bounded queue a peer, out of one bounded pool a device.
 *
 *	cv_stage     first ------------> block -next_packet-> block ... <- last
 *	                                   |                    |
 *	                                   next                 next       more of the same packet
 *	                                   |
 *	                                 block
 *
 * A packet fills as many blocks as it needs; a super-packet of 64 KiB takes 33. The pool is one
 * mapping. Blocks that were never used are taken from its end, in order, and only blocks that came
 * back are linked: so memory is touched when a peer really has to wait, and not before.
 *
 * What waits is plaintext of users. It is wiped when the block goes home, not when it is next used.
 *
 * Locks: a stage's, then the pool's. The pool's is held for a few pointer stores a packet.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <convoy/crypto/secret.h>
#include <convoy/peer/stage.h>

struct cv_stage_block {
	struct cv_stage_block *next;        /* of this packet; of the free list */
	struct cv_stage_block *next_packet; /* in the first block of a packet, as is len */
	uint32_t len;
	uint32_t used; /* bytes of data, to be wiped */
	uint8_t data[CV_STAGE_BLOCK_SIZE - 2 * sizeof(void *) - 2 * sizeof(uint32_t)];
};

_Static_assert(sizeof(struct cv_stage_block) == CV_STAGE_BLOCK_SIZE, "a block has this size");

enum { DATA_SIZE = sizeof(((struct cv_stage_block *)0)->data) };

struct cv_stage_pool {
	pthread_spinlock_t lock;
	unsigned fresh;      /* blocks [fresh, CV_STAGE_POOL_BLOCKS) were never used */
	unsigned free_count; /* blocks on the free list */
	struct cv_stage_block *free;
	struct cv_stage_block *blocks;
};

struct cv_stage_pool *cv_stage_pool_new(void)
{
	struct cv_stage_pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return NULL;
	pool->blocks = malloc(CV_STAGE_POOL_BLOCKS * sizeof(*pool->blocks));
	if (!pool->blocks) {
		free(pool);
		return NULL;
	}
	pthread_spin_init(&pool->lock, PTHREAD_PROCESS_PRIVATE);
	return pool;
}

void cv_stage_pool_free(struct cv_stage_pool *pool)
{
	if (!pool)
		return;
	assert(pool->free_count == pool->fresh && "all stages are empty");
	pthread_spin_destroy(&pool->lock);
	free(pool->blocks);
	free(pool);
}

static struct cv_stage_block *take_one(struct cv_stage_pool *pool)
{
	struct cv_stage_block *block = pool->free;

	if (!block)
		return &pool->blocks[pool->fresh++];
	pool->free = block->next;
	pool->free_count--;
	return block;
}

/* A chain of n blocks, or NULL when the pool has fewer. */
static struct cv_stage_block *take_blocks(struct cv_stage_pool *pool, uint32_t n)
{
	struct cv_stage_block *chain = NULL;

	pthread_spin_lock(&pool->lock);
	if (n <= pool->free_count + CV_STAGE_POOL_BLOCKS - pool->fresh) {
		while (n--) {
			struct cv_stage_block *block = take_one(pool);

			block->next = chain;
			chain = block;
		}
	}
	pthread_spin_unlock(&pool->lock);
	return chain;
}

/* Wipe the blocks of one packet and send them home. */
static void give_blocks(struct cv_stage_pool *pool, struct cv_stage_block *chain)
{
	struct cv_stage_block *last = chain;
	unsigned n = 1;

	for (;; last = last->next, n++) {
		cv_wipe(last->data, last->used);
		if (!last->next)
			break;
	}
	pthread_spin_lock(&pool->lock);
	last->next = pool->free;
	pool->free = chain;
	pool->free_count += n;
	pthread_spin_unlock(&pool->lock);
}

void cv_stage_init(struct cv_stage *stage)
{
	pthread_spin_init(&stage->lock, PTHREAD_PROCESS_PRIVATE);
	stage->first = NULL;
	stage->last = NULL;
	stage->pkts = 0;
}

void cv_stage_lock(struct cv_stage *stage)
{
	pthread_spin_lock(&stage->lock);
}

void cv_stage_unlock(struct cv_stage *stage)
{
	pthread_spin_unlock(&stage->lock);
}

/* The lock is held; cv_stage_is_empty() may look at the same time. */
static void set_pkts(struct cv_stage *stage, unsigned pkts)
{
	__atomic_store_n(&stage->pkts, pkts, __ATOMIC_RELAXED);
}

static struct cv_stage_block *unlink_oldest(struct cv_stage *stage)
{
	struct cv_stage_block *oldest = stage->first;

	stage->first = oldest->next_packet;
	if (!stage->first)
		stage->last = NULL;
	set_pkts(stage, stage->pkts - 1);
	return oldest;
}

static void drop_oldest(struct cv_stage *stage, struct cv_stage_pool *pool, struct cv_drops *drops)
{
	give_blocks(pool, unlink_oldest(stage));
	cv_drops_add(drops, CV_DROP_STAGE_FULL, 1);
}

static void fill(struct cv_stage_block *block, const uint8_t *data, uint32_t len)
{
	block->next_packet = NULL;
	block->len = len;
	for (; block; block = block->next) {
		block->used = len < DATA_SIZE ? len : DATA_SIZE;
		memcpy(block->data, data, block->used);
		data += block->used;
		len -= block->used;
	}
}

void cv_stage_push(struct cv_stage *stage, struct cv_stage_pool *pool, const uint8_t *data,
		   uint32_t len, struct cv_drops *drops)
{
	uint32_t n = len / DATA_SIZE + (len % DATA_SIZE != 0);
	struct cv_stage_block *packet;

	assert(len > 0);
	if (stage->pkts == CV_STAGE_MAX_PKTS)
		drop_oldest(stage, pool, drops);
	packet = take_blocks(pool, n);
	if (!packet && stage->first) {
		drop_oldest(stage, pool, drops);
		packet = take_blocks(pool, n);
	}
	if (!packet) {
		cv_drops_add(drops, CV_DROP_STAGE_FULL, 1);
		return;
	}
	fill(packet, data, len);
	*(stage->last ? &stage->last->next_packet : &stage->first) = packet;
	stage->last = packet;
	set_pkts(stage, stage->pkts + 1);
}

int cv_stage_pop(struct cv_stage *stage, struct cv_stage_pool *pool, uint8_t *out, uint32_t size)
{
	struct cv_stage_block *packet = stage->first;
	uint32_t len;

	if (!packet)
		return 0;
	len = packet->len;
	if (len > size)
		return -ENOSPC;
	unlink_oldest(stage);
	for (const struct cv_stage_block *block = packet; block; block = block->next) {
		memcpy(out, block->data, block->used);
		out += block->used;
	}
	give_blocks(pool, packet);
	return (int)len;
}

unsigned cv_stage_purge(struct cv_stage *stage, struct cv_stage_pool *pool, struct cv_drops *drops,
			enum cv_drop reason)
{
	struct cv_stage_block *packet;
	unsigned n;

	/* Wiping is long; a worker that wants to push spins meanwhile. So: outside of the lock. */
	cv_stage_lock(stage);
	packet = stage->first;
	n = stage->pkts;
	stage->first = NULL;
	stage->last = NULL;
	set_pkts(stage, 0);
	cv_stage_unlock(stage);

	while (packet) {
		struct cv_stage_block *next = packet->next_packet;

		give_blocks(pool, packet);
		packet = next;
	}
	cv_drops_add(drops, reason, n);
	return n;
}
