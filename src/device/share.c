/*
 * Sharing a burst: the owner stays in charge, others take chunks.
 *
 * How it works. One socket has the datagrams of one peer, so one worker receives them all. What
 * costs is opening them, and a message is opened for itself: order matters only afterwards. So the
 * owner offers its burst, wakes idle workers, and begins to open it chunk by chunk; each chunk is
 * claimed by moving `next`. A helper that comes in time claims chunks as well. If none comes the
 * owner has lost one atomic operation a chunk. At the end it waits for chunks that helpers still
 * work on, and goes on alone: replay, routing and merging see the burst in order.
 *
 * A helper may only look at `jobs` between entering and leaving. It enters first and then looks
 * whether the burst is open; the owner closes first and then looks whether anybody is inside; both
 * are sequentially consistent, so one of the two sees the other. The keys that the jobs point to
 * are kept alive by the owner, whose turn lasts longer than the burst.
 */
#include "share.h"

#include <sched.h>

/* Looks at a helper's last chunk before the core is given away: it may be that very core which the
 * helper waits for. Not tuned. */
enum { SPINS = 1000 };

static void work(struct cv_share *share, struct cv_aead *aead, bool *ret_any)
{
	for (;;) {
		size_t first = __atomic_fetch_add(&share->next, CV_SHARE_CHUNK, __ATOMIC_RELAXED);
		size_t left;

		if (first >= share->n)
			return;
		left = share->n - first;
		cv_aead_open(aead, share->jobs + first,
			     left < CV_SHARE_CHUNK ? left : CV_SHARE_CHUNK);
		*ret_any = true;
	}
}

void cv_share_begin(struct cv_share *share, struct cv_aead_job *jobs, size_t n)
{
	share->jobs = jobs;
	share->n = n;
	__atomic_store_n(&share->next, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&share->open, true, __ATOMIC_SEQ_CST);
}

void cv_share_finish(struct cv_share *share, struct cv_aead *aead)
{
	bool any;

	work(share, aead, &any);
	__atomic_store_n(&share->open, false, __ATOMIC_SEQ_CST);
	for (unsigned spins = 0; __atomic_load_n(&share->helpers, __ATOMIC_SEQ_CST); spins++)
		if (spins >= SPINS)
			sched_yield();
}

bool cv_share_help(struct cv_share *share, struct cv_aead *aead)
{
	bool any = false;

	if (!__atomic_load_n(&share->open, __ATOMIC_RELAXED))
		return false;
	__atomic_fetch_add(&share->helpers, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&share->open, __ATOMIC_SEQ_CST))
		work(share, aead, &any);
	__atomic_fetch_sub(&share->helpers, 1, __ATOMIC_RELEASE);
	return any;
}
