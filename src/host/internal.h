/* The parts of the host module, one file each: what the keeper can do and what it remembers. */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <convoy/base/addr.h>
#include <convoy/base/grant.h>
#include <convoy/config/config.h>
#include <convoy/host/host.h>
#include <convoy/log/log.h>

/* state.c: what there is to undo, in a file that outlives us. */

enum cv_host_dns {
	CV_HOST_DNS_NONE,
	CV_HOST_DNS_RESOLVED,
	CV_HOST_DNS_RESOLVCONF,
	CV_HOST_DNS_FILE,
};

struct cv_host_state {
	int fd; /* of the file; holds the keeper's lock */
	char name[IFNAMSIZ];
	enum cv_host_dns dns;
	bool guard;
	bool kill_switch;
	int src_valid_mark; /* the value to write back; -1: it was not changed */
	uint32_t mark;      /* of policy rules, and the number of their table; 0: none */
};

/**
 * cv_host_state_open() - the state of a tunnel, as whoever had it last left it
 * @ret_alive:	an fd to be held as long as the tunnel lives; its copies count as well
 *
 * Waits for the keeper of a tunnel that is dead. Return: 0; -EBUSY the tunnel is alive; or another
 * -errno. Says nothing.
 */
int cv_host_state_open(const char *name, struct cv_host_state *ret_state, int *ret_alive);
/* Make the file say what the struct says. Return: 0 or -errno after the reason was logged. */
int cv_host_state_save(const struct cv_host_state *state);
/* Whether something is left to undo. */
bool cv_host_state_is_clean(const struct cv_host_state *state);
/* Let go of it; a file that has nothing to tell is removed. */
void cv_host_state_close(struct cv_host_state *state);

/* run.c: programs by argv. */

struct cv_run {
	const char *tunnel;      /* in front of each line of what it prints */
	const char *what;        /* behind that: "PostUp", "nft" */
	enum cv_log_level level; /* of those lines */
	const char *const *argv; /* argv[0] is looked up in PATH, or is a path; ends with NULL */
	const char *const *env;  /* "NAME=value" beside PATH, ends with NULL; or NULL */
	const char *input;       /* for its stdin; NULL: nothing */
	int cancel; /* readable or at its end: the program is to end; -1: nobody asks */
};

/**
 * cv_run() - run a program to its end
 *
 * In a process group and with a signal mask of its own, stdout and stderr line by line to the log.
 * A message that makes `cancel` readable is taken from it.
 *
 * Return: 0 it ended well; -EIO it failed, which was logged; -ENOENT there is none, which was
 * logged; -EINTR it was cancelled; or another -errno, which was logged.
 */
int cv_run(const struct cv_run *run);
/* Whether PATH has such a program. */
bool cv_run_exists(const char *program);

/* nft.c: firewall tables of ours. */

/* "TABLE family inet, for the tunnel of this name", such as convoy-guard-wg0. */
void cv_nft_name(const char *kind, const char *tunnel, char ret_name[96]);
/* Write "ip daddr { ... } VERDICT" and its like for IPv6, for those prefixes that there are. */
void cv_nft_to_prefixes(FILE *out, const struct cv_prefix *prefixes, size_t n, const char *verdict);
/* Replace a table by what the body says, or delete it (body NULL); all or nothing. Return: 0 or
 * -errno after the reason was logged. */
int cv_nft_replace(const char *kind, const char *tunnel, const char *body);

/* guard.c, killswitch.c, dns.c: each sets what the state has to remember, and saves it. Return: 0
 * or -errno after the reason was logged. */

/* Only our own packets may claim to come from the tunnel's addresses; a missing nft is no error. */
void cv_guard_install(struct cv_host_state *state, const struct cv_config *config, uint32_t mark);
void cv_guard_remove(struct cv_host_state *state);

/* The tables' text, for the tests as well. Free with free(). */
char *cv_guard_text(const struct cv_config *config, uint32_t mark);
/* @asking: DNS is let out, to the servers if there are any. */
char *cv_killswitch_text(const struct cv_config *config, bool asking, const struct cv_addr *servers,
			 size_t n_servers);
int cv_killswitch_install(struct cv_host_state *state, const struct cv_config *config, bool asking);
int cv_killswitch_remove(struct cv_host_state *state);

int cv_dns_set(struct cv_host_state *state, const struct cv_config *config);
void cv_dns_restore(struct cv_host_state *state);

enum { CV_DNS_SERVERS_MAX = 16 }; /* glibc reads 3 of a file */

/* The name servers that this host asks now, local caches aside. Return: how many. */
size_t cv_dns_servers(struct cv_addr ret_servers[CV_DNS_SERVERS_MAX]);

/* resolvconf.c: /etc/resolv.conf itself. */
int cv_resolvconf_write(const char *tunnel, const char *text);
/* Return: true when it was ours and is now as it was before. */
bool cv_resolvconf_restore(const char *tunnel);

/* hooks.c */

/* Run those of a kind in order. @path: of the config. Return: 0, or -errno of the first that
 * failed, after it was logged; with `go_on` the others run all the same. */
int cv_hooks_run(const struct cv_config *config, enum cv_config_hook_kind kind, const char *path,
		 bool go_on, int cancel);
bool cv_hooks_any(const struct cv_config *config);

/* trust.c */

/* Whether root alone can have written what stands in this file. Return: 0, or -EPERM or another
 * -errno after the reason was logged. */
int cv_trust_file(const char *tunnel, const char *path);

/* undo.c */

/* Undo what the state tells. Return: whether there was something. */
bool cv_host_undo(struct cv_host_state *state, bool kill_switch_too);

/* keeper.c */

enum cv_keeper_command {
	CV_KEEPER_BEFORE_UP,
	CV_KEEPER_AFTER_UP,
	CV_KEEPER_BEFORE_DOWN,
	CV_KEEPER_AFTER_DOWN,
	CV_KEEPER_CHANGE,
	CV_KEEPER_CHANGE_MARK,
	CV_KEEPER_HAND_OVER,
	CV_KEEPER_CANCEL, /* has no reply: the hook that runs shall end */
};

struct cv_keeper_request {
	uint32_t command;
	uint32_t mark;
	struct cv_grant grant; /* of HAND_OVER */
};

struct cv_keeper_reply {
	int32_t result;
};

/* Be the keeper until the other end of the socket goes or says AFTER_DOWN. Never returns. The
 * config is in memory of this process alone, and its keys are wiped. */
_Noreturn void cv_keeper_main(struct cv_config *config, const char *path,
			      struct cv_host_state *state, int socket);
