/*
 * seccomp: the system calls that a running tunnel may make.
 *
 * How it works. Everybody else's calls fall into two kinds:
 *
 *	what only an intruder would do (run a program, trace, mount, load code)	the process dies
 *	what nobody thought of (a newer libc, a resolver's module)		ENOSYS
 *
 * A call that fails as on an older kernel is what every library can bear: libc falls back to the
 * call it used before, and the tunnel goes on. Killing for those would turn an update of libc into
 * an outage. So clone3(2), whose flags no filter can see, is absent, and libc takes clone(2), which
 * may make threads only.
 *
 * Arguments are looked at where they decide: socket families, what ioctl(2) asks for (not
 * TIOCSTI, which types into the terminal of who started us), memory that is to become code.
 */
#include <errno.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "internal.h"

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41 /* Linux 5.17; libc names its arenas */
#endif

static const int allowed[] = {
	/* memory */
	SCMP_SYS(brk), SCMP_SYS(madvise), SCMP_SYS(membarrier), SCMP_SYS(mlock), SCMP_SYS(mlock2),
	SCMP_SYS(mremap), SCMP_SYS(munlock), SCMP_SYS(munmap),
	/* descriptors and files */
	SCMP_SYS(access), SCMP_SYS(chmod), SCMP_SYS(close), SCMP_SYS(dup), SCMP_SYS(dup2),
	SCMP_SYS(dup3), SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(fadvise64),
	SCMP_SYS(fchmod), SCMP_SYS(fchmodat), SCMP_SYS(fcntl), SCMP_SYS(fsync), SCMP_SYS(fstat),
	SCMP_SYS(fstatfs), SCMP_SYS(getcwd), SCMP_SYS(getdents64), SCMP_SYS(lseek), SCMP_SYS(lstat),
	SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(newfstatat), SCMP_SYS(open), SCMP_SYS(openat),
	SCMP_SYS(pipe2), SCMP_SYS(pread64), SCMP_SYS(read), SCMP_SYS(readlink),
	SCMP_SYS(readlinkat), SCMP_SYS(readv), SCMP_SYS(rename), SCMP_SYS(renameat),
	SCMP_SYS(renameat2), SCMP_SYS(stat), SCMP_SYS(statfs), SCMP_SYS(statx), SCMP_SYS(umask),
	SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(write), SCMP_SYS(writev),
	/* sockets */
	SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(bind), SCMP_SYS(connect),
	SCMP_SYS(getpeername), SCMP_SYS(getsockname), SCMP_SYS(getsockopt), SCMP_SYS(listen),
	SCMP_SYS(recvfrom), SCMP_SYS(recvmmsg), SCMP_SYS(recvmsg), SCMP_SYS(sendmmsg),
	SCMP_SYS(sendmsg), SCMP_SYS(sendto), SCMP_SYS(setsockopt), SCMP_SYS(shutdown),
	/* waiting */
	SCMP_SYS(clock_nanosleep), SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2), SCMP_SYS(epoll_wait), SCMP_SYS(eventfd2),
	SCMP_SYS(inotify_add_watch), SCMP_SYS(inotify_init1), SCMP_SYS(inotify_rm_watch),
	SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register), SCMP_SYS(io_uring_setup),
	SCMP_SYS(nanosleep), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(pselect6), SCMP_SYS(select),
	SCMP_SYS(signalfd4), SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_gettime),
	SCMP_SYS(timerfd_settime), SCMP_SYS(wait4), SCMP_SYS(waitid),
	/* threads, signals, the end */
	SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(futex), SCMP_SYS(getpid), SCMP_SYS(gettid),
	SCMP_SYS(restart_syscall), SCMP_SYS(rseq), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigtimedwait), SCMP_SYS(sched_getaffinity),
	SCMP_SYS(sched_yield), SCMP_SYS(set_robust_list), SCMP_SYS(set_tid_address),
	SCMP_SYS(sigaltstack),
	/* who, when, how much */
	SCMP_SYS(capget), SCMP_SYS(clock_getres), SCMP_SYS(clock_gettime), SCMP_SYS(getegid),
	SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getrandom), SCMP_SYS(getrusage),
	SCMP_SYS(gettimeofday), SCMP_SYS(getuid), SCMP_SYS(sysinfo), SCMP_SYS(time), SCMP_SYS(uname)
};

/* Nothing that a tunnel or a library of its does comes near these. */
static const int deadly[] = {
	/* programs and other processes */
	SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(fork), SCMP_SYS(vfork), SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev),
	/* the file system's shape */
	SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot),
	SCMP_SYS(move_mount), SCMP_SYS(open_tree), SCMP_SYS(fsopen), SCMP_SYS(fsmount),
	SCMP_SYS(unshare), SCMP_SYS(setns), SCMP_SYS(open_by_handle_at),
	/* the kernel */
	SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(delete_module),
	SCMP_SYS(kexec_load), SCMP_SYS(kexec_file_load), SCMP_SYS(bpf), SCMP_SYS(perf_event_open),
	SCMP_SYS(userfaultfd), SCMP_SYS(add_key), SCMP_SYS(keyctl), SCMP_SYS(request_key),
	/* identity */
	SCMP_SYS(setuid), SCMP_SYS(setgid), SCMP_SYS(setreuid), SCMP_SYS(setregid),
	SCMP_SYS(setresuid), SCMP_SYS(setresgid), SCMP_SYS(setgroups), SCMP_SYS(capset),
	SCMP_SYS(personality),
	/* the machine */
	SCMP_SYS(reboot), SCMP_SYS(swapon), SCMP_SYS(iopl), SCMP_SYS(ioperm),
	SCMP_SYS(settimeofday), SCMP_SYS(clock_settime)
};

static const int families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK };

static const uint32_t requests[] = {
	/* plain descriptors, then links, then the TUN */
	FIONBIO,   FIONREAD,  TCGETS,        TIOCGWINSZ,      SIOCGIFINDEX,  SIOCGIFNAME,
	TUNSETIFF, TUNGETIFF, TUNSETOFFLOAD, TUNSETVNETHDRSZ, TUNGETDEVNETNS
};

static const int names[] = { PR_SET_NAME, PR_SET_VMA };

/* A call that is judged by one of its arguments: allowed when (argument & mask) == value. */
struct judged {
	int call;
	unsigned argument;
	uint64_t mask, value;
};

static int allow_if(scmp_filter_ctx filter, struct judged judged)
{
	return seccomp_rule_add(
		filter, SCMP_ACT_ALLOW, judged.call, 1,
		SCMP_CMP(judged.argument, SCMP_CMP_MASKED_EQ, judged.mask, judged.value));
}

static int add_lists(scmp_filter_ctx filter)
{
	int r = 0;

	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]) && r == 0; i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
	for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]) && r == 0; i++)
		r = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, deadly[i], 0);
	return r;
}

static int add_judged(scmp_filter_ctx filter)
{
	const uint64_t self = (uint64_t)getpid();
	const struct judged each[] = {
		{ SCMP_SYS(clone), 0, CLONE_THREAD, CLONE_THREAD },
		/* Libraries are mapped as they are in their files: readable and executable. */
		{ SCMP_SYS(mmap), 2, PROT_WRITE, 0 },
		{ SCMP_SYS(mmap), 2, PROT_EXEC, 0 },
		{ SCMP_SYS(mprotect), 2, PROT_EXEC, 0 },
		{ SCMP_SYS(prlimit64), 2, UINT64_MAX, 0 }, /* to read a limit */
		{ SCMP_SYS(tgkill), 0, UINT32_MAX,
		  self }, /* abort(3), and threads among themselves */
	};
	int r = 0;

	for (size_t i = 0; i < sizeof(each) / sizeof(each[0]) && r == 0; i++)
		r = allow_if(filter, each[i]);
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]) && r == 0; i++)
		r = allow_if(filter, (struct judged){ SCMP_SYS(socket), 0, UINT32_MAX,
						      (uint64_t)families[i] });
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]) && r == 0; i++)
		r = allow_if(filter,
			     (struct judged){ SCMP_SYS(ioctl), 1, UINT32_MAX, requests[i] });
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && r == 0; i++)
		r = allow_if(filter,
			     (struct judged){ SCMP_SYS(prctl), 0, UINT32_MAX, (uint64_t)names[i] });
	if (r == 0) /* a process, not a thread */
		r = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(clone), 1,
				     SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
	return r;
}

int cv_seccomp_enter(void)
{
	scmp_filter_ctx filter;
	int r;

	if (CV_SANITIZED) /* leaks are looked for by a process that traces us */
		return -ECANCELED;
	if (sizeof(void *) < 8) /* the lists lack what 32-bit libcs call: mmap2, socketcall, ... */
		return -EOPNOTSUPP;
	filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	if (!filter)
		return -ENOMEM;
	r = add_lists(filter);
	if (r == 0)
		r = add_judged(filter);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r;
}
