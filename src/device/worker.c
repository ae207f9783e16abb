/*
 * A worker's thread: readiness in, packets through, and nothing else.
 *
 * How it works. One turn of the loop calls each ready watch once, with a budget: the TUN for up to
 * CV_WORKER_BATCHES batches (each read, sealed while it is in the cache, and sent
 * CV_WORKER_SEND_BATCHES at a time with one call a family), each socket for one receive (up to 64
 * trains, opened, merged, written, some trains at a time). A watch that has more to do says so and
 * is called again in the next turn. No timer delays a packet.
 *
 * Backpressure: when a socket has no room the trains stay in the arena, the TUN is not read any
 * more, and the kernel's queues fill up as those of a slow NIC do. POLLOUT resumes.
 *
 * A turn's end is a quiescent state of RCU: no pointer to a peer, keypair or route outlives it.
 */
#include "worker.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <convoy/noise/cookie.h>
#include <convoy/path/split.h>
#include <convoy/peer/rcu.h>

enum {
	/* How long an offload that the kernel refused at run time stays off. Not tuned. */
	OFFLOAD_OFF_S = 60,
	/* Of so many handshake messages that need no answer, one gets it. Not tuned. */
	ANSWER_ANYWAY = 16,
};

/* Outbound -------------------------------------------------------------------------------- */

static struct cv_watch *watch_of(struct cv_worker *worker, int fd)
{
	return fd == worker->udp.fd4 ? &worker->udp4_watch : &worker->udp6_watch;
}

/* Send the trains that are there; when a socket is full they wait and so does the TUN. */
static void flush(struct cv_worker *worker, cv_time now)
{
	struct cv_train *trains;
	size_t n = cv_path_trains(&worker->path, &trains), sent = 0;
	int fd = -1, r;

	worker->blocked = false;
	if (!n)
		return;
	r = cv_udp_send(&worker->udp, trains, n, &worker->path.drops, &sent, &fd);
	cv_path_sent(&worker->path, sent, now);
	if (worker->want_gso && !worker->udp.gso && !worker->gso_probe)
		worker->gso_probe = now + OFFLOAD_OFF_S * CV_NS_PER_S;
	if (r == -EAGAIN && cv_loop_want_write(worker->loop, watch_of(worker, fd)) == 0)
		worker->blocked = true;
}

/* A packet of ours for the TUN: nothing to merge, checksums complete. */
static void write_answers(struct cv_worker *worker)
{
	const struct cv_icmp_answer *answers;
	size_t n = cv_path_icmp(&worker->path, &answers);

	for (size_t i = 0; i < n; i++) {
		struct cv_gather gather = { .iovs = 2, .pkts = 1, .len = answers[i].len };
		struct iovec iov[2] = {
			{ &gather.vnet, sizeof(gather.vnet) },
			{ (void *)(uintptr_t)answers[i].data, answers[i].len },
		};

		gather.iov = iov;
		if (cv_tun_write(&worker->tun, &gather) < 0)
			cv_drops_add(&worker->path.drops, CV_DROP_TUN_WRITE, 1);
	}
}

/* Seal one load; send in between as often as the arena is full. false: a socket has no room. */
static bool seal_load(struct cv_worker *worker, cv_time now)
{
	while (!cv_path_outbound(&worker->path, now)) {
		flush(worker, now);
		if (worker->blocked)
			return false;
	}
	return true;
}

static bool tun_ready(struct cv_watch *watch, uint32_t revents)
{
	struct cv_worker *worker = watch->owner;
	struct cv_super supers[CV_PATH_SUPERS_MAX];
	cv_time now = cv_clock_now();
	bool empty = false;

	if (worker->blocked || !worker->attached) /* both call the TUN again when they end */
		return false;
	if (worker->gso_probe && now >= worker->gso_probe) {
		worker->gso_probe = 0;
		cv_udp_reprobe(&worker->udp);
	}
	if (!seal_load(worker, now)) /* what a full socket interrupted */
		return false;
	for (int i = 0; i < CV_WORKER_BATCHES && !empty; i++) {
		int n = cv_tun_read(&worker->tun, worker->tun_mem, CV_WORKER_TUN_MEM,
				    CV_WORKER_BATCH_BYTES, supers, CV_PATH_SUPERS_MAX,
				    &worker->path.drops, &empty);

		if (n < 0) { /* deleted: control hears of it by netlink */
			empty = true;
			break;
		}
		cv_path_load(&worker->path, supers, (size_t)n, now);
		if (!seal_load(worker, now))
			return false;
		if ((i + 1) % CV_WORKER_SEND_BATCHES == 0)
			flush(worker, now);
		if (worker->blocked)
			return false;
	}
	flush(worker, now);
	write_answers(worker);
	return !empty && !worker->blocked;
}

/* Inbound --------------------------------------------------------------------------------- */

static struct cv_worker *worker_of(struct cv_path *path)
{
	return (struct cv_worker *)((char *)path - offsetof(struct cv_worker, path));
}

/* Wake as many idle workers as the burst has work for, beside us. */
static void call_helpers(struct cv_worker *worker, size_t jobs)
{
	size_t wanted = jobs / CV_SHARE_MIN;

	for (size_t i = 0; i < worker->team_n && wanted; i++) {
		struct cv_worker *other = &worker->team[i];

		if (other == worker || !__atomic_load_n(&other->idle, __ATOMIC_ACQUIRE))
			continue;
		cv_loop_wake(other->loop);
		wanted--;
	}
}

static void open_shared(struct cv_path *path, struct cv_aead_job *jobs, size_t n)
{
	struct cv_worker *worker = worker_of(path);

	if (n < CV_SHARE_MIN) {
		cv_aead_open(&path->aead, jobs, n);
		return;
	}
	cv_share_begin(&worker->share, jobs, n);
	call_helpers(worker, n);
	cv_share_finish(&worker->share, &path->aead);
}

/* Help others as long as there is something to help with. */
static void help(struct cv_worker *worker)
{
	bool any = worker->team_n > 1;

	while (any) {
		any = false;
		for (size_t i = 0; i < worker->team_n; i++)
			if (&worker->team[i] != worker &&
			    cv_share_help(&worker->team[i].share, &worker->path.aead))
				any = true;
	}
}

/* The TUN does not take this super: the packets go one by one, and supers of its kind rest. */
static void write_singly(struct cv_worker *worker, const struct cv_gather *gather, size_t n,
			 cv_time now)
{
	struct cv_pkt *pkts[CV_BATCH_MAX];
	struct cv_gather single = { .iovs = 2, .pkts = 1 };
	cv_time until = now + OFFLOAD_OFF_S * CV_NS_PER_S;
	size_t count;

	if (gather->vnet.gso_type == CV_VNET_GSO_UDP_L4)
		worker->uso_off_until = until;
	else
		worker->tso_off_until = until;
	count = cv_path_unmerge(&worker->path, n, pkts);
	for (size_t i = 0; i < count; i++) {
		struct iovec iov[2] = {
			{ &single.vnet, sizeof(single.vnet) },
			{ pkts[i]->data, pkts[i]->len },
		};

		single.iov = iov;
		single.len = pkts[i]->len;
		if (cv_tun_write(&worker->tun, &single) < 0)
			cv_drops_add(&worker->path.drops, CV_DROP_TUN_WRITE, 1);
	}
}

static void write_step(struct cv_worker *worker, const struct cv_inbound_step *step, cv_time now)
{
	for (size_t first = 0, n; first < step->gathers_n; first += n) {
		int results[CV_WRITER_MAX];

		n = step->gathers_n - first < CV_WRITER_MAX ? step->gathers_n - first
							    : CV_WRITER_MAX;
		cv_tun_write_many(&worker->tun, worker->writer, step->gathers + first, (unsigned)n,
				  results);
		for (size_t i = 0; i < n; i++) {
			const struct cv_gather *gather = &step->gathers[first + i];

			if (results[i] == -EINVAL && gather->pkts > 1)
				write_singly(worker, gather, first + i, now);
			else if (results[i] < 0)
				cv_drops_add(&worker->path.drops, CV_DROP_TUN_WRITE, gather->pkts);
		}
	}
}

/* A slot for control; the caller fills it and pushes. NULL, counted: the ring is full. */
static struct cv_ring_message *take_slot(struct cv_worker *worker, bool known)
{
	struct cv_ring_message *slot = cv_ring_free_slot(&worker->ring, known);

	if (!slot)
		cv_drops_add(&worker->path.drops, CV_DROP_HANDSHAKE_QUEUE, 1);
	return slot;
}

static void push(struct cv_worker *worker)
{
	cv_ring_push(&worker->ring);
	worker->messages = true;
}

/* Who shows a cookie was sent one; it may be a lie, which costs the ones that tell the truth no
 * more than before. */
static bool shows_cookie(const struct cv_arrived_handshake *handshake)
{
	return handshake->len >= sizeof(struct cv_message_response) &&
	       cv_cookie_has_mac2(handshake->data, handshake->len);
}

/*
 * Whether a handshake message need not be answered: its sender was sent a cookie a moment ago,
 * shows none, and asks again sooner than a peer does. Not always, or whoever sends in the name of a
 * peer could keep that peer from ever getting its cookie.
 */
static bool is_silenced(struct cv_worker *worker, const struct cv_arrived_handshake *handshake,
			cv_time now)
{
	if (!worker->answered || handshake->len < sizeof(struct cv_message_response) ||
	    shows_cookie(handshake) ||
	    !cv_lately_has(worker->answered, &handshake->train->remote, now))
		return false;
	return ++worker->silenced % ANSWER_ANYWAY != 0;
}

static void pass_handshakes(struct cv_worker *worker, const struct cv_inbound_step *step,
			    cv_time now)
{
	for (size_t i = 0; i < step->handshakes_n; i++) {
		const struct cv_arrived_handshake *handshake = &step->handshakes[i];
		struct cv_ring_message *slot;

		if (is_silenced(worker, handshake, now)) {
			cv_drops_add(&worker->path.drops, CV_DROP_HANDSHAKE_COOKIE, 1);
			continue;
		}
		slot = take_slot(worker, shows_cookie(handshake));
		if (!slot)
			continue;
		slot->is_frame = false;
		slot->remote = handshake->train->remote;
		slot->local = handshake->train->local;
		slot->len = (uint16_t)handshake->len;
		memcpy(slot->data, handshake->data, handshake->len);
		push(worker);
	}
}

static void pass_frames(struct cv_worker *worker, const struct cv_inbound_step *step, cv_time now)
{
	for (size_t i = 0; i < step->frames_n; i++) {
		const struct cv_arrived_frame *frame = &step->frames[i];
		struct cv_ring_message *slot = take_slot(worker, true);

		if (!slot)
			continue;
		slot->is_frame = true;
		slot->session = frame->session;
		slot->size = frame->len;
		slot->when = now;
		slot->len = frame->len < CV_FRAME_MAX ? (uint16_t)frame->len : CV_FRAME_MAX;
		memcpy(slot->data, frame->text, slot->len);
		push(worker);
	}
}

static bool receive(struct cv_worker *worker, int fd, cv_time now)
{
	struct cv_merge_offloads offloads = {
		.tcp = worker->tun.granted.tso && now >= worker->tso_off_until,
		.udp = worker->tun.granted.uso && now >= worker->uso_off_until,
	};
	struct cv_inbound_step step;
	bool empty = false;
	int n = cv_udp_receive(&worker->udp, fd, worker->slots, worker->received,
			       &worker->path.drops, &empty);

	if (n < 0)
		return false;
	cv_path_receive(&worker->path, worker->received, (size_t)n);
	while (cv_path_inbound(&worker->path, offloads, now, &step)) {
		write_step(worker, &step, now);
		pass_handshakes(worker, &step, now);
		pass_frames(worker, &step, now);
	}
	return !empty;
}

static bool udp_ready(struct cv_watch *watch, uint32_t revents)
{
	struct cv_worker *worker = watch->owner;
	cv_time now = cv_clock_now();

	if ((revents & POLLOUT) && worker->blocked) {
		flush(worker, now);
		if (!worker->blocked) /* what waits may be a load that is half sealed */
			cv_loop_again(worker->loop, &worker->tun_watch);
	}
	return receive(worker, watch->fd, now);
}

/* The thread ------------------------------------------------------------------------------ */

void cv_worker_attach(struct cv_worker *worker)
{
	if (worker->attached)
		return;
	worker->udp4_watch = (struct cv_watch){ worker->udp.fd4, udp_ready, worker };
	worker->udp6_watch = (struct cv_watch){ worker->udp.fd6, udp_ready, worker };
	if (worker->udp.fd4 >= 0)
		cv_loop_add(worker->loop, &worker->udp4_watch);
	if (worker->udp.fd6 >= 0)
		cv_loop_add(worker->loop, &worker->udp6_watch);
	worker->attached = true;
	cv_loop_again(worker->loop, &worker->tun_watch);
}

void cv_worker_detach(struct cv_worker *worker)
{
	struct cv_train *trains;
	size_t n;

	if (!worker->attached)
		return;
	if (worker->udp.fd4 >= 0)
		cv_loop_remove(worker->loop, &worker->udp4_watch);
	if (worker->udp.fd6 >= 0)
		cv_loop_remove(worker->loop, &worker->udp6_watch);
	worker->attached = false;
	n = cv_path_trains(&worker->path, &trains);
	for (size_t i = 0; i < n; i++)
		cv_drops_add(&worker->path.drops, CV_DROP_SEND_REFUSED, trains[i].segs);
	cv_path_sent(&worker->path, n, 0);
	worker->blocked = false;
}

static int thread_open(struct cv_worker *worker)
{
	int r = cv_loop_new(worker->loop_kind, &worker->loop);

	if (r == 0)
		r = cv_writer_new(worker->loop_kind, &worker->writer);
	if (r < 0)
		return r;
	worker->tun_watch = (struct cv_watch){ worker->tun.fd, tun_ready, worker };
	return cv_loop_add(worker->loop, &worker->tun_watch);
}

/* The worker of this thread, for the calls around a wait, which have no argument. */
static _Thread_local struct cv_worker *own;

static void wait_begins(void)
{
	__atomic_store_n(&own->idle, true, __ATOMIC_RELEASE);
	cv_rcu_offline();
}

static void wait_ends(void)
{
	cv_rcu_online();
	__atomic_store_n(&own->idle, false, __ATOMIC_RELAXED);
}

/* The end of a turn: help others, tell control, answer its call, let go of RCU pointers. */
static void turn_end(struct cv_worker *worker)
{
	struct cv_worker_call *call = __atomic_load_n(&worker->call, __ATOMIC_ACQUIRE);

	__atomic_store_n(&worker->turns, worker->turns + 1, __ATOMIC_RELAXED);
	help(worker);
	if (call) {
		__atomic_store_n(&worker->call, NULL, __ATOMIC_RELAXED);
		call->fn(worker);
		sem_post(&call->done);
	}
	if (worker->path.wake_control || worker->messages) {
		worker->path.wake_control = worker->messages = false;
		cv_loop_wake(worker->control);
	}
	cv_rcu_quiescent();
}

static void *thread_main(void *arg)
{
	struct cv_worker *worker = arg;
	int r;

	own = worker;
	cv_rcu_register();
	r = thread_open(worker);
	worker->start_result = r;
	sem_post(&worker->started);
	while (r >= 0 && !__atomic_load_n(&worker->stop, __ATOMIC_ACQUIRE)) {
		cv_loop_turn(worker->loop, CV_TIME_NEVER, wait_begins, wait_ends);
		turn_end(worker);
	}
	if (worker->loop) {
		cv_worker_detach(worker);
		cv_loop_remove(worker->loop, &worker->tun_watch);
	}
	cv_rcu_unregister();
	return NULL;
}

int cv_worker_start(struct cv_worker *worker)
{
	int r = pthread_create(&worker->thread, NULL, thread_main, worker);

	if (r)
		return -r;
	worker->running = true;
	while (sem_wait(&worker->started) < 0 && errno == EINTR)
		;
	return worker->start_result;
}

void cv_worker_run(struct cv_worker *worker, void (*fn)(struct cv_worker *worker))
{
	struct cv_worker_call call = { .fn = fn };

	sem_init(&call.done, 0, 0);
	__atomic_store_n(&worker->call, &call, __ATOMIC_RELEASE);
	cv_loop_wake(worker->loop);
	while (sem_wait(&call.done) < 0 && errno == EINTR)
		;
	sem_destroy(&call.done);
}

int cv_worker_init(struct cv_worker *worker, struct cv_plane *plane,
		   const struct cv_aead_choice *choice)
{
	int r = cv_path_init(&worker->path, plane, choice);

	worker->path.open_burst = open_shared;
	sem_init(&worker->started, 0, 0);
	worker->udp.fd4 = worker->udp.fd6 = -1;
	worker->tun_mem = aligned_alloc(64, CV_WORKER_TUN_MEM);
	worker->slots = aligned_alloc(4096, (size_t)CV_UDP_RECEIVE_MAX * CV_UDP_SLOT_SIZE);
	worker->ring.slots = calloc(CV_RING_SLOTS, sizeof(*worker->ring.slots));
	if (r == 0 && (!worker->tun_mem || !worker->slots || !worker->ring.slots))
		r = -ENOMEM;
	return r;
}

void cv_worker_stop(struct cv_worker *worker)
{
	if (!worker->running)
		return;
	__atomic_store_n(&worker->stop, true, __ATOMIC_RELEASE);
	if (worker->loop)
		cv_loop_wake(worker->loop);
	pthread_join(worker->thread, NULL);
	worker->running = false;
}

void cv_worker_done(struct cv_worker *worker)
{
	cv_loop_free(worker->loop);
	worker->loop = NULL;
	cv_writer_free(worker->writer);
	worker->writer = NULL;
	cv_udp_close(&worker->udp);
	cv_tun_close(&worker->tun);
	cv_path_done(&worker->path);
	free(worker->tun_mem);
	free(worker->slots);
	free(worker->ring.slots);
	worker->tun_mem = worker->slots = NULL;
	worker->ring.slots = NULL;
}
