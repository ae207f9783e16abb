/*
 * The queue of peers with wishes: workers ask, the control thread does.
 *
 * How it works. A wish is a bit in peer->wishes. Who sets the first bit also pushes the peer onto
 * liburcu's wait-free stack; who sets another one knows that the peer is queued and will be looked
 * at. The control thread unlinks a peer first and fetches its bits, all in one exchange, after
 * that: a bit set before the exchange is seen, a bit set after it is a first bit again and pushes
 * the peer once more. The push that finds the stack empty wakes control, so a wish that was left to
 * another worker's push is woken for by that push.
 *
 * Control takes the whole stack at once and serves it to its end before it looks again; so a peer
 * that always has a new wish cannot keep another one waiting below it.
 *
 * A removed peer may still stand in the stack, or a worker that saw it before may be about to push
 * it. Its bits are then never zero again: nobody pushes it after the one push that may be under
 * way, and that one is over with the grace period. is_wishing remembers that the peer has to come
 * by once more; of the release and that coming-by, the later one frees it. (At the end of it all
 * nobody takes any more; cv_peers keeps a list of those who are still to come by.)
 *
 * The stack's functions are called, not inlined: the thread sanitizer does not look into the
 * library, and what it must know, that a peer's wish_node is handed over with the bits, it learns
 * from the atomic operations on `wishes`.
 */
#include "internal.h"

/* Keeps the bits of a removed peer from ever being zero; seen by nobody else. */
#define REMOVED (UINT32_C(1) << 31)

void cv_wishes_init(struct cv_wishes *wishes)
{
	cds_wfs_init(&wishes->stack);
	wishes->taken = NULL;
}

bool cv_wishes_add(struct cv_wishes *wishes, struct cv_peer *peer, uint32_t bits)
{
	/* Not to be skipped when a look says that the bit is set: a look orders nothing, and what
	 * the caller wrote before wishing could be missed by the exchange that takes the bit. */
	if (__atomic_fetch_or(&peer->wishes, bits, __ATOMIC_ACQ_REL) != 0)
		return false;
	return cds_wfs_push(&wishes->stack, &peer->wish_node) == 0;
}

bool cv_wishes_forget(struct cv_peer *peer)
{
	return __atomic_fetch_or(&peer->wishes, REMOVED, __ATOMIC_ACQ_REL) != 0;
}

static struct cv_peer *take_any(struct cv_wishes *wishes)
{
	struct cds_wfs_node *node = wishes->taken;

	if (!node)
		node = cds_wfs_first(__cds_wfs_pop_all(&wishes->stack));
	if (!node)
		return NULL;
	wishes->taken = cds_wfs_next_blocking(node);
	cds_wfs_node_init(node);
	return container_of(node, struct cv_peer, wish_node);
}

struct cv_peer *cv_wishes_take(struct cv_wishes *wishes, uint32_t *ret_bits)
{
	struct cv_peer *peer;

	while ((peer = take_any(wishes)) && peer->removed) {
		peer->is_wishing = false;
		cds_list_del(&peer->all);
		if (peer->is_released)
			cv_peer_release(peer);
	}
	if (peer)
		*ret_bits = __atomic_exchange_n(&peer->wishes, 0, __ATOMIC_ACQ_REL);
	return peer;
}
