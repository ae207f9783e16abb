/*
 * The three keypair slots of a peer: previous, current, next.
 *
 * An initiator may send at once, so its new keypair becomes current. A responder must not send
 * before it has heard something under the new keypair, so there it waits in next. The worker that
 * hears it moves the slots itself, before it passes the packet on: the answer to that packet may
 * leave within the same turn, and must not go out under a session that the other end, which may
 * have been started anew, does not know.
 *
 * Only control can take a keypair apart (index, graveyard). So what falls out when a worker moves
 * the slots waits in `dropped`. There is room for one, which is enough: before another keypair can
 * be confirmed control must have installed it, and installing takes out what waits.
 *
 * Source: white paper, sections 5.4.5 and 6.2; kernel noise.c, add_new_keypair() and
 * wg_noise_received_with_keypair().
 */
#include <convoy/peer/peer.h>
#include <convoy/peer/rcu.h>

/* Append a keypair to the list, if there is one. */
static void append(struct cv_keypair *keypair, struct cv_keypair **list, size_t *n)
{
	if (keypair)
		list[(*n)++] = keypair;
}

size_t cv_peer_install_keypair(struct cv_peer *peer, struct cv_keypair *keypair,
			       struct cv_keypair *ret_dropped[CV_PEER_DROPPED_MAX])
{
	size_t n = 0;

	pthread_spin_lock(&peer->keypairs_lock);
	append(peer->dropped, ret_dropped, &n);
	append(peer->previous, ret_dropped, &n);
	peer->dropped = peer->previous = NULL;
	if (!keypair->initiator) {
		append(peer->next, ret_dropped, &n);
		peer->next = keypair;
	} else {
		peer->previous = peer->current;
		if (peer->next) {
			append(peer->current, ret_dropped, &n);
			peer->previous = peer->next;
			peer->next = NULL;
		}
		cv_rcu_publish(&peer->current, keypair);
	}
	pthread_spin_unlock(&peer->keypairs_lock);
	return n;
}

bool cv_peer_confirm_keypair(struct cv_peer *peer, const struct cv_keypair *keypair)
{
	bool is_next;

	pthread_spin_lock(&peer->keypairs_lock);
	is_next = peer->next == keypair;
	if (is_next) {
		peer->dropped = peer->previous;
		peer->previous = peer->current;
		cv_rcu_publish(&peer->current, peer->next);
		peer->next = NULL;
	}
	pthread_spin_unlock(&peer->keypairs_lock);
	return is_next;
}

struct cv_keypair *cv_peer_take_dropped(struct cv_peer *peer)
{
	struct cv_keypair *dropped;

	pthread_spin_lock(&peer->keypairs_lock);
	dropped = peer->dropped;
	peer->dropped = NULL;
	pthread_spin_unlock(&peer->keypairs_lock);
	return dropped;
}

bool cv_peer_keypair_is_last(struct cv_peer *peer, const struct cv_keypair *keypair)
{
	bool is_last;

	pthread_spin_lock(&peer->keypairs_lock);
	is_last = peer->current == keypair && !peer->next;
	pthread_spin_unlock(&peer->keypairs_lock);
	return is_last;
}

size_t cv_peer_clear_keypairs(struct cv_peer *peer,
			      struct cv_keypair *ret_dropped[CV_PEER_DROPPED_MAX])
{
	size_t n = 0;

	pthread_spin_lock(&peer->keypairs_lock);
	append(peer->dropped, ret_dropped, &n);
	append(peer->previous, ret_dropped, &n);
	append(peer->current, ret_dropped, &n);
	append(peer->next, ret_dropped, &n);
	peer->dropped = peer->previous = peer->next = NULL;
	cv_rcu_publish(&peer->current, NULL);
	pthread_spin_unlock(&peer->keypairs_lock);
	return n;
}

static void add(struct cv_messages *sum, struct cv_messages messages)
{
	sum->expected += messages.expected;
	sum->accepted += messages.accepted;
}

static void tally(struct cv_messages way[CV_QUALITY_WAYS], struct cv_keypair *keypair)
{
	add(&way[CV_QUALITY_IN], cv_keypair_received(keypair));
	add(&way[CV_QUALITY_OUT], keypair->told);
}

struct cv_tally cv_peer_tally(struct cv_peer *peer, cv_time now)
{
	const struct cv_quality *quality = &peer->probing->quality;
	struct cv_tally sums = {
		.when = now,
		.way = { quality->ended[CV_QUALITY_IN], quality->ended[CV_QUALITY_OUT] },
	};
	struct cv_keypair *slots[CV_PEER_DROPPED_MAX];
	size_t n = 0;

	pthread_spin_lock(&peer->keypairs_lock);
	append(peer->dropped, slots, &n);
	append(peer->previous, slots, &n);
	append(peer->current, slots, &n);
	append(peer->next, slots, &n);
	pthread_spin_unlock(&peer->keypairs_lock);
	for (size_t i = 0; i < n; i++)
		tally(sums.way, slots[i]);
	return sums;
}

void cv_peer_tally_ended(struct cv_peer *peer, struct cv_keypair *keypair)
{
	if (peer->probing)
		tally(peer->probing->quality.ended, keypair);
}
