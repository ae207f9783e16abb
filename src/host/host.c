/*
 * The tunnel's side of the keeper: forks it, asks it, and waits for it.
 *
 * A call sends a request and waits for the reply, however long a hook takes. A hook may want the
 * tunnel to work meanwhile: then waiting is turning the tunnel's loop. Where it is plain waiting,
 * SIGTERM and SIGINT, which the tunnel has blocked and reads from a descriptor of its own, are not
 * taken, but seen: one that is pending ends the hook that runs.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "internal.h"

struct cv_host {
	pid_t keeper;
	int socket;
	int alive; /* the lock that tells others that the tunnel lives */
	bool busy; /* turn() runs inside of a request */
	bool (*turn)(void *arg);
	void *turn_arg;
	char name[IFNAMSIZ];
};

/* Start ------------------------------------------------------------------------------------- */

static bool asks(const struct cv_config *config)
{
	return config->kill_switch || config->auto_dns || config->n_dns > 0 || cv_hooks_any(config);
}

/* Where nothing can be noted nothing must be changed. */
static int refuse(const struct cv_config *config, int error)
{
	if (error == -EBUSY)
		cv_log_err("%s: a tunnel of this name is running already", config->name);
	else if (asks(config))
		cv_log_err("%s: hooks, DNS and KillSwitch need a note under /run/convoy: %s",
			   config->name, strerror(-error));
	else
		return 0;
	return error;
}

/* Does not return in the child. */
static int fork_keeper(const struct cv_config *config, const char *path,
		       struct cv_host_state *state, struct cv_host *host)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	host->keeper = fork();
	if (host->keeper ==
	    0) /* the config is in memory of its own now, whatever the parent's is */
		cv_keeper_main((struct cv_config *)(uintptr_t)config, path, state, ends[1]);
	close(ends[1]);
	if (host->keeper < 0) {
		close(ends[0]);
		return -errno;
	}
	host->socket = ends[0];
	return 0;
}

static int start(const struct cv_config *config, const char *path, struct cv_host_state *state,
		 struct cv_host **ret_host)
{
	struct cv_host *host;
	int r = 0;

	if (cv_host_undo(state, !config->kill_switch))
		cv_log_info("%s: undid what an earlier tunnel left behind", config->name);
	if (cv_hooks_any(config))
		r = cv_trust_file(config->name, path);
	if (r < 0)
		return r;
	host = calloc(1, sizeof(*host));
	if (!host)
		return -ENOMEM;
	memcpy(host->name, config->name, sizeof(host->name));
	r = fork_keeper(config, path, state, host);
	if (r < 0) {
		cv_log_err("%s: cannot fork: %s", config->name, strerror(-r));
		free(host);
		return r;
	}
	*ret_host = host;
	return 0;
}

int cv_host_start(const struct cv_config *config, const char *path, struct cv_host **ret_host)
{
	struct cv_host_state state;
	int alive, r;

	if (!path) {
		*ret_host = NULL;
		return 0;
	}
	r = cv_host_state_open(config->name, &state, &alive);
	if (r < 0) {
		r = refuse(config, r);
		if (r == 0)
			*ret_host = NULL;
		return r;
	}
	r = start(config, path, &state, ret_host);
	if (r < 0) {
		cv_host_state_close(&state);
		close(alive);
		return r;
	}
	close(state.fd); /* the keeper's now */
	(*ret_host)->alive = alive;
	return 0;
}

/* Requests ---------------------------------------------------------------------------------- */

/* Readable when one of these signals is pending and blocked, or -1. */
static int watch_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static bool send_request(const struct cv_host *host, const struct cv_keeper_request *request)
{
	return send(host->socket, request, sizeof(*request), MSG_NOSIGNAL) == sizeof(*request);
}

static void cancel(const struct cv_host *host)
{
	send_request(host, &(struct cv_keeper_request){ .command = CV_KEEPER_CANCEL });
}

/* Turn the tunnel's loop until an answer is there, or somebody does not want to wait for it. */
static void turn_until_answered(const struct cv_host *host)
{
	struct pollfd answer = { .fd = host->socket, .events = POLLIN };

	while (poll(&answer, 1, 0) == 0)
		if (!host->turn(host->turn_arg)) {
			cancel(host);
			return;
		}
}

static bool await_reply(const struct cv_host *host, struct cv_keeper_reply *ret_reply)
{
	struct pollfd each[] = { { .fd = host->socket, .events = POLLIN },
				 { .fd = watch_signals(), .events = POLLIN } };
	int signals = each[1].fd;
	ssize_t n = -1;

	for (;;) {
		if (poll(each, 2, -1) < 0)
			continue;
		if (each[0].revents) {
			n = recv(host->socket, ret_reply, sizeof(*ret_reply), 0);
			break;
		}
		cancel(host);
		each[1].fd = -1;
	}
	if (signals >= 0)
		close(signals);
	return n == sizeof(*ret_reply);
}

static int ask(struct cv_host *host, const struct cv_keeper_request *request, bool turning)
{
	struct cv_keeper_reply reply;
	bool sent;

	if (!host)
		return 0;
	if (host->busy) {
		cv_log_err("%s: a hook is running; try again when it has ended", host->name);
		return -EBUSY;
	}
	sent = send_request(host, request);
	if (sent && turning && host->turn) {
		host->busy = true;
		turn_until_answered(host);
		host->busy = false;
	}
	if (sent && await_reply(host, &reply))
		return reply.result;
	cv_log_err("%s: the keeper is gone; hooks, DNS and firewall stay as they are", host->name);
	return -EPIPE;
}

static int request(struct cv_host *host, enum cv_keeper_command command, uint32_t mark,
		   bool turning)
{
	return ask(host, &(struct cv_keeper_request){ .command = command, .mark = mark }, turning);
}

void cv_host_set_turn(struct cv_host *host, bool (*turn)(void *arg), void *arg)
{
	if (!host)
		return;
	host->turn = turn;
	host->turn_arg = arg;
}

int cv_host_fd(const struct cv_host *host)
{
	return host ? host->socket : -1;
}

int cv_host_before_up(struct cv_host *host)
{
	return request(host, CV_KEEPER_BEFORE_UP, 0, false);
}

int cv_host_after_up(struct cv_host *host, uint32_t fwmark)
{
	return request(host, CV_KEEPER_AFTER_UP, fwmark, true);
}

void cv_host_before_down(struct cv_host *host)
{
	request(host, CV_KEEPER_BEFORE_DOWN, 0, true);
}

void cv_host_after_down(struct cv_host *host)
{
	request(host, CV_KEEPER_AFTER_DOWN, 0, false);
}

/* Without a keeper nothing may be asked for. */
static int do_without(const struct cv_config *to)
{
	if (!asks(to))
		return 0;
	cv_log_err("%s: this tunnel was started without the means for hooks, DNS or KillSwitch; "
		   "start it again",
		   to->name);
	return -EOPNOTSUPP;
}

int cv_host_change(struct cv_host *host, const struct cv_config *to)
{
	return host ? request(host, CV_KEEPER_CHANGE, 0, false) : do_without(to);
}

int cv_host_hand_over(struct cv_host *host, const struct cv_config *to,
		      const struct cv_grant *grant)
{
	const struct cv_keeper_request request = { .command = CV_KEEPER_HAND_OVER,
						   .grant = *grant };

	return host ? ask(host, &request, false) : do_without(to);
}

int cv_host_change_mark(struct cv_host *host, uint32_t fwmark)
{
	return request(host, CV_KEEPER_CHANGE_MARK, fwmark, false);
}

/* End --------------------------------------------------------------------------------------- */

int cv_host_restore(const char *name)
{
	struct cv_host_state state;
	int alive, r = cv_host_state_open(name, &state, &alive);
	bool something, clean;

	if (r < 0) {
		cv_log_err("%s: cannot take its state under /run/convoy: %s", name,
			   r == -EBUSY ? "the tunnel is alive" : strerror(-r));
		return r;
	}
	something = cv_host_undo(&state, true);
	clean = cv_host_state_is_clean(&state);
	cv_host_state_close(&state);
	close(alive);
	if (!clean)
		return -EIO;
	return something ? 0 : -ENOENT;
}

void cv_host_free(struct cv_host *host)
{
	if (!host)
		return;
	close(host->socket);
	while (waitpid(host->keeper, NULL, 0) < 0 && errno == EINTR)
		;
	close(host->alive);
	free(host);
}
