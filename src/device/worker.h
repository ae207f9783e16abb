/* A worker: one thread, one loop, one TUN queue, one pair of UDP sockets, one path. */
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <stdalign.h>

#include <convoy/io/tun.h>
#include <convoy/io/udp.h>
#include <convoy/loop/loop.h>
#include <convoy/noise/lately.h>
#include <convoy/path/path.h>

#include "ring.h"
#include "share.h"

enum {
	/* Batches of one turn of the TUN, and after how many of them what is sealed is sent.
	 * Sixteen, sent at once, are no faster, and cost a ping beside a flow 0.3 ms. */
	CV_WORKER_BATCHES = 8,
	CV_WORKER_SEND_BATCHES = 4,
	/* Bytes after which a TUN read makes a batch: one full super, or many small packets. */
	CV_WORKER_BATCH_BYTES = 32 * 1024,
	CV_WORKER_TUN_MEM = CV_WORKER_BATCH_BYTES + 2 * 65536,
};

struct cv_worker;

/* A call that control makes a worker perform in its own thread. */
struct cv_worker_call {
	void (*fn)(struct cv_worker *worker);
	sem_t done;
};

/* A copy of a worker's counters, taken in its thread. */
struct cv_worker_snapshot {
	struct cv_drops drops;
	struct cv_path_counts path;
	struct cv_udp udp;
	struct cv_tun tun;
	uint64_t turns;
};

struct cv_worker {
	struct cv_loop *control; /* to be woken when there is something for control */
	enum cv_loop_kind loop_kind;
	bool want_gso;
	struct cv_worker *team; /* all workers of the device, this one among them */
	size_t team_n;

	pthread_t thread;
	bool running;                /* thread exists: control's own note */
	bool stop;                   /* atomic */
	struct cv_worker_call *call; /* atomic; NULL: none */
	sem_t started;
	int start_result;

	struct cv_loop *loop;     /* made and freed by the thread */
	struct cv_writer *writer; /* to the TUN; as the loop */
	struct cv_tun tun;        /* opened by control before the thread starts */
	struct cv_udp udp;        /* opened by control while no watch is on it */
	bool attached;            /* the thread watches udp */
	struct cv_path path;

	struct cv_share share; /* the burst that others may help with */
	bool idle;             /* atomic: waits for something to do */

	struct cv_watch tun_watch, udp4_watch, udp6_watch;
	bool blocked; /* trains wait for room in a socket, the TUN is not read */
	const struct cv_lately *answered; /* whom control sent a cookie; NULL: nobody */
	unsigned silenced;                /* messages of theirs that got no further */
	bool messages;                    /* some were pushed since control was woken */
	cv_time gso_probe; /* when to try UDP_SEGMENT again after it was switched off */
	cv_time tso_off_until, uso_off_until; /* the TUN refused such a super */

	uint8_t *tun_mem;
	uint8_t *slots;
	struct cv_train received[CV_UDP_RECEIVE_MAX];
	struct cv_ring ring;
	alignas(8) uint64_t turns;          /* atomic: written by the thread, read by control */
	struct cv_worker_snapshot snapshot; /* the last one that control asked for */
};

/**
 * cv_worker_init() - take a worker's memory; tun is opened by the caller before
 *
 * Return: 0 or -errno.
 */
int cv_worker_init(struct cv_worker *worker, struct cv_plane *plane,
		   const struct cv_aead_choice *choice);
/* End the thread and wait for it. Harmless when it never ran. */
void cv_worker_stop(struct cv_worker *worker);
/* Close tun and udp and free all. The whole team is stopped: its threads wake each other's loops.
 * Harmless on a zeroed worker. */
void cv_worker_done(struct cv_worker *worker);

/* Start the thread; returns when its loop stands. Return: 0 or -errno. */
int cv_worker_start(struct cv_worker *worker);

/* Run fn in the worker's thread, between two turns, and wait for it. */
void cv_worker_run(struct cv_worker *worker, void (*fn)(struct cv_worker *worker));

/* For cv_worker_run(): begin to watch udp, and cease to (trains that wait are dropped, counted). */
void cv_worker_attach(struct cv_worker *worker);
void cv_worker_detach(struct cv_worker *worker);
