/* The parts of control, one file each, and what they share. */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>
#include <time.h>

#include <convoy/config/config.h>
#include <convoy/control/control.h>
#include <convoy/control/door.h>
#include <convoy/device/device.h>
#include <convoy/device/show.h>
#include <convoy/host/host.h>
#include <convoy/loop/loop.h>

struct cv_uapi;
struct cv_http;
struct cv_notify;
struct cv_lookups;
struct cv_resolver;
struct cv_pool;

/* What the peer that Address = auto asks handed over. */
struct cv_handed {
	struct cv_key by;
	bool is_empty; /* the last grant had no address for us, which was told */
	bool has;      /* config has what was admitted of these */
	struct cv_grant came, admitted;
	struct cv_addr endpoint; /* of the peer, when that came */
};

struct cv_control {
	const struct cv_control_options *options;
	struct cv_config config; /* what runs now; its keys are wiped at the end */
	struct cv_handed handed;
	struct cv_loop *loop;
	struct cv_device *device;
	struct cv_watch signals;
	struct cv_watch keeper; /* its answers end a turn, that is all */
	bool stop;

	struct cv_host *host;         /* hooks, DNS, firewall */
	struct cv_uapi *uapi;         /* /var/run/wireguard/NAME.sock */
	struct cv_http *http;         /* /run/convoy/NAME.sock and, if wished, TCP */
	struct cv_notify *notify;     /* systemd */
	struct cv_resolver *resolver; /* endpoint names */
	struct cv_pool *pool;         /* addresses to hand over */
};

/* uapi.c: the socket that wg(8) speaks to. */
int cv_uapi_open(struct cv_control *control, struct cv_uapi **ret_uapi);
/* When cv_uapi_turn() wants to be called at the latest. These two take NULL. */
cv_time cv_uapi_deadline(const struct cv_uapi *uapi);
/* Take up whoever waits since there were no descriptors. */
void cv_uapi_turn(struct cv_uapi *uapi, cv_time now);
/* The socket file was deleted: by convention of wireguard-go that ends the daemon. */
bool cv_uapi_is_gone(const struct cv_uapi *uapi);
void cv_uapi_close(struct cv_uapi *uapi);

/* http.c: GET /metrics, GET /show (JSON), POST /reload, POST /down. */
int cv_http_open(struct cv_control *control, struct cv_http **ret_http);
/* The config changed: open, close or move the TCP door. */
void cv_http_change(struct cv_http *http);
/* /proc/self/statm, opened before a fence hides it; -1: there is none. Takes NULL. */
int cv_http_statm(const struct cv_http *http);
void cv_http_close(struct cv_http *http);

/* door.c: sockets that listen; a file is ours to remove while it is the one that we made. */
struct cv_door_file {
	char path[sizeof(CV_DOOR_PATH) + IFNAMSIZ];
	dev_t device;
	ino_t inode; /* 0: none was made */
};

/* Return: fd, -EADDRINUSE when a living process has the path, or another -errno. */
int cv_door_listen(const char *name, struct cv_door_file *ret_file);
void cv_door_unlink(const struct cv_door_file *file);
/* Return: fd or -errno. */
int cv_door_listen_tcp(const struct cv_endpoint *at);

enum { CV_ROLL_NAME_MAX = 128 };

/* roll.c: the peers one by one, as GET tells them. Borrows the config; the device must not change
 * meanwhile. */
struct cv_roll {
	struct cv_peer_show peer;
	char name[CV_ROLL_NAME_MAX];   /* printable UTF-8, "": none */
	struct cv_prefix *allowed_ips; /* prefix[n_allowed_ips], sorted */
	size_t n_allowed_ips;

	size_t allowed_ips_size;
	const struct cv_device *device;
	struct cv_peer_cursor cursor;
	const struct cv_config_peer **named; /* peer[n_named] that have a name, by key */
	size_t n_named;
	bool lacks; /* there was no memory for a name or an allowed-IP */
};

/* Copy what fits; whatever is not printable UTF-8 becomes '?', so that one name cannot spoil an
 * answer. */
void cv_text_clean(const char *text, char *ret_text, size_t size);

void cv_roll_begin(struct cv_roll *roll, const struct cv_control *control);
bool cv_roll_next(struct cv_roll *roll);
/* Return: 0, or -ENOMEM when something was missing. */
int cv_roll_end(struct cv_roll *roll);

/* metrics.c, json.c: what GET answers, into out. Return: 0 or -ENOMEM. */
int cv_metrics_write(struct cv_control *control, FILE *out);
int cv_json_write(struct cv_control *control, FILE *out);

/* predecessor.c */

/**
 * cv_control_await_predecessor() - wait, at most a second, until a killed tunnel let go
 *
 * Before anything of ours exists. Return: 0, or -EBUSY after it was logged that a tunnel of this
 * name runs.
 */
int cv_control_await_predecessor(const struct cv_control *control);

/* control.c */

/* Of a config that is to run now: the log's level, and the mark that KillSwitch wants. */
void cv_control_adopt(const struct cv_control *control, struct cv_config *config);
/* As cv_host_after_up() wants it: the mark by which our own datagrams keep out of a default route
 * that the tunnel has, 0: it has none. */
uint32_t cv_control_guard_mark(const struct cv_control *control);

/* Once around the loop, waiting no longer than that. Return: 0 or -errno. */
int cv_control_turn(struct cv_control *control, cv_time latest);

/* granted.c: Address = auto. */
enum { CV_GRANT_AWAIT_S = 10 };
/* Ask whom the config says, or nobody. */
void cv_control_ask(struct cv_control *control);
/* Use what was granted, if something was. Not while a hook runs: the keeper is busy then. Return:
 * whether the tunnel has other addresses now. */
bool cv_control_take_grant(struct cv_control *control);
/* Turn until there is an address, or it is clear that none comes soon, which is told. Return: 0,
 * also without an address, or -errno. */
int cv_control_await_grant(struct cv_control *control);
/* A config was read: put into it what was handed over, if it asks the same peer. Return: 0 or
 * -ENOMEM. */
int cv_control_keep_grant(struct cv_control *control, struct cv_config *to);
/* What systemd is told of a tunnel that runs. */
const char *cv_control_status(const struct cv_control *control);

/* reload.c */

/**
 * cv_control_reload() - read the config file again and apply the difference
 * @findings:	receives errors and warnings as text, each with its place
 *
 * All or nothing: a file with an error changes nothing. Return: 0 or -errno.
 */
int cv_control_reload(struct cv_control *control, FILE *findings);

/* reload_peers.c: add, change and remove peers until those of the device are those of the file. */
struct cv_peers_changed {
	size_t added, removed, changed;
};

/* Return: 0 or -ENOMEM, when some were not done. */
int cv_control_change_peers(struct cv_control *control, const struct cv_config *to, cv_time now,
			    struct cv_peers_changed *ret_changed);

/* pool.c: addresses for peers that ask. There is one when the config has a Pool at the start; all
 * but open take NULL, and do nothing then. */
/* Read the leases; before we restrict ourselves. Return: 0 or -ENOMEM. */
int cv_pool_open(struct cv_control *control, struct cv_pool **ret_pool);
/* There is a device: leases become AllowedIPs there, requests are heeded. Return: 0 or -ENOMEM. */
int cv_pool_begin(struct cv_pool *pool);
/* The leases that hold beside the AllowedIPs of this config. Return: 0 or -ENOMEM. */
int cv_pool_change(struct cv_pool *pool, const struct cv_config *to);
/* What was handed over may be something else now: tell those who asked. */
void cv_pool_announce(struct cv_pool *pool);
/* Visit those of one peer. */
void cv_pool_each(const struct cv_pool *pool, const struct cv_key *public_key,
		  void (*visit)(void *arg, const struct cv_prefix *prefix), void *arg);
/* Answer who asked while the device turned. */
void cv_pool_turn(struct cv_pool *pool, cv_time now);
void cv_pool_close(struct cv_pool *pool);

/* notify.c: sd_notify(3) and the watchdog. Without NOTIFY_SOCKET there is no cv_notify: all of
 * them take NULL, and do nothing then. */
/* Before we restrict ourselves: behind Landlock no socket with an abstract name can be met any more
 * (Linux 6.12). */
int cv_notify_open(struct cv_control *control, struct cv_notify **ret_notify);
/* There is a device: the watchdog may begin. Return: 0 or -ENOMEM. */
int cv_notify_watch(struct cv_notify *notify);
void cv_notify_ready(struct cv_notify *notify, const char *status);
void cv_notify_reloading(struct cv_notify *notify);
void cv_notify_stopping(struct cv_notify *notify);
/* When cv_notify_turn() wants to be called at the latest, CV_TIME_NEVER without a watchdog. */
cv_time cv_notify_deadline(const struct cv_notify *notify);
/* Feed the watchdog if every thread's loop turned since the last time. */
void cv_notify_turn(struct cv_notify *notify, cv_time now);
void cv_notify_close(struct cv_notify *notify);

/* lookup.c: names looked up, each in a thread of its own. */
enum { CV_ANSWER_MAX = 8 }; /* addresses of one name that are tried */

/* Addresses in the order of RFC 6724, but with the families taking turns. */
struct cv_answer {
	int error; /* of getaddrinfo(3) */
	size_t n;
	struct cv_endpoint list[CV_ANSWER_MAX];
};

/* A question, and when it is done its answer. */
struct cv_lookup {
	struct cv_lookups *lookups;
	struct cv_lookup *next;
	struct cv_key peer;
	char host[CV_CONFIG_HOST_MAX];
	uint16_t port;
	struct cv_answer answer;
};

/* NULL: no memory. */
struct cv_lookups *cv_lookups_new(struct cv_loop *loop);
/* The loop is woken when it is done. Return: 0 or -errno. */
int cv_lookups_begin(struct cv_lookups *lookups, const struct cv_key *peer, const char *host,
		     uint16_t port);
/* Those that are done, linked by next; the caller frees each. */
struct cv_lookup *cv_lookups_take(struct cv_lookups *lookups);
/* Wait, until this time of CLOCK_MONOTONIC, for one that is done. Return: whether there is one. */
bool cv_lookups_await(struct cv_lookups *lookups, const struct timespec *until);
/* Never waits: what is under way comes to its end for nobody. */
void cv_lookups_close(struct cv_lookups *lookups);

/* resolver.c: which names to look up, and when. All but open and await take NULL. */
enum { CV_RESOLVER_AWAIT_S = 10 };
int cv_resolver_open(struct cv_control *control, struct cv_resolver **ret_resolver);
/* Wait for the first answers, CV_RESOLVER_AWAIT_S at most: where the tunnel is about to swallow the
 * way to the name server. The only call before there is a device. */
void cv_resolver_await(struct cv_resolver *resolver);
/* The config changed: look names up that are new. Return: 0, or -ENOMEM with nothing changed. */
int cv_resolver_change(struct cv_resolver *resolver);
cv_time cv_resolver_deadline(const struct cv_resolver *resolver);
/* Names whose peers have not been heard of for 135 s are looked up again. */
void cv_resolver_turn(struct cv_resolver *resolver, cv_time now);
void cv_resolver_close(struct cv_resolver *resolver);
