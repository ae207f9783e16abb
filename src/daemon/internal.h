/* What the files of the command line share. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <convoy/config/config.h>

/* Exit codes. */
enum {
	CV_EXIT_OK = 0,
	CV_EXIT_FAILURE = 1,
	CV_EXIT_USAGE = 2,
};

struct cv_command {
	const char *name;
	const char *arguments; /* as the usage line shows them, or "" */
	const char *summary;   /* one line of --help */
	const char *help;      /* the rest of COMMAND --help */
	/* The argument is NULL for commands that take none. Return: exit code. */
	int (*run)(const char *argument);
};

/* A file read whole. */
struct cv_file {
	char *text;
	size_t len;
	bool world_readable;
};

/* output.c: say something on stderr as "convoy: ...". */
__attribute__((format(printf, 1, 2))) void cv_complain(const char *format, ...);
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
/* Wipe and free. */
void cv_file_done(struct cv_file *file);

/* keys.c */
int cv_command_genkey(const char *argument);
int cv_command_genpsk(const char *argument);
int cv_command_pubkey(const char *argument);

/* tunnel.c */
int cv_command_check(const char *argument);
int cv_command_run(const char *argument);
