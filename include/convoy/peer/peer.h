/* A peer: who it is, where it is, its session, its timers, and what it asks control to do. */
#pragma once

#include <pthread.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <urcu/rculist.h>
#include <urcu/wfstack.h>

#include <convoy/base/addr.h>
#include <convoy/base/time.h>
#include <convoy/noise/handshake.h>
#include <convoy/noise/keypair.h>
#include <convoy/peer/deadlines.h>
#include <convoy/peer/extension.h>
#include <convoy/peer/index.h>
#include <convoy/peer/probing.h>
#include <convoy/peer/routes.h>
#include <convoy/peer/stage.h>
#include <convoy/peer/timers.h>

/* What a worker wants of control, as bits of cv_peer.wishes. */
enum {
	CV_WISH_HANDSHAKE = 1 << 0, /* no session, or the session grows old */
	CV_WISH_CONFIRM = 1 << 1,   /* the next keypair was used by the peer and became current */
	CV_WISH_PLAN = 1 << 2,      /* a timer was armed that lies before timers.planned */
	CV_WISH_TELL_LOOP = 1 << 3, /* what goes to the peer comes back to us: say so */
};

/*
 * Four groups, each from a cache line of its own: what every burst reads and hardly anybody writes;
 * the endpoint with its lock, written by every burst sent; what bursts count and re-arm; and what
 * the control thread keeps to itself. timers ends in control's own fields, which are seldom used.
 */
struct cv_peer {
	/* Read by workers on the packet path. */
	alignas(64) struct cv_keypair *current; /* cv_rcu_publish / cv_rcu_read */
	cv_time last_initiation;                /* atomic: when a handshake message last went out */
	uint32_t wishes;                        /* atomic CV_WISH_* bits, 0: not queued */
	uint16_t mtu; /* atomic: largest IP packet that the path to it carries; 0: as the TUN's */
	bool loops;   /* atomic: its datagrams came back to us since its last session began */
	struct cds_wfs_node wish_node;
	struct cv_stage stage;

	alignas(64) pthread_spinlock_t endpoint_lock; /* guards the four below */
	bool has_endpoint;
	cv_time plain_until; /* no UDP_SEGMENT to this endpoint before then */
	struct cv_endpoint remote;
	struct cv_source local;

	/* Atomic counters, UDP payload bytes of data, keepalives and handshakes (not cookies). */
	alignas(64) uint64_t tx_bytes;
	uint64_t rx_bytes;
	struct cv_timers timers;

	/* Control thread only, but for the next two and the keypairs. */
	alignas(64) int64_t last_handshake_wall; /* atomic, ns since the epoch, 0: never */
	uint64_t carried; /* atomic: remote index and second of the last datagram inside ours */
	uint8_t public_key[32];
	struct cv_handshake *handshake; /* locked memory; all zero at first */
	struct cv_index_entry *handshake_entry;
	uint64_t serial;     /* 1, 2, ... in order of addition, never given twice */
	void *owner;         /* the caller's own */
	int last_send_error; /* the caller's own: -errno of the last handshake message, or 0 */
	pthread_spinlock_t keypairs_lock; /* guards the next three, and writes to current */
	struct cv_keypair *next, *previous, *dropped;
	struct cv_deadline deadline;
	struct cv_extension extension;
	struct cv_probing *probing; /* of a Convoy; NULL: never, or there was no memory */
	cv_time last_request; /* the caller's own: that was heard of what is handed over, 0: none */
	struct cv_route_list routes;
	struct cds_list_head all; /* in cv_peers; is_wishing: in its list of those who leave */
	struct cv_peer *key_next; /* chain of the key table */
	bool removed;             /* by cv_peers_remove(); then these two tell who frees it */
	bool is_wishing;
	bool is_released;
};

/* Whether a handshake message went out within REKEY_TIMEOUT: another must wait. Any thread. */
static inline bool cv_peer_initiated_lately(const struct cv_peer *peer, cv_time now)
{
	cv_time last = __atomic_load_n(&peer->last_initiation, __ATOMIC_RELAXED);

	return last && now - last < CV_REKEY_TIMEOUT_S * CV_NS_PER_S;
}

/* The largest IP packet that may go to the peer, through a TUN of this MTU. Both are 0 where they
 * are not known. Any thread. */
static inline uint32_t cv_peer_mtu(const struct cv_peer *peer, uint32_t tun_mtu)
{
	uint32_t mtu = __atomic_load_n(&peer->mtu, __ATOMIC_RELAXED);

	return mtu && (!tun_mtu || mtu < tun_mtu) ? mtu : tun_mtu;
}

/* What the path to the peer was found to carry, <= CV_IP_MAX; 0: forget it. Any thread. */
static inline void cv_peer_set_mtu(struct cv_peer *peer, uint32_t mtu)
{
	__atomic_store_n(&peer->mtu, (uint16_t)mtu, __ATOMIC_RELAXED);
}

/* All peers of a device, by public key, and the locked memory of their handshakes. Control thread
 * only. */
struct cv_peers;

/* The key table hashes with SipHash under hash_key, so that chosen keys do not collide. Return:
 * NULL when there is no memory. */
struct cv_peers *cv_peers_new(const uint8_t hash_key[16]);
/* Every peer was removed and released. Of the queue of wishes nobody may take any more: released
 * peers that still stand in it are freed here. */
void cv_peers_free(struct cv_peers *peers);
/* Make a peer with all timers off and no endpoint, its handshake all zero: cv_handshake_init() is
 * the caller's. Return: 0, -EEXIST, -ENOMEM. */
int cv_peers_add(struct cv_peers *peers, const uint8_t public_key[32], struct cv_peer **ret_peer);
struct cv_peer *cv_peers_find(const struct cv_peers *peers, const uint8_t public_key[32]);
/* Unlink; its wishes are heard no more. The caller unpublishes it elsewhere and releases it after a
 * grace period. */
void cv_peers_remove(struct cv_peers *peers, struct cv_peer *peer);
size_t cv_peers_count(const struct cv_peers *peers);
/* The peer behind this one in order of addition, the first for NULL; NULL when there is none.
 * (liburcu's own loops cast const away, which clang's -Wcast-qual does not let pass.) */
struct cv_peer *cv_peers_next(const struct cv_peers *peers, const struct cv_peer *peer);
/* Whether the handshakes' memory could be locked. */
bool cv_peers_is_locked(const struct cv_peers *peers);
/**
 * cv_peer_release() - free what cv_peers_add() made, the handshake wiped
 * @arg:	a peer, removed a grace period ago; its keypairs, entries, routes and staged packets
 * are gone
 *
 * A peer that still stands in the queue of wishes is freed by the cv_wishes_take() that meets it,
 * or by cv_peers_free().
 * The signature is that of a graveyard's release.
 */
void cv_peer_release(void *arg);

/* The keypair slots; what falls out of them is control's to unpublish and to free. */
enum { CV_PEER_DROPPED_MAX = 4 };

/**
 * cv_peer_install_keypair() - put a new keypair into its slot: current for an initiator, else next
 * @ret_dropped:	what fell out
 *
 * Control thread. Return: how many fell out.
 */
size_t cv_peer_install_keypair(struct cv_peer *peer, struct cv_keypair *keypair,
			       struct cv_keypair *ret_dropped[CV_PEER_DROPPED_MAX]);
/* Something authentic came under this keypair: if it was next it is current now (true). What falls
 * out waits for cv_peer_take_dropped(). Any thread, under RCU. */
bool cv_peer_confirm_keypair(struct cv_peer *peer, const struct cv_keypair *keypair);
/* What a confirmation left behind, or NULL. Control thread. */
struct cv_keypair *cv_peer_take_dropped(struct cv_peer *peer);
/* Whether it is current and no next one waits to take its place. Then only control changes that.
 * Control thread. */
bool cv_peer_keypair_is_last(struct cv_peer *peer, const struct cv_keypair *keypair);
/* What came in both directions, as far as is known, under keypairs in slots and before. The peer
 * has its `probing`. Control thread. */
struct cv_tally cv_peer_tally(struct cv_peer *peer, cv_time now);
/* A keypair fell out of the slots: cv_peer_tally() goes on with what came under it. Control
 * thread. */
void cv_peer_tally_ended(struct cv_peer *peer, struct cv_keypair *keypair);
/* Empty all slots, as cv_peer_install_keypair(). Control thread. */
size_t cv_peer_clear_keypairs(struct cv_peer *peer,
			      struct cv_keypair *ret_dropped[CV_PEER_DROPPED_MAX]);

/* The queue of peers with wishes, many writers, control empties it. */
struct cv_wishes {
	struct cds_wfs_stack stack;
	struct cds_wfs_node *taken; /* control only: taken from the stack in one go, to be served */
};

void cv_wishes_init(struct cv_wishes *wishes);
/* Any thread, under RCU. Return: true when control must be woken (the first wish in an empty
 * queue). */
bool cv_wishes_add(struct cv_wishes *wishes, struct cv_peer *peer, uint32_t bits);
/* Take one peer and its bits; NULL when nobody wishes anything. Never a removed one. Control
 * thread: once woken, it takes until NULL. */
struct cv_peer *cv_wishes_take(struct cv_wishes *wishes, uint32_t *ret_bits);

/* Where to send to. Return: false when there is no endpoint yet. Any thread. */
bool cv_peer_endpoint(struct cv_peer *peer, cv_time now, struct cv_endpoint *ret_remote,
		      struct cv_source *ret_local, bool *ret_plain);
/* The peer was authentically heard at `remote`, on our `local`: roam. Costs a comparison when both
 * are what they were. Any thread. */
void cv_peer_roam(struct cv_peer *peer, const struct cv_endpoint *remote,
		  const struct cv_source *local);
/* Set by the user: drops the cached local address. Control thread. */
void cv_peer_set_endpoint(struct cv_peer *peer, const struct cv_endpoint *remote);
/* Forget the cached local address: it went stale, or a handshake gets no answer. Any thread. */
void cv_peer_clear_source(struct cv_peer *peer);
/* UDP_SEGMENT was refused on the way to this endpoint: plain datagrams until then. Any thread. */
void cv_peer_set_plain(struct cv_peer *peer, cv_time until);
