/* A bounded queue of handshake messages and frames from one worker to the control thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <convoy/base/addr.h>
#include <convoy/base/time.h>
#include <convoy/noise/frame.h>

enum {
	/* No handshake message is longer; of a frame what follows is zeros. */
	CV_RING_MESSAGE_MAX = CV_FRAME_MAX,
	/* As wireguard-go's handshake queue; the kernel has 4096 for all cores. A power of two. */
	CV_RING_SLOTS = 1024,
	/* Of them, for messages that anybody may send. Not tuned. */
	CV_RING_SLOTS_OF_ALL = CV_RING_SLOTS / 4 * 3,
};

struct cv_ring_message {
	bool is_frame;    /* plaintext of an authentic message, or else a handshake message */
	uint32_t session; /* of a frame: local index of its keypair */
	uint32_t size;    /* of a frame: bytes of its message's plaintext, len of which are here */
	cv_time when;     /* of a frame: it arrived */
	struct cv_endpoint remote;
	struct cv_source local;
	uint16_t len;
	uint8_t data[CV_RING_MESSAGE_MAX];
};

/* One producer, one consumer; all zero is empty once `slots` is set. */
struct cv_ring {
	struct cv_ring_message *slots;              /* slots[CV_RING_SLOTS] */
	uint32_t head __attribute__((aligned(64))); /* atomic: next to write, the worker's */
	uint32_t tail __attribute__((aligned(64))); /* atomic: next to read, control's */
};

/* The slot to fill, or NULL when the ring is full; then cv_ring_push() it. `known`: it is a peer's,
 * or seems to be, and may have the slots that are kept for those. Producer. */
static inline struct cv_ring_message *cv_ring_free_slot(struct cv_ring *ring, bool known)
{
	if (ring->head - __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE) >=
	    (known ? CV_RING_SLOTS : CV_RING_SLOTS_OF_ALL))
		return NULL;
	return &ring->slots[ring->head % CV_RING_SLOTS];
}

static inline void cv_ring_push(struct cv_ring *ring)
{
	__atomic_store_n(&ring->head, ring->head + 1, __ATOMIC_RELEASE);
}

/* Messages waiting. Consumer. */
static inline uint32_t cv_ring_count(const struct cv_ring *ring)
{
	return __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE) - ring->tail;
}

/* The oldest message, or NULL; then cv_ring_pop() it. Consumer. */
static inline const struct cv_ring_message *cv_ring_first(const struct cv_ring *ring)
{
	return cv_ring_count(ring) ? &ring->slots[ring->tail % CV_RING_SLOTS] : NULL;
}

static inline void cv_ring_pop(struct cv_ring *ring)
{
	__atomic_store_n(&ring->tail, ring->tail + 1, __ATOMIC_RELEASE);
}
