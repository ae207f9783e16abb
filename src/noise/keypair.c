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

/* Nonces from which on it is dead, and from which on it is old. */
static uint64_t reject_at(const struct cv_keypair *keypair)
{
	uint64_t max = __atomic_load_n(&keypair->messages_max, __ATOMIC_RELAXED);

	return max ? max : CV_REJECT_AFTER_MESSAGES;
}

static uint64_t rekey_at(const struct cv_keypair *keypair)
{
	uint64_t max = __atomic_load_n(&keypair->messages_max, __ATOMIC_RELAXED);

	return max ? max / 2 : CV_REKEY_AFTER_MESSAGES;
}

void cv_keypair_bound(struct cv_keypair *keypair, uint64_t messages_max)
{
	__atomic_store_n(&keypair->messages_max, messages_max, __ATOMIC_RELAXED);
}

/* Source: white paper, section 6.2. */
bool cv_keypair_is_old(const struct cv_keypair *keypair, uint64_t counter, cv_time now)
{
	return (keypair->initiator &&
		now - keypair->birth >= CV_REKEY_AFTER_TIME_S * CV_NS_PER_S) ||
	       counter > rekey_at(keypair);
}

bool cv_keypair_can_send(const struct cv_keypair *keypair, cv_time now)
{
	return is_young(keypair, now) &&
	       __atomic_load_n(&keypair->send_counter, __ATOMIC_RELAXED) < reject_at(keypair) &&
	       !__atomic_load_n(&keypair->sending_expired, __ATOMIC_RELAXED);
}

int cv_keypair_take(struct cv_keypair *keypair, uint32_t n, cv_time now, uint64_t *ret_first)
{
	uint64_t first, end = reject_at(keypair);

	if (!cv_keypair_can_send(keypair, now))
		return -EKEYEXPIRED;
	first = __atomic_fetch_add(&keypair->send_counter, n, __ATOMIC_RELAXED);
	if (first >= end || n > end - first)
		return -EKEYEXPIRED;
	*ret_first = first;
	return 0;
}

bool cv_keypair_can_receive(const struct cv_keypair *keypair, uint64_t counter, cv_time now)
{
	return is_young(keypair, now) && counter < CV_REJECT_AFTER_MESSAGES;
}

struct cv_messages cv_keypair_received(struct cv_keypair *keypair)
{
	struct cv_messages received;

	pthread_spin_lock(&keypair->replay_lock);
	received.expected = keypair->replay.next;
	received.accepted = keypair->replay.accepted;
	pthread_spin_unlock(&keypair->replay_lock);
	return received;
}
