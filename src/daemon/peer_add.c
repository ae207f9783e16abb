/*
 * peer add: a new peer in the server's file, and the file of the client.
 *
 * What may fail comes first: the client's file is written, or its QR code drawn, before the
 * server's file changes; and what the server's file does not get, the client's private key, is
 * nowhere but in that output. The private key is made here and wiped here.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <convoy/config/edit.h>
#include <convoy/control/lease_file.h>
#include <convoy/crypto/key.h>
#include <convoy/crypto/secret.h>

#include "peer.h"
#include "qr.h"

enum {
	NETWORKS_MAX = 16,
	KEEPALIVE_S = 25, /* wg(8): what keeps most NATs from forgetting */
};

struct addition {
	struct cv_edit edit;
	struct cv_peer_options *options;
	struct cv_prefix addresses[NETWORKS_MAX]; /* of the client, with their networks */
	size_t n_addresses;
	struct cv_config client; /* owns nothing */
	char *text;              /* the client's file */
	char *art;               /* the same as a QR code */
};

static int judge_name(const struct addition *addition)
{
	const struct cv_config *config = &addition->edit.config;
	const char *name = addition->options->name, *flaw = cv_config_name_flaw(name);

	if (flaw) {
		cv_complain("this cannot be a name: %s", flaw);
		return -EINVAL;
	}
	for (size_t i = 0; i < config->n_peers; i++)
		if (config->peers[i].friendly_name &&
		    strcmp(config->peers[i].friendly_name, name) == 0) {
			cv_complain("%s has a peer %s already, in line %u; take another name, or "
				    "remove that one first",
				    addition->edit.path, name, config->peers[i].line);
			return -EEXIST;
		}
	return 0;
}

/* The running tunnel tells of lines that are wrong. */
static void skip_flaw(void *arg, uint32_t line, const char *why)
{
}

/* What clients were handed over is theirs. */
static int read_leases(const struct cv_edit *edit, struct cv_leases *ret_leases)
{
	char *text;
	size_t len;
	int result;

	if (!cv_config_has_pool(&edit->config))
		return 0;
	result = cv_lease_file_read(edit->name, &text, &len);
	if (result == -ENOENT)
		return 0;
	if (result == 0) {
		result = cv_leases_parse(text, len, ret_leases, skip_flaw, NULL);
		free(text);
	}
	if (result < 0)
		cv_complain("cannot read " CV_LEASE_DIR "/%s.leases, the addresses that were "
			    "handed over: %s%s",
			    edit->name, strerror(-result), cv_remedy(result));
	return result;
}

static int pick_addresses(struct addition *addition)
{
	const char *path = addition->edit.path;
	char network[CV_PREFIX_TEXT_MAX];
	struct cv_leases leases = { 0 };
	struct cv_prefix full;
	int n = read_leases(&addition->edit, &leases);

	if (n < 0)
		return n;
	n = cv_config_free_addresses(&addition->edit.config, &leases, addition->addresses,
				     NETWORKS_MAX, &full);
	cv_leases_free(&leases);
	if (n > 0) {
		addition->n_addresses = (size_t)n;
		return 0;
	}
	if (n == 0)
		cv_complain("%s has no Address with a network to take the client's from; write it "
			    "with the network's length, such as 10.77.0.1/24",
			    path);
	else if (n == -ENOSPC)
		cv_complain("no address is free in %s; remove a peer, or add a network to Address "
			    "in %s",
			    cv_prefix_format(&full, network), path);
	else if (n == -E2BIG)
		cv_complain("%s has more than %d networks in Address", path, NETWORKS_MAX);
	else
		cv_complain("not enough memory");
	return n < 0 ? n : -EINVAL;
}

/* Ours, or the one in a file of its own, or the daemon knows. */
static int find_public_key(struct cv_edit *edit, struct cv_key *ret_key)
{
	struct cv_config *config = &edit->config;
	json_t *live = config->has_private_key ? NULL : cv_peer_live(edit->name);
	const char *text = json_string_value(json_object_get(live, "publicKey"));
	int result = text ? cv_key_from_base64(text, strlen(text), ret_key) : -ENOENT;

	json_decref(live);
	if (result == 0)
		return 0;
	if (!config->has_private_key && cv_keys_load(edit->path, config, stderr) < 0 &&
	    !config->has_private_key)
		return -EINVAL;
	cv_key_public(&config->private_key, ret_key);
	return 0;
}

/* Everything, of the families that the tunnel has. */
static int allow_everything(const struct addition *addition, struct cv_config_peer *server)
{
	struct cv_config_error error;
	bool v4 = false, v6 = false;

	for (size_t i = 0; i < addition->n_addresses; i++) {
		v4 |= addition->addresses[i].addr.family == AF_INET;
		v6 |= addition->addresses[i].addr.family == AF_INET6;
	}
	return cv_config_take_peer_value("AllowedIPs",
					 v4 && v6 ? "0.0.0.0/0, ::/0"
					 : v4     ? "0.0.0.0/0"
						  : "::/0",
					 server, &error);
}

static int describe_client(struct addition *addition)
{
	const struct cv_config *config = &addition->edit.config;
	struct cv_config_peer *server = &addition->options->server;
	struct cv_config *client = &addition->client;
	int result = find_public_key(&addition->edit, &server->public_key);

	if (!result)
		result = cv_peer_find_endpoint(&addition->edit, server);
	if (!result && server->n_allowed_ips == 0)
		result = allow_everything(addition, server);
	if (result < 0)
		return result;
	server->persistent_keepalive_s = KEEPALIVE_S;
	server->has_psk = addition->options->psk;
	if (server->has_psk)
		cv_key_generate_preshared(&server->psk);
	cv_config_init(client);
	cv_key_generate_private(&client->private_key);
	client->has_private_key = true;
	client->addresses = addition->addresses;
	client->n_addresses = addition->n_addresses;
	client->dns = config->client_dns;
	client->n_dns = config->n_client_dns;
	client->dns_search = config->client_dns_search;
	client->n_dns_search = config->n_client_dns_search;
	client->peers = server;
	client->n_peers = 1;
	return 0;
}

static int write_client(struct addition *addition)
{
	size_t size = cv_config_print(&addition->client, NULL, 0) + 1;
	int result;

	addition->text = malloc(size);
	if (!addition->text) {
		cv_complain("not enough memory");
		return -ENOMEM;
	}
	cv_config_print(&addition->client, addition->text, size);
	if (!addition->options->qr)
		return 0;
	result = cv_qr_draw(addition->text, isatty(STDOUT_FILENO), &addition->art);
	if (result == -E2BIG)
		cv_complain("the client's file is too long for a QR code (%zu bytes); give fewer "
			    "--allowed-ips, or --out FILE in place of --qr",
			    size - 1);
	else if (result < 0)
		cv_complain("cannot make a QR code: %s", strerror(-result));
	return result;
}

/* A new file that nobody else may read, or none at all. */
static int save_client(const struct addition *addition)
{
	const char *path = addition->options->out;
	int fd, result;

	if (!path)
		return 0;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		cv_complain("cannot make %s: %s%s", path, strerror(errno),
			    errno == EEXIST ? "; it is not written over" : "");
		return -errno;
	}
	result = cv_write_all(fd, addition->text, strlen(addition->text));
	if (result == 0 && fsync(fd) < 0 && errno != EINVAL)
		result = -errno;
	close(fd);
	if (result < 0) {
		cv_complain("cannot write %s: %s", path, strerror(-result));
		unlink(path);
	}
	return result;
}

/* What the server's file gets: the public half. */
static int change_server(const struct addition *addition)
{
	const struct cv_edit *edit = &addition->edit;
	const struct cv_config_peer *server = &addition->options->server;
	char name[CV_CONFIG_NAME_MAX + 1], *tail;
	struct cv_prefix hosts[NETWORKS_MAX];
	struct cv_config_peer peer = {
		.has_psk = server->has_psk,
		.psk = server->psk,
		.friendly_name = name,
		.allowed_ips = hosts,
		.n_allowed_ips = addition->n_addresses,
	};
	int result;

	snprintf(name, sizeof(name), "%s", addition->options->name);
	cv_key_public(&addition->client.private_key, &peer.public_key);
	for (size_t i = 0; i < addition->n_addresses; i++) {
		hosts[i].addr = addition->addresses[i].addr;
		hosts[i].bits = (uint8_t)cv_addr_bits(hosts[i].addr.family);
	}
	result = cv_config_edit_append(edit->file.text, edit->file.len, &peer, &tail);
	cv_wipe(&peer, sizeof(peer));
	if (result < 0) {
		cv_complain("not enough memory");
		return result;
	}
	result = cv_edit_commit(edit,
				(const struct iovec[]){ { edit->file.text, edit->file.len },
							{ tail, strlen(tail) } },
				2);
	cv_wipe(tail, strlen(tail));
	free(tail);
	return result;
}

/* The only copy of the private key goes out; what then fails cannot be mended here. */
static int print_client(const struct addition *addition)
{
	const struct cv_peer_options *options = addition->options;
	const char *text = options->qr ? addition->art : addition->text;
	int result;

	if (options->out && !options->qr)
		return 0;
	cv_warn_if_world_readable();
	result = cv_write_all(STDOUT_FILENO, text, strlen(text));
	if (result < 0 && !options->out)
		cv_complain("cannot write to stdout: %s; nobody has the private key of %s now, so "
			    "remove that peer and add it again",
			    strerror(-result), options->name);
	else if (result < 0)
		cv_complain("cannot write to stdout: %s", strerror(-result));
	return result;
}

static int make(struct addition *addition)
{
	int result = judge_name(addition);

	if (!result)
		result = pick_addresses(addition);
	if (!result)
		result = describe_client(addition);
	if (!result)
		result = write_client(addition);
	if (!result)
		result = save_client(addition);
	if (!result) {
		result = change_server(addition);
		if (result < 0 && addition->options->out)
			unlink(addition->options->out);
	}
	return result;
}

static void wipe_text(char *text)
{
	if (text)
		cv_wipe(text, strlen(text));
	free(text);
}

int cv_peer_add(struct cv_peer_options *options)
{
	struct addition addition = { .options = options };
	int exit = CV_EXIT_FAILURE;

	if (cv_edit_begin(options->tunnel, true, &addition.edit) < 0)
		return CV_EXIT_FAILURE;
	if (make(&addition) == 0) {
		bool printed = print_client(&addition) == 0;

		exit = cv_peer_reload(&addition.edit);
		if (!printed)
			exit = CV_EXIT_FAILURE;
	}
	wipe_text(addition.text);
	wipe_text(addition.art);
	cv_edit_done(&addition.edit);
	cv_wipe(&addition, sizeof(addition));
	return exit;
}
