/*
 * Self-restriction: what a tunnel does not need it gives up, before a stranger's first byte.
 *
 * How it works. Capabilities, no-new-privileges, Landlock and seccomp all belong to a thread and
 * are inherited by the threads it makes. So the one moment for them is before the device exists:
 * the keeper, which runs hooks and keeps what those need, is forked, and the process has one
 * thread; workers and the resolver are born into the fence. Making the device needs no more than
 * running it does, for a link that goes down and up opens its sockets anew.
 *
 *	capabilities	CAP_NET_ADMIN, and CAP_NET_BIND_SERVICE for a port below 1024; nothing in
 *			the bounding, inheritable and ambient sets. SO_MARK, SO_RCVBUFFORCE, netlink
 *			and the TUN need the first; nothing needs CAP_NET_RAW.
 *	Landlock	landlock.c: which files, TCP ports and signals are still there
 *	seccomp		seccomp.c: which system calls
 *
 * What the kernel does not have is said, and the tunnel goes on without: a daemon that fences
 * itself off is meant to survive on the hosts of people who cannot choose their kernel. io_uring
 * carries out calls that seccomp does not see; Landlock and capabilities hold for those as well.
 */
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <convoy/log/log.h>

#include "internal.h"

enum {
	PRIVILEGED_PORTS = 1024, /* net.ipv4.ip_unprivileged_port_start at its default */
	/* Key memory and io_uring's buffers; as LimitMEMLOCK= of the unit. */
	MEMLOCK_BYTES = 256 << 20,
};

static uint64_t bit(unsigned capability)
{
	return UINT64_C(1) << capability;
}

static uint64_t needed(const struct cv_control_options *options, const struct cv_config *config)
{
	bool low_port = config->listen_port > 0 && config->listen_port < PRIVILEGED_PORTS;

	/* wg(8) tells a bare tunnel its port later. */
	return bit(CAP_NET_ADMIN) |
	       (low_port || options->bare ? bit(CAP_NET_BIND_SERVICE) : UINT64_C(0));
}

/* Locked memory needs either a limit or CAP_IPC_LOCK, which is about to go. */
static void raise_memlock(void)
{
	struct rlimit limit, raised;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0 || limit.rlim_cur >= MEMLOCK_BYTES)
		return;
	raised.rlim_cur = MEMLOCK_BYTES;
	raised.rlim_max = limit.rlim_max > MEMLOCK_BYTES ? limit.rlim_max : MEMLOCK_BYTES;
	if (setrlimit(RLIMIT_MEMLOCK, &raised) == 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_MEMLOCK, &limit);
}

/* Keep those of `wanted` that we have. A unit that grants no others may refuse capset(2), which
 * then is not asked for. Return: 0 with *ret_kept, or -errno. */
static int keep_capabilities(uint64_t wanted, uint64_t *ret_kept)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };
	bool changed = false;

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	/* The end of the list answers EINVAL. Without CAP_SETPCAP the set stays; it grants nothing
	 * to who may gain no privileges. */
	for (unsigned long i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++)
		prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	for (int i = 0; i < 2; i++) {
		uint32_t kept = data[i].permitted & (uint32_t)(wanted >> (32 * i));

		changed |= data[i].permitted != kept || data[i].effective != kept ||
			   data[i].inheritable;
		data[i].permitted = data[i].effective = kept;
		data[i].inheritable = 0;
	}
	if (changed && syscall(SYS_capset, &header, data) < 0)
		return -errno;
	*ret_kept = data[0].permitted | (uint64_t)data[1].permitted << 32;
	return 0;
}

static const char *capability_names(uint64_t kept)
{
	switch (kept) {
	case 0:
		return "none";
	case UINT64_C(1) << CAP_NET_ADMIN:
		return "net_admin";
	case UINT64_C(1) << CAP_NET_BIND_SERVICE:
		return "net_bind_service";
	default:
		return "net_admin,net_bind_service";
	}
}

/* One word for the line that tells how it went; why a fence is missing is a warning. */
static const char *state(const char *name, const char *fence, int result)
{
	if (result >= 0)
		return "yes";
	if (result == -ECANCELED)
		return "sanitizer";
	cv_log_warn("%s: %s cannot be had from this kernel: %s, ignoring", name, fence,
		    strerror(-result));
	return "no";
}

int cv_restrict_self(const struct cv_control_options *options, const struct cv_config *config)
{
	const char *landlock, *seccomp;
	uint64_t kept = 0;
	int r;

	raise_memlock();
	r = keep_capabilities(needed(options, config), &kept);
	if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = -errno;
	if (r < 0) {
		cv_log_err("%s: cannot give up privileges: %s", config->name, strerror(-r));
		return r;
	}
	landlock = state(config->name, "Landlock", cv_landlock_enter(options, config));
	seccomp = state(config->name, "seccomp", cv_seccomp_enter());
	cv_log_info("%s: restricted caps=%s landlock=%s seccomp=%s", config->name,
		    capability_names(kept), landlock, seccomp);
	if (options->path && access(options->path, R_OK) < 0)
		cv_log_warn("%s: cannot read %s any more: %s; a reload will fail, ignoring",
			    config->name, options->path, strerror(errno));
	return 0;
}
