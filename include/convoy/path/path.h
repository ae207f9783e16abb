/* The data plane of one thread: outbound (split seal train) and inbound (untrain open merge). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <convoy/base/addr.h>
#include <convoy/base/drop.h>
#include <convoy/base/time.h>
#include <convoy/crypto/aead.h>
#include <convoy/noise/frame.h>
#include <convoy/packet/packet.h>
#include <convoy/path/merge.h>
#include <convoy/peer/index.h>
#include <convoy/peer/peer.h>
#include <convoy/peer/routes.h>
#include <convoy/peer/stage.h>

enum {
	/* Supers of one load; small packets gather up to this many before they are sealed. */
	CV_PATH_SUPERS_MAX = 64,
	CV_PATH_TRAINS_MAX = 1024,
	/* Sealed datagrams of one turn: 16 full supers. */
	CV_PATH_ARENA_SIZE = 16 * 70 * 1024,
	CV_PATH_ICMP_MAX = 8,
};

/* What the paths of all threads of a tunnel share. Set up before the first thread starts. */
struct cv_plane {
	struct cv_routes *routes;
	struct cv_index *index;
	struct cv_stage_pool *pool;
	struct cv_wishes wishes;
	uint32_t mtu; /* atomic: of the TUN, now */
};

/* X(name): packets and bytes that passed. In = out + drops: see cv_path_counts. */
#define CV_PATH_COUNTS(X)                                                                     \
	X(out_supers) /* TUN reads that were valid */                                         \
	X(out_pkts)   /* packets sealed, keepalives not counted */                            \
	X(out_bytes)  /* their IP bytes */                                                    \
	X(out_keepalives)                                                                     \
	X(out_frames)                                                                         \
	X(staged_pkts)   /* packets put on a stage; they are counted again when they leave */ \
	X(unstaged_pkts) /* packets taken from a stage */                                     \
	X(in_datagrams)  /* every datagram received */                                        \
	X(in_handshakes) /* of these: handshake messages handed to control */                 \
	X(in_keepalives) /* of these: empty data messages */                                  \
	X(in_frames)     /* of these: frames of another Convoy, handed to control */          \
	X(in_pkts)       /* of these: packets that reached merge */                           \
	X(in_bytes)      /* their IP bytes */                                                 \
	X(in_supers)     /* TUN writes that they became */                                    \
	X(icmp_sent)     /* ICMP answers written back to the TUN */

/* The path's thread owns it; others ask that thread. */
struct cv_path_counts {
#define X(name) uint64_t name;
	CV_PATH_COUNTS(X)
#undef X
};

/* A handshake message that inbound met: the bytes lie in the receive slot. */
struct cv_arrived_handshake {
	const uint8_t *data;
	uint32_t len;
	const struct cv_train *train;
};

/* A frame that inbound met: authentic, not yet read; the bytes lie in the receive slot. */
struct cv_arrived_frame {
	const uint8_t *text;
	uint32_t len;
	uint32_t session; /* local index of its keypair */
};

/* An ICMP answer for the TUN. */
struct cv_icmp_answer {
	uint16_t len;
	uint8_t data[1280];
};

struct cv_outbound;
struct cv_inbound;

struct cv_path {
	struct cv_plane *plane;
	struct cv_aead aead;
	struct cv_drops drops;
	struct cv_path_counts counts;
	/* Set when a peer's first wish was queued: the caller wakes the control thread, clears it.
	 */
	bool wake_control;
	/* Opens a burst: cv_aead_open() by this path's aead, unless the owner sets another way. */
	void (*open_burst)(struct cv_path *path, struct cv_aead_job *jobs, size_t n);
	struct cv_outbound *out;
	struct cv_inbound *in;
};

/**
 * cv_path_init() - take the memory of one thread's path; nothing is allocated afterwards
 * @choice:	of AEAD providers; NULL for libsodium
 *
 * Return: 0 or -errno.
 */
int cv_path_init(struct cv_path *path, struct cv_plane *plane, const struct cv_aead_choice *choice);
void cv_path_done(struct cv_path *path);

/**
 * cv_path_load() - begin with the supers of one TUN read: check, route, group by peer
 * @supers:	supers[n], n <= CV_PATH_SUPERS_MAX; their memory is used until cv_path_outbound()
 *		has returned true
 */
void cv_path_load(struct cv_path *path, const struct cv_super *supers, size_t n, cv_time now);

/**
 * cv_path_outbound() - split, seal and train what was loaded
 *
 * Appends to the trains of cv_path_trains(). What has no session is staged.
 *
 * Return: true when all is done; false when there is no room left: send the trains, call
 * cv_path_sent(), and call again.
 */
bool cv_path_outbound(struct cv_path *path, cv_time now);

/* Seal what is staged for a peer, in the same way. true: all of it; false: send and call again. */
bool cv_path_unstage(struct cv_path *path, struct cv_peer *peer, cv_time now);

/* Seal a keepalive. Return: false when there is no session to send it under. */
bool cv_path_keepalive(struct cv_path *path, struct cv_peer *peer, cv_time now);

/**
 * cv_path_frame() - seal a frame under this keypair of the peer
 * @size:	bytes that its plaintext has, zeros behind the frame, up to CV_IP_MAX; 0: no more
 * than every message is padded to
 *
 * Return: false when it cannot send.
 */
bool cv_path_frame(struct cv_path *path, struct cv_peer *peer, struct cv_keypair *keypair,
		   const struct cv_frame *frame, uint32_t size, cv_time now);

/* The trains to send, in order; train->owner is the peer, good until the thread's next quiescent
 * state. Return: how many. */
size_t cv_path_trains(struct cv_path *path, struct cv_train **ret_trains);

/**
 * cv_path_sent() - the first n trains are done with
 *
 * Carries what the send edge found out to the peers: stale sources are forgotten, endpoints that
 * refuse UDP_SEGMENT get plain datagrams for a while. When all trains are sent the room is free
 * again; else the rest stay first in line, without owner.
 */
void cv_path_sent(struct cv_path *path, size_t n, cv_time now);

/* ICMP answers that outbound made since the last call, for the TUN. Return: how many. */
size_t cv_path_icmp(struct cv_path *path, const struct cv_icmp_answer **ret_answers);

/* Begin with received trains; borrowed until cv_path_inbound() has returned 0 more. */
void cv_path_receive(struct cv_path *path, const struct cv_train *trains, size_t n);

/* What one step of inbound gives: TUN writes in order, handshake messages, and frames. */
struct cv_inbound_step {
	const struct cv_gather *gathers;
	size_t gathers_n;
	const struct cv_arrived_handshake *handshakes;
	size_t handshakes_n;
	const struct cv_arrived_frame *frames;
	size_t frames_n;
};

/**
 * cv_path_inbound() - untrain, open and merge up to CV_BATCH_MAX datagrams
 *
 * Return: true when ret_step holds something to do, false when all was done before.
 */
bool cv_path_inbound(struct cv_path *path, struct cv_merge_offloads offloads, cv_time now,
		     struct cv_inbound_step *ret_step);

/* The packets of gather n of the last step, one by one (cv_merge_undo()). */
size_t cv_path_unmerge(struct cv_path *path, size_t n, struct cv_pkt **ret_pkts);
