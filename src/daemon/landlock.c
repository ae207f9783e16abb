/*
 * Landlock: the part of the file system, and of other things with names, that a tunnel keeps.
 *
 * How it works. A ruleset names the rights it handles: all that this kernel knows, by its ABI
 * number. What is handled is refused unless a rule grants it beneath a path. Rules hold for what
 * a path leads to now; so whatever may be replaced by a rename (resolv.conf, the config) is
 * granted by its directory.
 *
 * Kept are: reading the config and key files again, what getaddrinfo(3) reads (its settings in
 * /etc, its modules in /usr/lib), the numbers of CPUs and sysctls, the TUN, making and removing
 * our sockets, and, where there is a Pool, replacing the file of its leases. TCP goes to name
 * servers only. What was opened before stays open.
 *
 * Source: https://docs.kernel.org/userspace-api/landlock.html. Debian 12's <linux/landlock.h> knows
 * ABI 2, so later rights stand here by their numbers.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <convoy/control/door.h>
#include <convoy/control/lease_file.h>

#include "internal.h"

#define UAPI_DIR "/var/run/wireguard"

enum {
	READ = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
	TRUNCATE = 1 << 14,  /* ABI 3 */
	IOCTL_DEV = 1 << 15, /* ABI 5 */
	DEVICE = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | IOCTL_DEV,
	SOCKETS = READ | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE,
	REPLACED = READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |
		   LANDLOCK_ACCESS_FS_REMOVE_FILE | TRUNCATE,
	/* Of rules for things that are no directories. */
	OF_FILES = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE |
		   LANDLOCK_ACCESS_FS_WRITE_FILE | TRUNCATE | IOCTL_DEV,

	CONNECT_TCP = 1 << 1, /* ABI 4; binding is free: a reload may move the metrics' port */
	RULE_NET_PORT = 2,
	DNS_PORT = 53,

	SCOPE_ABSTRACT_UNIX = 1 << 0, /* ABI 6 */
	SCOPE_SIGNAL = 1 << 1,
};

/* struct landlock_ruleset_attr as of ABI 6; older kernels take its head. */
struct rules {
	uint64_t fs, net, scoped;
};

/* struct landlock_net_port_attr */
struct port {
	uint64_t access, number;
};

/* What a kernel of this ABI can refuse. */
static struct rules handled_by(int abi)
{
	const char *notify = getenv("NOTIFY_SOCKET");
	struct rules all = { .fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1 };

	if (abi >= 2)
		all.fs |= LANDLOCK_ACCESS_FS_REFER;
	if (abi >= 3)
		all.fs |= TRUNCATE;
	if (abi >= 4)
		all.net = CONNECT_TCP;
	if (abi >= 5)
		all.fs |= IOCTL_DEV;
	if (abi >= 6)
		all.scoped = SCOPE_SIGNAL;
	if (abi >= 6 && !(notify && notify[0] == '@'))
		all.scoped |= SCOPE_ABSTRACT_UNIX;
	return all;
}

static int make_ruleset(const struct rules *handled, int abi)
{
	size_t size = abi >= 6 ? sizeof(*handled) : abi >= 4 ? 16 : 8;
	int fd = (int)syscall(SYS_landlock_create_ruleset, handled, size, 0);

	return fd < 0 ? -errno : fd;
}

/* What is not there is nothing to keep. */
static void keep(int ruleset, uint64_t handled, const char *path, uint64_t rights)
{
	struct landlock_path_beneath_attr rule;
	struct stat status;

	rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return;
	rule.allowed_access = rights & handled;
	if (fstat(rule.parent_fd, &status) == 0 && !S_ISDIR(status.st_mode))
		rule.allowed_access &= OF_FILES;
	syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	close(rule.parent_fd);
}

/* Where a file is that may be replaced: the directory of what an absolute path leads to in the end,
 * and the one in which the path itself stands. */
static void keep_directory_of(int ruleset, uint64_t handled, const char *path)
{
	char target[PATH_MAX], named[PATH_MAX];
	char *slash;

	if (realpath(path, target)) {
		slash = strrchr(target, '/');
		slash[slash == target] = '\0';
		keep(ruleset, handled, target, READ);
	}
	if (snprintf(named, sizeof(named), "%s", path) >= (int)sizeof(named))
		return;
	slash = strrchr(named, '/');
	slash[slash == named] = '\0';
	keep(ruleset, handled, named, READ);
}

static void keep_config(int ruleset, uint64_t handled, const struct cv_control_options *options,
			const struct cv_config *config)
{
	const char *credentials = getenv("CREDENTIALS_DIRECTORY");
	char path[PATH_MAX];

	if (credentials)
		keep(ruleset, handled, credentials, READ);
	if (!options->path)
		return;
	keep_directory_of(ruleset, handled, options->path);
	if (config->private_key_file.path &&
	    cv_keys_path(options->path, config->private_key_file.path, path) == 0)
		keep_directory_of(ruleset, handled, path);
	for (size_t i = 0; i < config->n_peers; i++)
		if (config->peers[i].psk_file.path &&
		    cv_keys_path(options->path, config->peers[i].psk_file.path, path) == 0)
			keep_directory_of(ruleset, handled, path);
}

static void keep_system(int ruleset, uint64_t handled)
{
	static const struct {
		const char *path;
		uint64_t rights;
	} kept[] = {
		{ "/usr", READ },
		{ "/lib", READ }, /* where they are not in /usr */
		{ "/lib64", READ },
		{ "/proc/sys", READ },
		{ "/proc/self/statm", READ },
		{ "/sys/devices/system/cpu", READ },
		{ "/dev/null", DEVICE },
		{ "/dev/urandom", READ },
		{ "/dev/net/tun", DEVICE },
		{ CV_DOOR_DIR, SOCKETS },
		{ UAPI_DIR, SOCKETS },
	};

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		keep(ruleset, handled, kept[i].path, kept[i].rights);
	/* All of /etc, and where this leads: often to /run/systemd/resolve or its like. */
	keep_directory_of(ruleset, handled, "/etc/resolv.conf");
	if (CV_SANITIZED) /* reports read a lot: maps, programs, libraries */
		keep(ruleset, handled, "/", READ);
}

/* A rule holds for what is there, and these come with the first socket otherwise. */
static void make_folder(const char *path)
{
	if (mkdir(path, 0755) == 0)
		chmod(path, 0755); /* whatever the umask is */
}

int cv_landlock_enter(const struct cv_control_options *options, const struct cv_config *config)
{
	int abi =
		(int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct port dns = { CONNECT_TCP, DNS_PORT };
	struct rules handled;
	int ruleset, r = 0;

	if (abi < 0)
		return -errno;
	handled = handled_by(abi);
	ruleset = make_ruleset(&handled, abi);
	if (ruleset < 0)
		return ruleset;
	make_folder(CV_DOOR_DIR);
	make_folder(UAPI_DIR);
	keep_config(ruleset, handled.fs, options, config);
	keep_system(ruleset, handled.fs);
	if (cv_config_has_pool(config))
		keep(ruleset, handled.fs, CV_LEASE_DIR, REPLACED);
	if (handled.net)
		syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &dns, 0);
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		r = -errno;
	close(ruleset);
	return r;
}
