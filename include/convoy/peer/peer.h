/* A peer: who it is, where it is, its session, its timers, and what it asks control to do. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <urcu/rculist.h>
#include <urcu/wfstack.h>

#include <convoy/base/addr.h>
#include <convoy/base/time.h>
#include <convoy/noise/handshake.h>
#include <convoy/noise/keypair.h>
#include <convoy/peer/deadlines.h>
#include <convoy/peer/index.h>
#include <convoy/peer/stage.h>
#include <convoy/peer/timers.h>

/* What a worker wants of control, as bits of cv_peer.wishes. */
enum {
	CV_WISH_HANDSHAKE = 1 << 0, /* no session, or the session grows old */
	CV_WISH_CONFIRM = 1 << 1,   /* the next keypair was used by the peer: make it current */
	CV_WISH_PLAN = 1 << 2,      /* a timer was armed that lies before timers.planned */
};

struct cv_peer {
	/* Read by workers on the packet path. */
	struct cv_keypair *current;   /* cv_rcu_publish / cv_rcu_read; control writes */
	cv_time last_initiation;      /* atomic: when a handshake message last went out */
	struct cv_timers timers;

	pthread_spinlock_t endpoint_lock; /* guards the four below */
	bool has_endpoint;
	struct cv_endpoint remote;
	struct cv_source local;
	cv_time plain_until;          /* no UDP_SEGMENT to this endpoint before then */

	struct cv_stage stage;

	/* Atomic counters, UDP payload bytes of data, keepalives and handshakes (not cookies). */
	uint64_t tx_bytes, rx_bytes;
	int64_t last_handshake_wall;  /* atomic, ns since the epoch, 0: never */

	uint32_t wishes;              /* atomic CV_WISH_* bits, 0: not queued */
	struct cds_wfs_node wish_node;

	/* Control thread only. */
	uint8_t public_key[32];
	struct cv_handshake *handshake; /* locked memory */
	struct cv_index_entry *handshake_entry;
	struct cv_keypair *next, *previous;
	struct cv_deadline deadline;
	struct cds_list_head all;     /* in cv_peers */
	struct cv_peer *key_next;     /* chain of the key table */
	bool removed;
};

/* All peers of a device, by public key. Control thread only. */
struct cv_peers;

struct cv_peers *cv_peers_new(const uint8_t hash_key[16]);
void cv_peers_free(struct cv_peers *peers);
/* Make a peer with all timers off and no endpoint. The key table hashes with SipHash under
 * hash_key, so that chosen keys do not collide. Return: 0, -EEXIST, -ENOMEM. */
int cv_peers_add(struct cv_peers *peers, const uint8_t public_key[32], struct cv_peer **ret_peer);
struct cv_peer *cv_peers_find(const struct cv_peers *peers, const uint8_t public_key[32]);
/* Unlink; the caller unpublishes it elsewhere and releases it after a grace period. */
void cv_peers_remove(struct cv_peers *peers, struct cv_peer *peer);
size_t cv_peers_count(const struct cv_peers *peers);
struct cds_list_head *cv_peers_all(struct cv_peers *peers);
/* Free what cv_peers_add() made (handshake wiped). Keypairs and entries must be gone. */
void cv_peer_release(void *peer);

/* The queue of peers with wishes, many writers, control empties it. */
struct cv_wishes {
	struct cds_wfs_stack stack;
};

void cv_wishes_init(struct cv_wishes *wishes);
/* Any thread. Return: true when control must be woken (the first wish in an empty queue). */
bool cv_wishes_add(struct cv_wishes *wishes, struct cv_peer *peer, uint32_t bits);
/* Take one peer and its bits; NULL when nobody wishes anything. Control thread. */
struct cv_peer *cv_wishes_take(struct cv_wishes *wishes, uint32_t *ret_bits);

/* Where to send to. Return: false when there is no endpoint yet. Any thread. */
bool cv_peer_endpoint(struct cv_peer *peer, cv_time now, struct cv_endpoint *ret_remote,
		      struct cv_source *ret_local, bool *ret_plain);
/* The peer was authentically heard at `remote`, on our `local`: roam. Any thread. */
void cv_peer_roam(struct cv_peer *peer, const struct cv_endpoint *remote,
		  const struct cv_source *local);
/* Set by the user: drops the cached local address. Control thread. */
void cv_peer_set_endpoint(struct cv_peer *peer, const struct cv_endpoint *remote);
/* Forget the cached local address: it went stale, or a handshake gets no answer. Any thread. */
void cv_peer_clear_source(struct cv_peer *peer);
/* UDP_SEGMENT was refused on the way to this endpoint: plain datagrams until then. Any thread. */
void cv_peer_set_plain(struct cv_peer *peer, cv_time until);
