/* The control thread's half of a device, shared by its files. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <convoy/config/config.h>
#include <convoy/crypto/key.h>
#include <convoy/crypto/secret.h>
#include <convoy/device/device.h>
#include <convoy/io/udp.h>
#include <convoy/noise/cookie.h>
#include <convoy/noise/handshake.h>
#include <convoy/noise/lately.h>
#include <convoy/noise/ratelimit.h>
#include <convoy/path/path.h>
#include <convoy/peer/asking.h>
#include <convoy/peer/peer.h>

#include "iface.h"
#include "worker.h"

enum {
	/* Sources that a handshake limiter can tell apart: 4096 slots of 24 bytes. */
	CV_DEVICE_LIMIT_SLOTS = 4096,
	/* Handshakes of a source that proved to be there, under load. Kernel ratelimiter.c:
	 * PACKETS_PER_SECOND, PACKETS_BURSTABLE. */
	CV_DEVICE_PROVEN_PER_S = 20,
	CV_DEVICE_PROVEN_BURST = 5,
	/* Of one that did not, before it is asked to: many peers may share an address. No single
	 * source fills a turn. */
	CV_DEVICE_UNPROVEN_PER_S = 100,
	CV_DEVICE_UNPROVEN_BURST = 50,
	/* Of one turn of control: handshakes, which cost up to 0.2 ms each, and messages of which
	 * we get rid for less. */
	CV_DEVICE_HANDSHAKES_TURN = 64,
	CV_DEVICE_MESSAGES_TURN = 1024,
	/* Messages waiting after that above which we are under load: an eighth of a ring. */
	CV_DEVICE_LOAD_MESSAGES = CV_RING_SLOTS / 8,
	/* Messages under load after which a new second of it begins: so long as more come in one,
	 * it does not end. */
	CV_DEVICE_LOAD_STAYS = 1000,
	/* Cookie replies for which one look at the source of randomness is enough. */
	CV_DEVICE_NONCES = 64,
};

/* Handshake events, counted by control. */
struct cv_device_counts {
	uint64_t initiations_sent, responses_sent, cookies_sent, sessions;
	uint64_t grants, grants_empty;
};

/* Whom we ask for our addresses, and what he answered. */
struct cv_device_asking {
	struct cv_asking when;
	struct cv_key whom; /* while when.on */
	bool has_grant;     /* which nobody took yet */
	struct cv_grant grant;
};

struct cv_device {
	struct cv_loop *loop;
	struct cv_iface iface;
	struct cv_udp_options udp_options;
	bool up; /* the link is up and the sockets are open */

	struct cv_aead_choice aead;
	struct cv_suite_offer offer; /* of these, what the config allows */
	struct cv_plane plane;
	struct cv_graveyard graveyard;
	struct cv_vault secrets; /* identity and cookie checker */
	struct cv_vault keypairs;
	struct cv_vault suites; /* keys of other suites than WireGuard's */
	struct cv_identity *self;
	struct cv_cookie_checker *cookies;
	struct cv_ratelimit proven, unproven;
	struct cv_ratelimit_slot proven_slots[CV_DEVICE_LIMIT_SLOTS];
	struct cv_ratelimit_slot unproven_slots[CV_DEVICE_LIMIT_SLOTS];
	struct cv_lately answered; /* with a cookie */
	uint8_t nonces[CV_DEVICE_NONCES][24];
	unsigned nonces_left;
	cv_time loaded_until; /* under load until then */
	unsigned crowd;       /* messages since that was set */
	bool messages_left;   /* a turn's budget ended before the rings were empty */

	struct cv_peers *peers;
	struct cv_deadlines deadlines;
	struct cv_device_asking asking;

	struct cv_path path; /* control's own: staged packets, keepalives, its drops */
	struct cv_udp udp;   /* worker 0's sockets, shared */
	struct cv_device_counts counts;

	void (*asked)(void *arg, const struct cv_key *public_key); /* handover.h; or NULL */
	void *asked_arg;

	struct cv_worker *workers; /* worker[n_workers] */
	size_t n_workers;
};

/* peers.c: what control does for a peer. */

/* Whether this is our own key; nobody's while we are nobody. */
bool cv_device_is_us(const struct cv_device *device, const struct cv_key *public_key);
/* A peer without anything but its key, which is not ours. Return: 0, -EEXIST, -ENOMEM. */
int cv_device_add_peer(struct cv_device *device, const struct cv_key *public_key,
		       struct cv_peer **ret_peer);
/* Unpublish; freed with the next burial. */
void cv_device_remove_peer(struct cv_device *device, struct cv_peer *peer);
/* Act on the peer's timers that are due, and look at them again when the next one is. */
void cv_device_fire_timers(struct cv_device *device, struct cv_peer *peer, cv_time now);
/* A timer was armed: look at the peer in time. */
void cv_device_plan(struct cv_device *device, struct cv_peer *peer);
/* Send what is staged, or a keepalive when nothing is; start a handshake when there is no session.
 * Kernel: wg_packet_send_keepalive(). */
void cv_device_send_keepalive(struct cv_device *device, struct cv_peer *peer, cv_time now);
/* Send the trains of control's own path. */
void cv_device_flush(struct cv_device *device, cv_time now);
/* The wishes that workers queued. */
void cv_device_grant_wishes(struct cv_device *device, cv_time now);
/* Our port changed: whoever has a session with us hears from the new one, and roams after us. */
void cv_device_announce(struct cv_device *device, cv_time now);
/* The way out of the host may have changed: forget all cached local addresses. */
void cv_device_forget_sources(struct cv_device *device);
/* The link went down or came up: sessions end, or begin where a keepalive is configured. */
void cv_device_peers_down(struct cv_device *device);
void cv_device_peers_up(struct cv_device *device, cv_time now);

/* A session came up, by a response consumed or by the first data under `next`. */
void cv_device_handshake_complete(struct cv_device *device, struct cv_peer *peer);

/* The link came up: open sockets, begin. On failure, which is logged, the device stays down.
 * Return: 0 or -errno. */
int cv_device_go_up(struct cv_device *device);
void cv_device_go_down(struct cv_device *device);

/* handshake.c: messages 1 to 3. */

/* Send an initiation unless a handshake message went out less than REKEY_TIMEOUT ago.
 * is_retry: keeps counting attempts. */
void cv_device_initiate(struct cv_device *device, struct cv_peer *peer, bool is_retry, cv_time now);
/* Nobody has sent anything yet, and nobody can choose where he stands in the tables. */
void cv_device_init_limits(struct cv_device *device);
/* Take handshake messages out of the workers' rings, within a turn's budget. */
void cv_device_receive_handshakes(struct cv_device *device, cv_time now);

/* sockets.c: the sockets of all workers, whose threads run. */

/* Open a set on the port of device->udp_options and put it in the place of what was there; on
 * failure, which is logged, that stays. Return: 0 or -errno. */
int cv_sockets_open(struct cv_device *device);
void cv_sockets_close(struct cv_device *device);
/* Of all that are open; on failure all keep that of device->udp_options. Return: 0 or -errno. */
int cv_sockets_set_mark(struct cv_device *device, uint32_t fwmark);

/* frames.c: what two Convoys say to each other. */

/* Seal a frame under this keypair of the peer, its plaintext of `size` bytes (0: as it is), and
 * send it. Return: false when the session cannot send. */
bool cv_device_say(struct cv_device *device, struct cv_peer *peer, struct cv_keypair *keypair,
		   const struct cv_frame *frame, uint32_t size, cv_time now);
/* A session that we began is there: ask whether the peer is a Convoy, unless we know better. */
void cv_device_say_hello(struct cv_device *device, struct cv_peer *peer, cv_time now);
/* We stop: tell every Convoy that has a session with us. */
void cv_device_say_goodbye(struct cv_device *device, cv_time now);
/* A frame out of a ring. */
void cv_device_receive_frame(struct cv_device *device, const struct cv_ring_message *message,
			     cv_time now);

/* probe.c: the path to another Convoy. */

/* Whether it is one has changed, perhaps. Return: whether probes are sent from now on, of which the
 * caller sends the first. */
bool cv_device_mind_probes(struct cv_peer *peer);
/* Data flows, or may from now on: look at the path. */
void cv_device_probe(struct cv_device *device, struct cv_peer *peer, cv_time now);
/* Send one probe of that many bytes; one above CV_PMTU_BASE must arrive whole. Return: 0 or -errno
 * (-EMSGSIZE: this host sends no such thing whole; -ENOTCONN: there is no session). */
int cv_device_send_probe(struct cv_device *device, struct cv_peer *peer, uint32_t size,
			 cv_time now);
/* A probe came at `when` in a message with `size` bytes of plaintext: answer it. Return: 0, or
 * -ENOTSUP when it is not heeded. */
int cv_device_receive_probe(struct cv_device *device, const struct cv_index_entry *entry,
			    const struct cv_frame *probe, uint32_t size, cv_time when, cv_time now);
/* An echo came at `when`; what no probe waits for is late, or came twice. */
void cv_device_receive_echo(struct cv_device *device, const struct cv_index_entry *entry,
			    const struct cv_frame *echo, cv_time when);
/* Probes were not answered in time. */
void cv_device_give_up_probes(struct cv_device *device, struct cv_peer *peer, cv_time now);

/* handover.c: a request of the peer. Return: 0, or -EBUSY so soon behind another. */
int cv_device_hear_request(struct cv_device *device, struct cv_peer *peer, cv_time now);

/* pmtu.c: what the path to another Convoy, whose `probing` is there, carries. */

/* Data flows: see whether what is in use still passes, and look for more when it is time. */
void cv_device_confirm_mtu(struct cv_device *device, struct cv_peer *peer, cv_time now);
/* An echo came, or its time has passed: send what follows, and use what was found. */
void cv_device_search(struct cv_device *device, struct cv_peer *peer, cv_time now);

/* asking.c: our addresses, handed over by a peer. */

/* When cv_device_go_on_asking() wants to be called. */
cv_time cv_device_asking_deadline(const struct cv_device *device);
/* Send a request if it is time. */
void cv_device_go_on_asking(struct cv_device *device, cv_time now);
/* A session with the peer is there. */
void cv_device_ask_anew(struct cv_device *device, const struct cv_peer *peer);
/* A grant came. Return: 0, or -ENOTSUP when that peer is not asked. */
int cv_device_heed_grant(struct cv_device *device, const struct cv_peer *peer,
			 const struct cv_grant *grant, cv_time now);

/* session.c: indices and keypairs. */

/* Give the peer's handshake a fresh index. Return: the entry, or NULL when there is no memory. */
struct cv_index_entry *cv_session_enter_index(struct cv_device *device, struct cv_peer *peer);
/* Take an index back. NULL is fine. */
void cv_session_leave_index(struct cv_device *device, struct cv_index_entry *entry);
/**
 * cv_session_begin() - derive the keypair of a finished handshake and put it into its slot
 * @entry:	the handshake's index, which becomes the keypair's
 *
 * Takes: entry. Return: 0 or -errno (then the entry is gone too).
 */
int cv_session_begin(struct cv_device *device, struct cv_peer *peer, struct cv_index_entry *entry,
		     cv_time now);
/* A worker saw the peer use `next`: free what that pushed out. */
void cv_session_confirmed(struct cv_device *device, struct cv_peer *peer);
/* Wipe the handshake and all three keypairs. */
void cv_session_clear(struct cv_device *device, struct cv_peer *peer);
