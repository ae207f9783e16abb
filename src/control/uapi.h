/* The parts of the UAPI socket: conversations, the sets and the replies of which they consist. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <convoy/config/uapi.h>
#include <convoy/device/change.h>
#include <convoy/device/show.h>

#include "internal.h"

enum {
	/* Allowed-IPs of a set that are kept until they are applied. Not tuned. */
	CV_UAPI_ALLOWED_IPS = 128,
};

/* uapi_set.c: what a set has said about a peer and what is not applied yet. Zeroed: nothing. */
struct cv_uapi_set {
	enum cv_uapi_place place;
	bool is_open; /* there is a peer to apply */
	struct cv_peer_change change;
	struct cv_allowed_ip_change allowed_ips[CV_UAPI_ALLOWED_IPS];
};

/* The line "set=1" came. */
void cv_uapi_set_begin(struct cv_uapi_set *set);
/**
 * cv_uapi_set_line() - apply a line, sooner or later
 *
 * Return: 0 or -errno: of the line, or of what had to be applied before it. The set is over then.
 */
int cv_uapi_set_line(struct cv_uapi_set *set, struct cv_device *device, const char *text,
		     size_t len);
/* Apply what is not applied yet: the set is over, well or badly. Return: 0 or -errno. */
int cv_uapi_set_end(struct cv_uapi_set *set, struct cv_device *device);

/* uapi_reply.c: text on its way out. Zeroed: none. */
struct cv_uapi_reply {
	char *text;
	size_t len, size;
	size_t sent;
	bool no_memory; /* it lacks something */

	/* The answer to a get, written by pieces. */
	bool device_told;
	struct cv_peer_cursor cursor;
};

/* Begin to answer a get. */
void cv_uapi_reply_begin(struct cv_uapi_reply *reply);
/* Write the next piece: some whole peers. Return: whether there are more. */
bool cv_uapi_reply_more(struct cv_uapi_reply *reply, const struct cv_device *device);
/* Write the end of a reply; result is 0 or -errno. */
void cv_uapi_reply_result(struct cv_uapi_reply *reply, int result);
/* Send what was written. Return: 0 all of it; -EAGAIN; or another -errno. */
int cv_uapi_reply_send(struct cv_uapi_reply *reply, int fd);
/* Wipe and free. */
void cv_uapi_reply_done(struct cv_uapi_reply *reply);

/* uapi_client.c */
struct cv_uapi_client;

/**
 * cv_uapi_client_new() - begin to answer on a connection
 * @fd:		non-blocking; taken over
 * @forget:	the client is about to free itself: the connection ended
 *
 * Return: NULL when there is no memory, and fd is closed.
 */
struct cv_uapi_client *cv_uapi_client_new(struct cv_control *control, int fd,
					  void (*forget)(void *owner,
							 struct cv_uapi_client *client),
					  void *owner);
/* Close the connection and free, without a word. */
void cv_uapi_client_free(struct cv_uapi_client *client);
/* When bytes last went either way, CLOCK_BOOTTIME. */
cv_time cv_uapi_client_active(const struct cv_uapi_client *client);
