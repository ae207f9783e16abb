/* What the stages of the path share: the two directions' working memory. */
#pragma once

#include <convoy/path/icmp.h>
#include <convoy/path/path.h>
#include <convoy/path/split.h>

/* Supers on their way out; one per thread. */
struct cv_outbound {
	/* Loaded, grouped by peer in `order`; [next, n) are still to be cut. */
	struct cv_split splits[CV_PATH_SUPERS_MAX];
	struct cv_peer *peers[CV_PATH_SUPERS_MAX];
	uint8_t order[CV_PATH_SUPERS_MAX];
	size_t n, next;

	/* Sealed datagrams lie in the arena one behind the other; trains point into it. */
	uint8_t *arena;
	size_t used;
	struct cv_train trains[CV_PATH_TRAINS_MAX];
	size_t trains_n;
	struct cv_aead_job jobs[CV_BATCH_MAX];
	size_t jobs_n;

	struct cv_icmp_answer icmp[CV_PATH_ICMP_MAX];
	size_t icmp_n;
	unsigned icmp_tokens;
	cv_time icmp_refilled;
};

/* Whose a datagram is, beside batch.pkt[i] and jobs[i]. */
struct cv_arrival {
	struct cv_keypair *keypair;
	struct cv_peer *peer;
	const struct cv_train *train;
};

/* Datagrams on their way in; one per thread. */
struct cv_inbound {
	const struct cv_train *trains;
	size_t trains_n, train; /* [train, trains_n) are still to be taken apart */
	uint32_t offset;        /* bytes of trains[train] already taken */

	struct cv_batch batch;
	struct cv_aead_job jobs[CV_BATCH_MAX];
	struct cv_arrival arrivals[CV_BATCH_MAX];
	struct cv_arrived_handshake handshakes[CV_BATCH_MAX];
	size_t handshakes_n;
	struct cv_arrived_frame frames[CV_BATCH_MAX];
	size_t frames_n;
	struct cv_merge *merge;
};

/* Where the packets of one peer go, read once per group. */
struct cv_destination {
	struct cv_peer *peer;
	struct cv_endpoint remote;
	struct cv_source local;
	bool plain;
};

/* train: append a datagram to the last train when it continues it, else begin a new one. */
void cv_train_add(struct cv_outbound *out, const struct cv_destination *to, uint8_t *datagram,
		  uint32_t size, uint8_t tos);

/* seal: put a packet that lies at datagram + CV_HEADROOM into the burst, padded. Returns the
 * bytes of the datagram. */
uint32_t cv_seal_add(struct cv_outbound *out, const struct cv_keypair *keypair, uint64_t counter,
		     uint8_t *datagram, uint32_t len, uint32_t mtu);
/* seal: encrypt the burst. */
void cv_seal_burst(struct cv_path *path);
/* seal: bytes that a packet of len may need in the arena. */
uint32_t cv_seal_room(uint32_t len);

/* own: whether split, on its way to this peer, is a datagram of ours that would come back again. */
bool cv_own_came_back(const struct cv_path *path, const struct cv_split *split,
		      struct cv_peer *peer, cv_time now);

/* untrain: fill the batch with data messages, the list with handshake messages. */
void cv_untrain(struct cv_path *path, cv_time now);
/* open: decrypt the batch, check replay, tell the peers, hand survivors to merge. */
void cv_open(struct cv_path *path, cv_time now);

/* A wish of a peer, remembered for control. */
static inline void cv_path_wish(struct cv_path *path, struct cv_peer *peer, uint32_t bits)
{
	if (cv_wishes_add(&path->plane->wishes, peer, bits))
		path->wake_control = true;
}

/* Ask for a handshake unless one went out so recently that control would refuse anyway. */
void cv_path_wish_handshake(struct cv_path *path, struct cv_peer *peer, cv_time now);
