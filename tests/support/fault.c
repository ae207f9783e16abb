/*
 * Makes calls of a program fail on demand: LD_PRELOAD, told by tests/support/faults.py.
 *
 * How it works. The functions in FUNCTIONS are interposed for the program's own calls. The address
 * that a call returns to says which call site it is; the file FAULTS, which the test has mapped as
 * well, has a row for each site: it counts the calls, and says whether this one fails, and how.
 * Without an order the call goes on to the real function with 20 words of arguments, whatever its
 * prototype, which takes a calling convention in which words too many do no harm: x86-64's,
 * arm64's.
 *
 * Programs that the program starts are left alone: both variables leave the environment at once.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <liburing.h>

/* How each tells that it failed. */
#define MINUS_ONE(call)    X(call, -1) /* and errno */
#define DONE_BUT(call)     Y(call, -1) /* what it is to do is done */
#define TAKEN_BUT(call)    Z(call, -1) /* with nothing to put into: what it takes is freed */
#define MINUS_ERROR(call)  X(call, -fault)
#define ERROR_NUMBER(call) X(call, fault)
#define NOTHING(call)      X(call, 0) /* null, and errno */

/* clang-format off */
#define FUNCTIONS \
	MINUS_ONE(accept4) MINUS_ONE(access) MINUS_ONE(asprintf) MINUS_ONE(bind) MINUS_ONE(chdir) \
	MINUS_ONE(chmod) MINUS_ONE(close_range) MINUS_ONE(connect) MINUS_ONE(dup2) \
	MINUS_ONE(epoll_create1) MINUS_ONE(epoll_ctl) MINUS_ONE(epoll_wait) MINUS_ONE(eventfd) \
	 MINUS_ONE(fchmod) MINUS_ONE(fchown) DONE_BUT(fclose) \
	MINUS_ONE(fcntl64) MINUS_ONE(fflush) MINUS_ONE(flock) MINUS_ONE(fork) MINUS_ONE(fstat64) \
	MINUS_ONE(fsync) MINUS_ONE(ftruncate64) MINUS_ONE(getrlimit64) \
	MINUS_ONE(getsockname) MINUS_ONE(getsockopt) MINUS_ONE(inotify_add_watch) \
	MINUS_ONE(inotify_init1) MINUS_ONE(ioctl) MINUS_ONE(kill) MINUS_ONE(listen) \
	MINUS_ONE(lseek64) MINUS_ONE(lstat64) MINUS_ONE(memfd_create) MINUS_ONE(mkdir) \
	MINUS_ONE(mkostemp64) MINUS_ONE(mnl_socket_bind) MINUS_ONE(mnl_socket_recvfrom) \
	MINUS_ONE(mnl_socket_sendto) MINUS_ONE(mnl_socket_setsockopt) MINUS_ONE(nanosleep) \
	MINUS_ONE(open64) MINUS_ONE(pidfd_open) MINUS_ONE(pipe2) MINUS_ONE(poll) MINUS_ONE(ppoll) \
	MINUS_ONE(prctl) MINUS_ONE(pread64) MINUS_ONE(pwrite64) MINUS_ONE(read) MINUS_ONE(readv) \
	MINUS_ONE(recv) MINUS_ONE(recvmmsg) MINUS_ONE(rename) MINUS_ONE(scandir64) MINUS_ONE(sem_wait) \
	 MINUS_ONE(send) MINUS_ONE(sendmmsg) MINUS_ONE(sendmsg) \
	MINUS_ONE(sendto) MINUS_ONE(setenv) MINUS_ONE(setrlimit64) MINUS_ONE(setsid) \
	MINUS_ONE(setsockopt) MINUS_ONE(signalfd) \
	MINUS_ONE(socket) MINUS_ONE(socketpair) MINUS_ONE(sodium_init) MINUS_ONE(sodium_mlock) \
	MINUS_ONE(stat64) MINUS_ONE(syscall) MINUS_ONE(tcgetattr) \
	MINUS_ONE(tcsetattr) MINUS_ONE(timerfd_create) MINUS_ONE(timerfd_settime) \
	MINUS_ONE(unlink) MINUS_ONE(waitpid) MINUS_ONE(write) MINUS_ONE(writev) \
	TAKEN_BUT(json_array_append_new) TAKEN_BUT(json_object_set_new) MINUS_ONE(json_object_update) \
	MINUS_ONE(json_dumpf) \
	MINUS_ERROR(io_uring_queue_init_params) MINUS_ERROR(io_uring_submit) \
	MINUS_ERROR(io_uring_submit_and_get_events) MINUS_ERROR(io_uring_submit_and_wait) \
	MINUS_ERROR(seccomp_load) MINUS_ERROR(seccomp_rule_add) \
	ERROR_NUMBER(posix_spawn) ERROR_NUMBER(posix_spawn_file_actions_adddup2) \
	ERROR_NUMBER(posix_spawn_file_actions_init) ERROR_NUMBER(posix_spawnattr_init) \
	 \
	 ERROR_NUMBER(pthread_create) \
	ERROR_NUMBER(pthread_key_create) \
	 ERROR_NUMBER(getaddrinfo) \
	NOTHING(CRYPTO_zalloc) NOTHING(EVP_CIPHER_CTX_new) NOTHING(EVP_CIPHER_fetch) \
	NOTHING(EVP_DigestInit_ex) NOTHING(EVP_EncryptInit_ex2) NOTHING(EVP_MAC_CTX_new) \
	NOTHING(EVP_MAC_CTX_set_params) NOTHING(EVP_MAC_fetch) \
	NOTHING(EVP_MD_CTX_new) NOTHING(EVP_MD_fetch) NOTHING(MHD_add_response_header) \
	NOTHING(MHD_create_response_from_buffer) \
	NOTHING(MHD_queue_response) NOTHING(MHD_run) NOTHING(MHD_start_daemon) \
	NOTHING(QRcode_encodeString8bit) NOTHING(aligned_alloc) NOTHING(alloc_mb_mgr) \
	NOTHING(calloc) NOTHING(fmemopen) NOTHING(fopen64) NOTHING(getcwd) NOTHING(if_nametoindex) \
	NOTHING(json_array) NOTHING(json_integer) NOTHING(json_loadb) NOTHING(json_object) \
	NOTHING(json_real) NOTHING(json_string) NOTHING(malloc) NOTHING(mnl_socket_open2) \
	NOTHING(open_memstream) NOTHING(realloc) NOTHING(reallocarray) NOTHING(realpath) \
	NOTHING(seccomp_init) NOTHING(sodium_malloc) NOTHING(strdup) NOTHING(strndup)
/* clang-format on */

enum {
	SHORT = -1,   /* at most one byte, slice or message: the third argument */
	END = -2,     /* it returns 0, as at the end of a file */
	RING = -4096, /* RING - errno: the call works, its first completion has failed */
};

struct address {
	uint32_t returns_to; /* from the start of the program */
	uint32_t site;
};

struct site {
	uint32_t calls;
	int32_t fault; /* errno, or one of the above; 0: none */
	uint32_t skip; /* calls that go well before it */
	uint32_t times;
	uint32_t failed;
};

struct table {
	uint32_t addresses, sites;
	struct address address[];
};

/* clang-format off */
#define PARAMETERS \
	long a, long b, long c, long d, long e, long f, long g, long h, long i, long j, long k, \
	long l, long m, long n, long o, long p, long q, long r, long s, long t
#define ARGUMENTS a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t
/* clang-format on */

typedef long words(PARAMETERS);

static struct table *table;
static struct site *sites;
static uintptr_t program;

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("FAULTS");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	struct stat st;

	unsetenv("LD_PRELOAD");
	unsetenv("FAULTS");
	if (fd < 0 || fstat(fd, &st) < 0)
		abort();
	/* A program's headers are on its first page. */
	program = getauxval(AT_PHDR) & ~(uintptr_t)0xfff;
	table = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (table == MAP_FAILED)
		abort();
	sites = (struct site *)&table->address[table->addresses];
}

static struct site *site_of(uintptr_t returns_to)
{
	uint32_t low = 0, high = table ? table->addresses : 0;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (program + table->address[middle].returns_to < returns_to)
			low = middle + 1;
		else
			high = middle;
	}
	if (!table || low == table->addresses ||
	    program + table->address[low].returns_to != returns_to)
		return NULL;
	return &sites[table->address[low].site];
}

/* How this call is to fail; 0: not at all. */
static int fault_of(uintptr_t returns_to)
{
	struct site *site = site_of(returns_to);

	if (!site)
		return 0;
	__atomic_add_fetch(&site->calls, 1, __ATOMIC_RELAXED);
	if (!__atomic_load_n(&site->fault, __ATOMIC_ACQUIRE))
		return 0;
	if (site->skip > 0) {
		site->skip--;
		return 0;
	}
	if (site->times == 0)
		return 0;
	site->times--;
	__atomic_add_fetch(&site->failed, 1, __ATOMIC_RELEASE);
	return site->fault;
}

static void fail_completion(struct io_uring *ring, int error)
{
	struct io_uring_cqe *cqe;

	if (io_uring_peek_cqe(ring, &cqe) == 0)
		cqe->res = -error;
}

/* clang-format off */
#define DEFINE(call, failed, first) \
	long fault_##call(PARAMETERS) __asm__(#call); \
	__attribute__((visibility("default"))) \
	long fault_##call(PARAMETERS) \
	{ \
		static words *real; \
		const int fault = fault_of((uintptr_t)__builtin_return_address(0)); \
		long result; \
		\
		if (!real) \
			real = (words *)dlsym(RTLD_NEXT, #call); \
		if (fault > 0) { \
			first; \
			errno = fault; \
			return failed; \
		} \
		if (fault == END) \
			return 0; \
		if (fault == SHORT && c > 1) \
			c = 1; \
		result = real(ARGUMENTS); \
		if (fault < RING) \
			fail_completion((struct io_uring *)a, RING - fault); \
		return result; \
	}
#define X(call, failed) DEFINE(call, failed, (void)0)
#define Y(call, failed) DEFINE(call, failed, real(ARGUMENTS))
#define Z(call, failed) DEFINE(call, failed, (a = 0, real(ARGUMENTS)))
/* clang-format on */
FUNCTIONS
