/*
 * peer add, list, remove: the peers of a tunnel's file, by name.
 *
 * A peer's name is the comment "# friendly_name = NAME" in its [Peer], which wg(8) does not mind
 * and exporters read.
 */
#include "peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <convoy/config/edit.h>
#include <convoy/config/suggest.h>
#include <convoy/crypto/secret.h>

enum {
	ADD = 1 << 0,
	LIST = 1 << 1,
	REMOVE = 1 << 2,
};

struct option {
	const char *name;
	int where; /* subcommands that have it */
	bool has_value;
	/* Return: 0, or -EINVAL after the reason was said. */
	int (*take)(struct cv_peer_options *options, const char *value);
};

static int take_tunnel(struct cv_peer_options *options, const char *value)
{
	options->tunnel = value;
	return 0;
}

static int take_out(struct cv_peer_options *options, const char *value)
{
	options->out = value;
	return 0;
}

static int take_qr(struct cv_peer_options *options, const char *value)
{
	options->qr = true;
	return 0;
}

static int take_psk(struct cv_peer_options *options, const char *value)
{
	options->psk = true;
	return 0;
}

/* Judged as the same key of a file would be. */
static int take_value(struct cv_peer_options *options, const char *option, const char *key,
		      const char *value)
{
	struct cv_config_error error;
	int result = cv_config_take_peer_value(key, value, &options->server, &error);

	if (result == -ENOMEM)
		cv_complain("not enough memory");
	else if (error.message[0])
		cv_complain("%s: %s%s%s%s", option, error.message, error.hint[0] ? " (" : "",
			    error.hint, error.hint[0] ? ")" : "");
	return result;
}

static int take_endpoint(struct cv_peer_options *options, const char *value)
{
	return take_value(options, "--endpoint", "Endpoint", value);
}

static int take_allowed_ips(struct cv_peer_options *options, const char *value)
{
	return take_value(options, "--allowed-ips", "AllowedIPs", value);
}

static const struct option known[] = {
	{ "--tunnel", ADD | LIST | REMOVE, true, take_tunnel },
	{ "--qr", ADD, false, take_qr },
	{ "--psk", ADD, false, take_psk },
	{ "--out", ADD, true, take_out },
	{ "--endpoint", ADD, true, take_endpoint },
	{ "--allowed-ips", ADD, true, take_allowed_ips },
};

enum {
	OPTIONS = sizeof(known) / sizeof(known[0]),
};

/* The option that the argument is, with "=value" or without. */
static const struct option *find_option(const char *argument, int command)
{
	const char *names[OPTIONS];
	size_t len = strcspn(argument, "="), n = 0;

	for (size_t i = 0; i < OPTIONS; i++) {
		if (!(known[i].where & command))
			continue;
		if (strlen(known[i].name) == len && strncmp(known[i].name, argument, len) == 0)
			return &known[i];
		names[n++] = known[i].name;
	}
	cv_complain_option("peer", argument, names, n);
	return NULL;
}

/* Takes one option with its value. Return: how many arguments, or -EINVAL after saying why. */
static int read_option(int command, int n, char **arguments, struct cv_peer_options *options)
{
	const struct option *option = find_option(arguments[0], command);
	const char *value = strchr(arguments[0], '=');

	if (!option)
		return -EINVAL;
	if (!option->has_value && value) {
		cv_complain("%s takes no value", option->name);
		return -EINVAL;
	}
	if (!option->has_value || value)
		return option->take(options, value ? value + 1 : NULL) < 0 ? -EINVAL : 1;
	if (n < 2) {
		cv_complain("%s needs a value behind it", option->name);
		return -EINVAL;
	}
	return option->take(options, arguments[1]) < 0 ? -EINVAL : 2;
}

static int read_arguments(int command, int n, char **arguments, struct cv_peer_options *options)
{
	int taken;

	for (int i = 0; i < n; i += taken) {
		if (arguments[i][0] == '-' && arguments[i][1]) {
			taken = read_option(command, n - i, arguments + i, options);
			if (taken < 0)
				return taken;
			continue;
		}
		if (command == LIST || options->name) {
			cv_complain("what is %s for? %s", arguments[i],
				    command == LIST ? "a tunnel is named by --tunnel"
						    : "one peer at a time; a name with blanks "
						      "is put in quotes");
			return -EINVAL;
		}
		options->name = arguments[i];
		taken = 1;
	}
	if (command != LIST && !options->name) {
		cv_complain(command == ADD ? "the peer needs a name: convoy peer add NAME"
					   : "which peer? convoy peer list shows them");
		return -EINVAL;
	}
	return 0;
}

int cv_peer_reload(const struct cv_edit *edit)
{
	struct cv_reply reply = { 0 };
	int result = cv_client_try(edit->name, "POST", "/reload", &reply);
	bool good = result == 0 && reply.status == 200;

	if (result == -ENOENT || result == -ECONNREFUSED) {
		cv_complain("%s is not running; this counts when `convoy up %s` starts it",
			    edit->name, edit->path);
		return CV_EXIT_OK;
	}
	if (!good) {
		cv_put_lines(stderr, reply.body, reply.len);
		cv_complain("%s is changed, but the running tunnel is not%s%s; `convoy reload %s` "
			    "tries again",
			    edit->path, result < 0 ? ": " : "", result < 0 ? strerror(-result) : "",
			    edit->name);
	}
	cv_reply_done(&reply);
	return good ? CV_EXIT_OK : CV_EXIT_FAILURE;
}

static bool is_called(const struct cv_config_peer *peer, const char *name)
{
	char key[CV_KEY_BASE64_LEN + 1];

	return (peer->friendly_name && strcmp(peer->friendly_name, name) == 0) ||
	       strcmp(cv_key_to_base64(&peer->public_key, key), name) == 0;
}

static void complain_unknown(const struct cv_edit *edit, const char *name)
{
	const char **names = calloc(edit->config.n_peers + 1, sizeof(*names));
	size_t n = 0, near = 0;

	for (size_t i = 0; names && i < edit->config.n_peers; i++)
		if (edit->config.peers[i].friendly_name)
			names[n++] = edit->config.peers[i].friendly_name;
	if (names)
		near = cv_suggest_nearest(name, strlen(name), names, n);
	if (near < n)
		cv_complain("%s has no peer %s; did you mean %s?", edit->path, name, names[near]);
	else
		cv_complain("%s has no peer %s; convoy peer list --tunnel %s shows them",
			    edit->path, name, edit->path);
	free(names);
}

/* The one peer of this name or key. NULL after saying why there is none. */
static const struct cv_config_peer *find_peer(const struct cv_edit *edit, const char *name)
{
	const struct cv_config_peer *found = NULL;

	for (size_t i = 0; i < edit->config.n_peers; i++) {
		const struct cv_config_peer *peer = &edit->config.peers[i];

		if (!is_called(peer, name))
			continue;
		if (found) {
			cv_complain("two peers are called %s, in lines %u and %u; say which by its "
				    "public key",
				    name, found->line, peer->line);
			return NULL;
		}
		found = peer;
	}
	if (!found)
		complain_unknown(edit, name);
	return found;
}

static int cut_out(const struct cv_edit *edit, const struct cv_config_peer *peer)
{
	char *text = edit->file.text;
	struct cv_config_range cut;
	int result = cv_config_edit_peer(text, edit->file.len, peer->line, &cut);
	const struct iovec left[] = {
		{ text, cut.start },
		{ text + cut.end, edit->file.len - cut.end },
	};

	return result < 0 ? result : cv_edit_commit(edit, left, 2);
}

static int remove_peer(const struct cv_peer_options *options)
{
	const struct cv_config_peer *peer;
	struct cv_edit edit;
	int exit = CV_EXIT_FAILURE;

	if (cv_edit_begin(options->tunnel, true, &edit) < 0)
		return CV_EXIT_FAILURE;
	peer = find_peer(&edit, options->name);
	if (peer && cut_out(&edit, peer) == 0)
		exit = cv_peer_reload(&edit);
	cv_edit_done(&edit);
	return exit;
}

static int run(int command, struct cv_peer_options *options)
{
	switch (command) {
	case ADD:
		return cv_peer_add(options);
	case LIST:
		return cv_peer_list(options);
	default:
		return remove_peer(options);
	}
}

int cv_command_peer(int n, char **arguments)
{
	static const char *const names[] = { "add", "list", "remove" };
	struct cv_peer_options options = { 0 };
	size_t which;
	int exit = CV_EXIT_USAGE;

	if (n == 0) {
		cv_complain("peer add, peer list or peer remove? convoy peer --help tells more");
		return CV_EXIT_USAGE;
	}
	which = cv_suggest_nearest(arguments[0], strlen(arguments[0]), names, 3);
	if (which == 3 || strcmp(arguments[0], names[which]) != 0) {
		cv_complain("unknown word %s behind peer; %s%s?", arguments[0],
			    which == 3 ? "add, list or remove" : "did you mean ",
			    which == 3 ? "" : names[which]);
		return CV_EXIT_USAGE;
	}
	if (read_arguments(1 << which, n - 1, arguments + 1, &options) == 0)
		exit = run(1 << which, &options);
	free(options.server.host);
	free(options.server.allowed_ips);
	cv_wipe(&options, sizeof(options));
	return exit;
}
