/*
 * Nonces and ages of a session.
 *
 * The counter runs past the limit when a burst does not fit: what was taken is then lost, which is
 * fine because the session is over. It cannot run on to 2^64: a thread that finds the counter at
 * the limit does not add, and the reject limit leaves room for more bursts than there are threads.
 */
#include <errno.h>

#include <convoy/noise/keypair.h>

static bool is_young(const struct cv_keypair *keypair, cv_time now)
{
	return now - keypair->birth < CV_REJECT_AFTER_TIME_S * CV_NS_PER_S;
}

bool cv_keypair_can_send(const struct cv_keypair *keypair, cv_time now)
{
	return is_young(keypair, now) &&
	       __atomic_load_n(&keypair->send_counter, __ATOMIC_RELAXED) <
		       CV_REJECT_AFTER_MESSAGES &&
	       !__atomic_load_n(&keypair->sending_expired, __ATOMIC_RELAXED);
}

int cv_keypair_take(struct cv_keypair *keypair, uint32_t n, cv_time now, uint64_t *ret_first)
{
	uint64_t first;

	if (!cv_keypair_can_send(keypair, now))
		return -EKEYEXPIRED;
	first = __atomic_fetch_add(&keypair->send_counter, n, __ATOMIC_RELAXED);
	if (first >= CV_REJECT_AFTER_MESSAGES || n > CV_REJECT_AFTER_MESSAGES - first)
		return -EKEYEXPIRED;
	*ret_first = first;
	return 0;
}

bool cv_keypair_can_receive(const struct cv_keypair *keypair, uint64_t counter, cv_time now)
{
	return is_young(keypair, now) && counter < CV_REJECT_AFTER_MESSAGES;
}
