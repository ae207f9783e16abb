/* A world of the test's own: network and mounts, an empty /etc and /run, fake programs in PATH. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* cmocka.h needs what stands above it. */
#include <cmocka.h>

#include <convoy/config/config.h>
#include <convoy/crypto/init.h>
#include <convoy/host/host.h>

#include "host/internal.h"

enum { SKIPPED = 77 };

#define PRIVATE "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
#define PEER    "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="

#define FAKES   "/run/fakes"
#define CALLS   "/run/calls"
#define FILE_AT "/etc/convoy/wg0.conf"

static inline void write_file(const char *path, const char *text, mode_t mode)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, mode), 0);
}

/* "" when there is none. */
static inline const char *read_file(const char *path)
{
	static char texts[4][65536];
	static int turn;
	char *text = texts[turn++ % 4];
	FILE *file = fopen(path, "r");
	size_t n = file ? fread(text, 1, sizeof(texts[0]) - 1, file) : 0;

	text[n] = '\0';
	if (file)
		fclose(file);
	return text;
}

/* What a command prints; it must not fail. */
static inline const char *output(const char *command)
{
	static char text[1 << 20];
	FILE *stream = popen(command, "r");
	size_t n;

	assert_non_null(stream);
	n = fread(text, 1, sizeof(text) - 1, stream);
	text[n] = '\0';
	assert_int_equal(pclose(stream), 0);
	return text;
}

#define assert_shows(text, part) assert_non_null(strstr(text, part))
#define assert_hides(text, part) assert_null(strstr(text, part))

/* A program that writes its name, its arguments and its stdin into CALLS. */
static inline void make_fake(const char *program)
{
	char path[64];

	snprintf(path, sizeof(path), FAKES "/%s", program);
	write_file(path,
		   "#!/bin/sh\necho \"${0##*/} $*\" >> " CALLS "\n"
		   "sed 's/^/< /' >> " CALLS "\n",
		   0755);
}

static inline int mount_empty(const char *where)
{
	return mount("tmpfs", where, "tmpfs", 0, "mode=755");
}

static inline int bring_loopback_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r;

	r = ioctl(fd, SIOCSIFFLAGS, &ifr);
	close(fd);
	return r;
}

static int real_stderr = -1; /* while the log is listened to */

/* A fresh world for each case, which goes with its last process. */
static inline int enter(void **state)
{
	if (real_stderr >= 0)
		dup2(real_stderr, STDERR_FILENO);
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount_empty("/run") ||
	    mount_empty("/etc") || bring_loopback_up())
		return -1;
	setenv("PATH", FAKES ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	return mkdir(FAKES, 0755) || mkdir("/etc/convoy", 0755);
}

/* In a process of its own, so that the test's own namespaces stay what they are. */
static inline bool is_able(void)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(enter(NULL) ? 1 : 0);
	waitpid(pid, &status, 0);
	return status == 0;
}

/* What the log says goes to a file, until said() is asked. */
static inline void listen_to_log(void)
{
	int fd = open("/run/said", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	if (real_stderr < 0)
		real_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100);
	assert_true(fd >= 0 && real_stderr >= 0);
	dup2(fd, STDERR_FILENO);
	close(fd);
}

/* All that was heard so far. */
static inline const char *said(void)
{
	dup2(real_stderr, STDERR_FILENO);
	return read_file("/run/said");
}

/* A config of the interface's and the peer's lines, also as a file; to be freed. */
static inline void config_of(struct cv_config *ret_config, const char *interface, const char *peer)
{
	struct cv_config_errors findings;
	char *text;

	assert_true(asprintf(&text,
			     "[Interface]\nPrivateKey = " PRIVATE "\n%s"
			     "[Peer]\nPublicKey = " PEER "\n%s",
			     interface, peer) > 0);
	assert_int_equal(cv_config_parse(text, strlen(text), ret_config, &findings), 0);
	cv_config_errors_free(&findings);
	write_file(FILE_AT, text, 0600);
	free(text);
	strcpy(ret_config->name, "wg0");
}

#define CASE(name) cmocka_unit_test_setup(name, enter)

/* The main() of a test of this folder. */
#define RUN(tests)                                                                    \
	do {                                                                          \
		if (!is_able()) {                                                     \
			fprintf(stderr, "skipped: needs root, namespaces and nft\n"); \
			return SKIPPED;                                               \
		}                                                                     \
		if (cv_crypto_init() < 0)                                             \
			return 1;                                                     \
		return cmocka_run_group_tests(tests, NULL, NULL);                     \
	} while (0)
