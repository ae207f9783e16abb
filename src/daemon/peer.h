/* The parts of `convoy peer`, and what its command line says. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "edit.h"

/* NULL, false and zero where it was not given. */
struct cv_peer_options {
	const char *name;   /* NAME, or for remove also the key */
	const char *tunnel; /* FILE or NAME */
	const char *out;
	bool qr;
	bool psk;
	/* The server as the client will have it: what --endpoint and --allowed-ips say. */
	struct cv_config_peer server;
};

/* peer_add.c, peer_list.c. Return: exit code, after the reason was said. */
int cv_peer_add(struct cv_peer_options *options);
int cv_peer_list(const struct cv_peer_options *options);

/* peer_endpoint.c: complete what --endpoint left open. Return: 0, or -errno after the reason was
 * said. */
int cv_peer_find_endpoint(const struct cv_edit *edit, struct cv_config_peer *server);
/* peer.c: have the tunnel that runs, if it does, read its file again. Return: exit code, after the
 * reason was said. */
int cv_peer_reload(const struct cv_edit *edit);
/* peer_list.c: what the tunnel that runs says of itself, a new reference; NULL: it does not run. */
json_t *cv_peer_live(const char *tunnel);
