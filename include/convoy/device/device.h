/* The running tunnel: a control thread's half (handshakes, timers, links) and N data workers. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <convoy/base/time.h>
#include <convoy/config/config.h>
#include <convoy/loop/loop.h>

struct cv_device;

enum { CV_CAPABILITIES_TEXT_MAX = 256 };

/* The kind of loop that the config asks for, of control and workers alike. */
enum cv_loop_kind cv_device_loop_kind(const struct cv_config *config);

/* What is not in the config: who sets the interface up. */
struct cv_device_options {
	/* Somebody else gives it addresses and routes and brings it up, as with kernel WireGuard:
	 * we make the link, fit its offloads and follow it. The MTU is the config's, or else 1420
	 * on a link that we made. */
	bool bare;
	int tun_fd; /* a TUN made by somebody else, with one queue, now ours; -1: we make it */
};

/**
 * cv_device_new() - make the interface, set it up, start the workers
 * @config:	borrowed for the call; without a private key the device is nobody and silent
 * @loop:	the calling thread's loop; the device adds its watches to it
 *
 * The calling thread becomes the control thread: every call but none else comes from it. What was
 * done is undone when a later step fails, and the reason is logged. Nothing waits for the network:
 * a peer whose endpoint is a name has none until cv_device_change_peer() says where it is.
 *
 * Return: 0 or -errno.
 */
int cv_device_new(const struct cv_config *config, const struct cv_device_options *options,
		  struct cv_loop *loop, struct cv_device **ret_device);

/* Stop the workers, undo what was done to the host, wipe all keys. Takes NULL. */
void cv_device_free(struct cv_device *device);

/* When cv_device_turn() wants to be called at the latest. */
cv_time cv_device_deadline(const struct cv_device *device);

/* The control thread's work: handshake messages, wishes of peers, timers. After each loop turn. */
void cv_device_turn(struct cv_device *device, cv_time now);

/* The interface was deleted under us: there is nothing left to do but to end. */
bool cv_device_is_gone(const struct cv_device *device);

/* "loop=io_uring workers=1 tso=yes uso=yes gso=yes gro=yes aead=ipsec-mb/openssl": the AEAD
 * provider of full packets, and that of small ones when it is another. */
const char *cv_device_capabilities(const struct cv_device *device,
				   char ret_text[CV_CAPABILITIES_TEXT_MAX]);

/**
 * cv_device_stats() - visit every counter, "drop.replay" and its like
 *
 * Names are stable. Counters of workers are summed. A snapshot of running threads: each number is
 * whole, sums between them hold only when traffic rests.
 */
void cv_device_stats(struct cv_device *device,
		     void (*visit)(void *arg, const char *name, uint64_t value), void *arg);

/*
 * For a watchdog: whether the workers live. Poke them all; each one's pulse then differs from what
 * it was before, unless that worker hangs.
 */
size_t cv_device_workers(const struct cv_device *device);
void cv_device_poke(struct cv_device *device);
/* Turns that the loop of this worker has made, [0, cv_device_workers()). */
uint64_t cv_device_pulse(const struct cv_device *device, size_t worker);
