/* What the files of the command line share. */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

#include <convoy/config/config.h>
#include <convoy/control/control.h>

/* Exit codes. */
enum {
	CV_EXIT_OK = 0,
	CV_EXIT_FAILURE = 1,
	CV_EXIT_USAGE = 2,
};

struct cv_command {
	const char *name;
	const char *arguments; /* as the usage line shows them, or "" */
	int least, most;       /* how many arguments; options count */
	const char *summary;   /* one line of --help */
	const char *help;      /* the rest of COMMAND --help */
	/* Gets what stands behind the command, argument[n]. Return: exit code; with CV_EXIT_USAGE
	 * the usage line is printed. */
	int (*run)(int n, char **arguments);
};

/* A file read whole. */
struct cv_file {
	char *text;
	size_t len;
	bool world_readable;
};

/* output.c: say something on stderr as "convoy: ...". */
__attribute__((format(printf, 1, 2))) void cv_complain(const char *format, ...);
/* Lines of text, without what could steer a terminal. Changes the text. */
void cv_put_lines(FILE *out, char *text, size_t len);
/* The argument is none of the options names[n] (up to 15) of the command ("": of ours). */
void cv_complain_option(const char *command, const char *argument, const char *const *names,
			size_t n);
/* What to do about an -errno of a file, to be put behind its reason; "" when we know nothing. */
const char *cv_remedy(int error);
/* Write all of it, unbuffered: no copy of a key stays behind. Return: 0 or -errno. */
int cv_write_all(int fd, const char *text, size_t len);

/**
 * cv_file_read() - read a regular file, a pipe or a terminal, up to max bytes
 *
 * Return: 0; -EFBIG when there is more; -EISDIR, -ENODEV when it is something else; or -errno.
 */
int cv_file_read(const char *path, size_t max, struct cv_file *ret_file);
/* The same for an open descriptor, which stays open. */
int cv_file_read_fd(int fd, size_t max, struct cv_file *ret_file);
/* The one key that the file holds, with nothing but blanks behind it. Return: 0 or -EINVAL. */
int cv_file_to_key(const struct cv_file *file, struct cv_key *ret_key);
/* Wipe and free. */
void cv_file_done(struct cv_file *file);

/* keys.c */
int cv_command_genkey(int n, char **arguments);
int cv_command_genpsk(int n, char **arguments);
int cv_command_pubkey(int n, char **arguments);
/* stdout is about to get a secret. */
void cv_warn_if_world_readable(void);

/* tunnel.c */

enum {
	CV_WHY_MAX = 256,
};

/* The file that FILE|NAME means: NAME is the first of its two files that exists. Return: 0, or
 * -errno after the reason was said. */
int cv_tunnel_find(const char *argument, char ret_path[PATH_MAX]);
/* As cv_control_options has it. */
int cv_tunnel_read(const char *path, struct cv_config *ret_config, FILE *findings);
/* Why a file cannot be read, with the remedy. */
void cv_tunnel_why(const char *path, int error, char ret_why[CV_WHY_MAX]);
/* Errors and warnings of a file as text. */
void cv_findings_print(const char *path, const struct cv_config_errors *findings, FILE *out);
/* Both, with the findings to stderr and an absolute path. */
int cv_tunnel_load(const char *argument, char ret_path[PATH_MAX], struct cv_config *ret_config);
int cv_command_check(int n, char **arguments);
int cv_command_run(int n, char **arguments);

/* up.c */
int cv_command_up(int n, char **arguments);
int cv_command_down(int n, char **arguments);
int cv_command_reload(int n, char **arguments);

/* client.c: asks running tunnels at their doors (convoy/control/door.h). */
struct cv_reply {
	int status;   /* of HTTP */
	pid_t daemon; /* who listens; 0: unknown */
	char *body;   /* terminated */
	size_t len;
	char *text; /* what body is a part of */
};

/**
 * cv_client_ask() - send a request to the tunnel of this name and wait for the reply
 *
 * Return: 0 with a reply of any status, or -errno after the reason and its remedy were said:
 * -ENOENT and -ECONNREFUSED when no such tunnel runs.
 */
int cv_client_ask(const char *name, const char *method, const char *path,
		  struct cv_reply *ret_reply);
/* The same, and says nothing. */
int cv_client_try(const char *name, const char *method, const char *path,
		  struct cv_reply *ret_reply);
/* Say why it did not work, of a tunnel that the command line gave as `argument`. */
void cv_client_complain(const char *name, const char *argument, bool to_end, int error);
/* Takes a zeroed one. */
void cv_reply_done(struct cv_reply *reply);

/* Tunnels that have a door, by name; one that was killed may be among them. */
struct cv_tunnels {
	char (*name)[IFNAMSIZ]; /* name[n] */
	size_t n;
};

/* Return: 0, or -errno after the reason was said. */
int cv_client_list(struct cv_tunnels *ret_tunnels);
void cv_tunnels_done(struct cv_tunnels *tunnels);

/* peer.c */
int cv_command_peer(int n, char **arguments);

/* show.c, top.c */
int cv_command_show(int n, char **arguments);
int cv_command_top(int n, char **arguments);

/**
 * keyfile.c: cv_keys_load() - read the keys that the config says to be in files of their own
 * @path:	of the config file, to resolve and to name
 * @findings:	receives errors and warnings as text, each with its line
 *
 * A path without a slash is a systemd credential where there are credentials
 * ($CREDENTIALS_DIRECTORY); any other relative path starts from the config file's directory.
 * Call it after cv_config_parse(). Return: 0, or -EINVAL when a key was not found or is none.
 */
int cv_keys_load(const char *path, struct cv_config *config, FILE *findings);
/* Where that file is. Return: 0 or, with as much as fits, -ENAMETOOLONG. */
int cv_keys_path(const char *config_path, const char *key_path, char ret_path[PATH_MAX]);

#ifdef __has_feature
#define CV_FEATURE(name) __has_feature(name)
#else
#define CV_FEATURE(name) 0
#endif
/* CV_MEMCHECK: built to be run by valgrind(1). */
#if defined(CV_MEMCHECK) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
	CV_FEATURE(address_sanitizer) || CV_FEATURE(thread_sanitizer)
#define CV_SANITIZED true
#else
#define CV_SANITIZED false
#endif

/* restrict.c: as cv_control_options has it. */
int cv_restrict_self(const struct cv_control_options *options, const struct cv_config *config);
/* Its fences, each for the calling thread and those it makes from then on: landlock.c, seccomp.c.
 * Return: 0; -ECANCELED, a sanitizer could not work behind it; or -errno: the kernel has it not. */
int cv_landlock_enter(const struct cv_control_options *options, const struct cv_config *config);
int cv_seccomp_enter(void);

/**
 * bare.c: cv_bare_is_meant() - whether this is the command line of wireguard-go
 * @is_command, @is_near: argv[1] is the name of a command, or is nearly one
 */
bool cv_bare_is_meant(int argc, char **argv, bool is_command, bool is_near);
/* `convoy [-f|--foreground] INTERFACE`: returns when the tunnel works, or with -f when it ended.
 * Return: exit code. */
int cv_bare_run(int argc, char **argv);
