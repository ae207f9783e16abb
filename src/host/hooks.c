/*
 * The commands of the file, before and after the tunnel comes and goes.
 *
 * A hook is a command line for the shell, as the file has it: pipes, quotes and all, since that is
 * what wg-quick takes. It is handed to the shell as one argument. It is bash where there is one, as
 * with wg-quick, whose own manual has hooks that no other shell understands. "%i" is the
 * interface; nothing else is put into the text. What a hook may want to know is in its environment:
 *
 *	INTERFACE	the interface
 *	CONVOY_HOOK	PreUp, PostUp, PreDown or PostDown
 *	CONVOY_CONFIG	the config file
 *	PEER_PUBLIC_KEY, PEER_NAME, PEER_ENDPOINT	of a file with one peer, as far as they are
 * given
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <convoy/crypto/key.h>

#include "internal.h"

#define BASH "/bin/bash"
#define SH   "/bin/sh"

enum {
	ENV_MAX = 8,
	VALUE_MAX = 4096 + 64,
};

static const char *const names[CV_CONFIG_HOOK_KINDS] = {
	[CV_CONFIG_PRE_UP] = "PreUp",
	[CV_CONFIG_POST_UP] = "PostUp",
	[CV_CONFIG_PRE_DOWN] = "PreDown",
	[CV_CONFIG_POST_DOWN] = "PostDown",
};

bool cv_hooks_any(const struct cv_config *config)
{
	for (int kind = 0; kind < CV_CONFIG_HOOK_KINDS; kind++)
		if (config->hooks[kind].n > 0)
			return true;
	return false;
}

/* With "%i" replaced; free() it. */
static char *expand(const char *command, const char *tunnel)
{
	char *text = NULL;
	const char *rest = command, *at;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	for (; (at = strstr(rest, "%i")); rest = at + 2) {
		fwrite(rest, 1, (size_t)(at - rest), out);
		fputs(tunnel, out);
	}
	fputs(rest, out);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

struct environment {
	char values[ENV_MAX][VALUE_MAX];
	const char *list[ENV_MAX + 1];
	size_t n;
};

static void set(struct environment *env, const char *name, const char *value)
{
	if (!value || snprintf(env->values[env->n], VALUE_MAX, "%s=%s", name, value) >= VALUE_MAX)
		return;
	env->list[env->n] = env->values[env->n];
	env->list[++env->n] = NULL;
}

static void describe_peer(struct environment *env, const struct cv_config_peer *peer)
{
	char key[CV_KEY_BASE64_LEN + 1], endpoint[CV_ENDPOINT_TEXT_MAX];
	char named[CV_CONFIG_HOST_MAX + 16];

	set(env, "PEER_PUBLIC_KEY", cv_key_to_base64(&peer->public_key, key));
	set(env, "PEER_NAME", peer->friendly_name);
	if (peer->endpoint_is_name) {
		snprintf(named, sizeof(named), strchr(peer->host, ':') ? "[%s]:%u" : "%s:%u",
			 peer->host, peer->endpoint.port);
		set(env, "PEER_ENDPOINT", named);
	} else if (peer->has_endpoint) {
		set(env, "PEER_ENDPOINT", cv_endpoint_format(&peer->endpoint, endpoint));
	}
}

static int run(const struct cv_config *config, enum cv_config_hook_kind kind,
	       const struct cv_config_hook *hook, const struct environment *env, int cancel)
{
	char what[64], *command = expand(hook->command, config->name);
	const char *const argv[] = { access(BASH, X_OK) == 0 ? BASH : SH, "-c", command, NULL };
	int r;

	if (!command)
		return -ENOMEM;
	snprintf(what, sizeof(what), "%s (line %u)", names[kind], hook->line);
	cv_log_debug("%s: %s", config->name, what);
	r = cv_run(&(struct cv_run){ .tunnel = config->name,
				     .what = what,
				     .level = CV_LOG_INFO,
				     .argv = argv,
				     .env = env->list,
				     .cancel = cancel });
	free(command);
	return r;
}

int cv_hooks_run(const struct cv_config *config, enum cv_config_hook_kind kind, const char *path,
		 bool go_on, int cancel)
{
	const struct cv_config_hooks *hooks = &config->hooks[kind];
	struct environment env = { .n = 0 };
	int first = 0;

	set(&env, "INTERFACE", config->name);
	set(&env, "CONVOY_HOOK", names[kind]);
	set(&env, "CONVOY_CONFIG", path);
	if (config->n_peers == 1)
		describe_peer(&env, &config->peers[0]);
	for (size_t i = 0; i < hooks->n; i++) {
		int r = run(config, kind, &hooks->list[i], &env, cancel);

		if (r < 0 && first == 0)
			first = r;
		if (r < 0 && !go_on)
			break;
	}
	return first;
}
