/*
 * The keeper: a process that changes the host for the tunnel, and changes it back.
 *
 * How it works. It is forked while the tunnel is one thread with all its privileges, and does one
 * thing after the other: a request comes, is done, and is answered. A request is a number from a
 * list; all else it knows from the config as it was read, its own copy without keys. A change of
 * config is no exception: it reads the file itself, so that a tunnel which somebody took over
 * cannot make it run anything. What a peer granted comes as addresses, and is judged here once more
 * by what the file allows.
 *
 *	BEFORE_UP	kill switch, PreUp
 *	AFTER_UP	guard, DNS, PostUp; the kill switch now without its door for DNS
 *	BEFORE_DOWN	PreDown, DNS back
 *	HAND_OVER	addresses and name servers that a peer granted
 *	AFTER_DOWN	guard and kill switch away, PostDown; the end
 *	the socket ends	the tunnel was killed: as the two before, but the kill switch stays
 *
 * Signals that end a tunnel come to the whole process group or unit, so the keeper ignores them:
 * the tunnel knows what to do, and the socket tells when it is done. While a hook runs, CANCEL or
 * the end of the socket ends the hook.
 *
 * What is changed is first noted in the state file, so that whoever comes after a keeper that was
 * killed as well can undo it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <convoy/config/grant.h>
#include <convoy/crypto/secret.h>

#include "internal.h"

struct keeper {
	struct cv_config *config; /* without keys */
	const char *path;
	struct cv_host_state *state;
	int socket;
	bool stood_before; /* the kill switch, when we came */
	bool up;           /* AFTER_UP was done to its end, so hooks of the end run */
	bool done;
	struct cv_grant grant; /* of the one peer, for as long as the file asks that one */
};

/* Up and down ------------------------------------------------------------------------------ */

static bool has_names(const struct cv_config *config)
{
	for (size_t i = 0; i < config->n_peers; i++)
		if (config->peers[i].endpoint_is_name)
			return true;
	return false;
}

static int before_up(struct keeper *keeper)
{
	const struct cv_config *config = keeper->config;
	int r = 0;

	if (config->kill_switch)
		r = cv_killswitch_install(keeper->state, config, has_names(config));
	if (r == 0)
		r = cv_hooks_run(config, CV_CONFIG_PRE_UP, keeper->path, false, keeper->socket);
	return r;
}

static int change_mark(struct keeper *keeper, uint32_t mark)
{
	keeper->state->mark = mark;
	if (mark)
		cv_guard_install(keeper->state, keeper->config, mark);
	else
		cv_guard_remove(keeper->state);
	return 0;
}

static int after_up(struct keeper *keeper, uint32_t mark)
{
	const struct cv_config *config = keeper->config;
	int r = change_mark(keeper, mark);

	if (config->kill_switch && has_names(config))
		r = cv_killswitch_install(keeper->state, config, false);
	if (r == 0)
		r = cv_dns_set(keeper->state, config);
	if (r == 0)
		r = cv_hooks_run(config, CV_CONFIG_POST_UP, keeper->path, false, keeper->socket);
	keeper->up = r == 0;
	return r;
}

static void before_down(struct keeper *keeper, int cancel)
{
	if (keeper->up)
		cv_hooks_run(keeper->config, CV_CONFIG_PRE_DOWN, keeper->path, true, cancel);
	if (keeper->state->dns != CV_HOST_DNS_NONE)
		cv_dns_restore(keeper->state);
}

/* The rules are the device's to remove: this end is an orderly one. */
static void after_down(struct keeper *keeper)
{
	struct cv_host_state *state = keeper->state;

	if (state->dns != CV_HOST_DNS_NONE) /* nobody said BEFORE_DOWN */
		cv_dns_restore(state);
	state->mark = 0;
	cv_guard_remove(state);
	if (keeper->up || !keeper->stood_before)
		cv_killswitch_remove(state);
	if (keeper->up)
		cv_hooks_run(keeper->config, CV_CONFIG_POST_DOWN, keeper->path, true,
			     keeper->socket);
	keeper->done = true;
}

static void crash(struct keeper *keeper)
{
	struct cv_host_state *state = keeper->state;

	cv_log_warn("%s: the tunnel ended unasked; undoing what it did to the host%s", state->name,
		    state->kill_switch ? ", the kill switch stays" : "");
	before_down(keeper, -1);
	cv_host_undo(state, false);
	if (keeper->up)
		cv_hooks_run(keeper->config, CV_CONFIG_POST_DOWN, keeper->path, true, -1);
}

/* Another config ---------------------------------------------------------------------------- */

static void forget_keys(struct cv_config *config)
{
	cv_wipe(&config->private_key, sizeof(config->private_key));
	for (size_t i = 0; i < config->n_peers; i++)
		cv_wipe(&config->peers[i].psk, sizeof(config->peers[i].psk));
}

/* The file's text, to be wiped and freed; NULL with *ret_error set. */
static char *read_file(const char *path, size_t *ret_len, int *ret_error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0, size;
	struct stat status;
	char *text;
	ssize_t n;

	*ret_error = -errno;
	if (fd < 0)
		return NULL;
	size = fstat(fd, &status) == 0 ? (size_t)status.st_size : 0;
	text = size <= CV_CONFIG_FILE_MAX ? malloc(size + 1) : NULL;
	*ret_error = text ? 0 : -ENOMEM;
	while (text && len < size && (n = read(fd, text + len, size - len)) > 0)
		len += (size_t)n;
	close(fd);
	*ret_len = len;
	return text;
}

/* Control has told the user what is wrong with the file, if something is. */
static int read_config(const struct keeper *keeper, struct cv_config *ret_config)
{
	struct cv_config_errors findings;
	size_t len;
	int r;
	char *text = read_file(keeper->path, &len, &r);

	if (!text)
		return r;
	r = cv_config_parse(text, len, ret_config, &findings);
	cv_config_errors_free(&findings);
	cv_wipe(text, len);
	free(text);
	if (r < 0)
		return r;
	forget_keys(ret_config);
	memcpy(ret_config->name, keeper->config->name, sizeof(ret_config->name));
	r = cv_hooks_any(ret_config) ? cv_trust_file(ret_config->name, keeper->path) : 0;
	if (r < 0)
		cv_config_free(ret_config);
	return r;
}

static bool asks_the_same(const struct cv_config *from, const struct cv_config *to)
{
	return from->auto_address && to->auto_address && from->n_peers == 1 && to->n_peers == 1 &&
	       cv_key_equal(&from->peers[0].public_key, &to->peers[0].public_key);
}

/* Into the place of "auto", what the file allows. */
static int use_grant(const struct cv_grant *grant, struct cv_config *config)
{
	struct cv_grant admitted;

	cv_config_admit(config, grant, NULL, NULL, NULL, &admitted);
	return cv_config_hand_over(config, &admitted);
}

static int hand_over(struct keeper *keeper, const struct cv_grant *grant)
{
	struct cv_config *config = keeper->config;
	int r = 0;

	if (!config->auto_address)
		return -EINVAL;
	keeper->grant = *grant;
	cv_config_forget_grant(config);
	r = use_grant(grant, config);
	if (r < 0 || !keeper->up) /* else AFTER_UP does it */
		return r;
	if (config->kill_switch)
		r = cv_killswitch_install(keeper->state, config, false);
	return r < 0 ? r : cv_dns_set(keeper->state, config);
}

static int become(struct keeper *keeper, struct cv_config *to)
{
	int r;

	if (!asks_the_same(keeper->config, to))
		keeper->grant = (struct cv_grant){ 0 };
	r = to->auto_address ? use_grant(&keeper->grant, to) : 0;
	if (r == 0 && to->kill_switch)
		r = cv_killswitch_install(keeper->state, to, false);
	else if (r == 0)
		r = cv_killswitch_remove(keeper->state);
	return r < 0 ? r : cv_dns_set(keeper->state, to);
}

static int change(struct keeper *keeper)
{
	struct cv_config to;
	int r = read_config(keeper, &to);

	if (r < 0) {
		if (r != -EPERM)
			cv_log_err("%s: cannot take %s: %s", keeper->state->name, keeper->path,
				   strerror(-r));
		return r;
	}
	r = become(keeper, &to);
	if (r < 0) {
		cv_config_free(&to);
		return r;
	}
	cv_config_free(keeper->config);
	*keeper->config = to;
	return 0;
}

/* Requests ---------------------------------------------------------------------------------- */

static int obey(struct keeper *keeper, const struct cv_keeper_request *request)
{
	switch (request->command) {
	case CV_KEEPER_BEFORE_UP:
		return before_up(keeper);
	case CV_KEEPER_AFTER_UP:
		return after_up(keeper, request->mark);
	case CV_KEEPER_BEFORE_DOWN:
		before_down(keeper, keeper->socket);
		return 0;
	case CV_KEEPER_AFTER_DOWN:
		after_down(keeper);
		return 0;
	case CV_KEEPER_CHANGE:
		return change(keeper);
	case CV_KEEPER_CHANGE_MARK:
		return change_mark(keeper, request->mark);
	case CV_KEEPER_HAND_OVER:
		return hand_over(keeper, &request->grant);
	default:
		return -EINVAL;
	}
}

static void serve(struct keeper *keeper)
{
	while (!keeper->done) {
		struct cv_keeper_request request;
		struct cv_keeper_reply reply;
		ssize_t n = recv(keeper->socket, &request, sizeof(request), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n != sizeof(request)) {
			crash(keeper);
			return;
		}
		if (request.command == CV_KEEPER_CANCEL) /* the hook has ended by itself */
			continue;
		reply.result = obey(keeper, &request);
		if (send(keeper->socket, &reply, sizeof(reply), MSG_NOSIGNAL) < 0) {
			crash(keeper); /* the tunnel is gone, or would wait for ever */
			return;
		}
	}
}

static void ignore_signals(void)
{
	static const int ignored[] = {
		SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2
	};

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	signal(SIGCHLD, SIG_DFL); /* programs are waited for */
}

/* What the tunnel had open when it forked: who waits for one of these to close waits for us. */
static void close_others(int socket, int state)
{
	unsigned low = (unsigned)(socket < state ? socket : state);
	unsigned high = (unsigned)(socket < state ? state : socket);

	close_range(STDERR_FILENO + 1, low - 1, 0);
	close_range(low + 1, high - 1, 0);
	close_range(high + 1, ~0U, 0);
}

_Noreturn void cv_keeper_main(struct cv_config *config, const char *path,
			      struct cv_host_state *state, int socket)
{
	struct keeper keeper = {
		.config = config,
		.path = path,
		.state = state,
		.socket = socket,
		.stood_before = state->kill_switch,
	};

	prctl(PR_SET_NAME, "convoy-keeper");
	ignore_signals();
	close_others(socket, state->fd);
	forget_keys(config);
	serve(&keeper);
	cv_host_state_close(state);
	_exit(0);
}
