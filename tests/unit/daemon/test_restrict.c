/* What a restricted process can still do, and what it cannot: each case in a child of its own. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* After the headers that it needs. */
#include <cmocka.h>

#include <convoy/control/door.h>
#include <convoy/log/log.h>

#include "daemon/internal.h"

enum {
	LANDLOCK_NET_ABI = 4,
	NO_CASE = 99, /* exit code of a child that could not restrict itself */
};

/* /tmp/cv-XXXXXX/etc/tunnel.conf, /tmp/cv-XXXXXX/keys/key, and /tmp/cv-XXXXXX/secret/file, of which
 * nobody told. */
static char folder[64], config_folder[80], config_path[96], key_path[96], secret_path[96];

static struct cv_control_options options = { .path = config_path };
static struct cv_config config = { .name = "test0" };

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static int abi(void)
{
	return (int)syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
}

/* Run `act` in a restricted child. Return: its exit code, or minus the signal that killed it. */
static int restricted(int (*act)(void))
{
	int status;
	pid_t child;

	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		if (cv_restrict_self(&options, &config) < 0)
			_exit(NO_CASE);
		_exit(act());
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

#define NEEDS_ROOT          \
	if (geteuid() != 0) \
	skip()
#define HAS_SECCOMP (!CV_SANITIZED && sizeof(void *) == 8)
#define NEEDS_SECCOMP     \
	if (!HAS_SECCOMP) \
	skip()
#define NEEDS_LANDLOCK(least) \
	if (abi() < (least))  \
	skip()

/* Capabilities ---------------------------------------------------------------------------- */

/* A line of /proc/PID/task/TID/status as a number. */
static uint64_t status_of(pid_t pid, const char *task, const char *field, int base)
{
	char path[300], line[200];
	uint64_t number = UINT64_MAX;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%s/status", pid, task);
	file = fopen(path, "r");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		if (strncmp(line, field, strlen(field)) == 0 && line[strlen(field)] == ':')
			number = strtoull(line + strlen(field) + 1, NULL, base);
	fclose(file);
	return number;
}

static void assert_task(pid_t pid, const char *task, uint64_t capabilities)
{
	static const char *const empty[] = { "CapInh", "CapBnd", "CapAmb" };

	assert_int_equal(status_of(pid, task, "CapPrm", 16), capabilities);
	assert_int_equal(status_of(pid, task, "CapEff", 16), capabilities);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(status_of(pid, task, empty[i], 16), 0);
	assert_int_equal(status_of(pid, task, "NoNewPrivs", 10), 1);
	if (HAS_SECCOMP)
		assert_int_equal(status_of(pid, task, "Seccomp", 10), 2);
}

static void *wait_for_ever(void *arg)
{
	char byte;

	(void)!write(STDOUT_FILENO, "t", 1);
	return (void *)(intptr_t)read(STDIN_FILENO, &byte, 1);
}

/* A child with a second thread, both waiting until the other end of its stdin is closed. */
static pid_t start_waiting(int ret_pipes[2])
{
	int in[2], out[2];
	pthread_t thread;
	char byte;
	pid_t child;

	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	fflush(NULL);
	child = fork();
	if (child == 0) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		close(in[1]);
		if (cv_restrict_self(&options, &config) < 0 ||
		    pthread_create(&thread, NULL, wait_for_ever, NULL))
			_exit(NO_CASE);
		_exit((int)(intptr_t)wait_for_ever(NULL));
	}
	close(in[0]);
	close(out[1]);
	for (int i = 0; i < 2; i++)
		assert_int_equal(read(out[0], &byte, 1), 1);
	ret_pipes[0] = in[1];
	ret_pipes[1] = out[0];
	return child;
}

static void assert_all_tasks(uint64_t capabilities)
{
	char path[64];
	struct dirent *entry;
	int pipes[2], tasks = 0, status;
	pid_t child = start_waiting(pipes);
	DIR *list;

	snprintf(path, sizeof(path), "/proc/%d/task", child);
	list = opendir(path);
	assert_non_null(list);
	while ((entry = readdir(list)))
		if (entry->d_name[0] != '.') {
			assert_task(child, entry->d_name, capabilities);
			tasks++;
		}
	closedir(list);
	assert_true(tasks >= 2);
	close(pipes[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	close(pipes[1]);
}

static void every_thread_keeps_net_admin_only(void **state)
{
	NEEDS_ROOT;
	assert_all_tasks(UINT64_C(1) << CAP_NET_ADMIN);
}

static void a_port_below_1024_keeps_the_right_to_bind_it(void **state)
{
	const uint64_t both = UINT64_C(1) << CAP_NET_ADMIN | UINT64_C(1) << CAP_NET_BIND_SERVICE;

	NEEDS_ROOT;
	config.listen_port = 443;
	assert_all_tasks(both);
	config.listen_port = 1024;
	assert_all_tasks(UINT64_C(1) << CAP_NET_ADMIN);
	config.listen_port = 0;
	options.bare = true;
	assert_all_tasks(both);
	options.bare = false;
}

static void who_has_no_capability_stays_so(void **state)
{
	int status;
	pid_t child;

	NEEDS_ROOT;
	fflush(NULL);
	child = fork();
	if (child == 0) {
		if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
			_exit(NO_CASE);
		_exit(cv_restrict_self(&options, &config) == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* System calls ---------------------------------------------------------------------------- */

static int run_program(void)
{
	execl("/bin/true", "true", (char *)NULL);
	return 1;
}

static int make_process(void)
{
	return fork() < 0 ? 1 : 0;
}

static int trace(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0;
}

static int mount_something(void)
{
	return mount("none", "/mnt", "tmpfs", 0, NULL) < 0;
}

static int enter_namespace(void)
{
	return unshare(CLONE_NEWNS) < 0;
}

static int load_filter_program(void)
{
	return syscall(SYS_bpf, 0, NULL, 0) < 0;
}

static int ask_for_keys(void)
{
	return syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 0) < 0;
}

static int become_somebody(void)
{
	return setuid(65534) < 0;
}

static void what_only_an_intruder_does_is_deadly(void **state)
{
	NEEDS_SECCOMP;
	assert_int_equal(restricted(run_program), -SIGSYS);
	assert_int_equal(restricted(make_process), -SIGSYS);
	assert_int_equal(restricted(trace), -SIGSYS);
	assert_int_equal(restricted(mount_something), -SIGSYS);
	assert_int_equal(restricted(enter_namespace), -SIGSYS);
	assert_int_equal(restricted(load_filter_program), -SIGSYS);
	assert_int_equal(restricted(ask_for_keys), -SIGSYS);
	assert_int_equal(restricted(become_somebody), -SIGSYS);
}

static int call_something_new(void)
{
	return memfd_create("x", 0) < 0 ? errno : 0;
}

static void what_nobody_thought_of_is_not_there(void **state)
{
	NEEDS_SECCOMP;
	assert_int_equal(restricted(call_something_new), ENOSYS);
}

static int open_sockets(void)
{
	static const int good[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK };
	static const int bad[] = { AF_PACKET, AF_VSOCK, AF_ALG, AF_BLUETOOTH };

	for (size_t i = 0; i < 4; i++)
		if (socket(good[i], SOCK_DGRAM, 0) < 0 && errno != EAFNOSUPPORT)
			return 1;
	for (size_t i = 0; i < 4; i++)
		if (socket(bad[i], SOCK_RAW, 0) >= 0 || errno != ENOSYS)
			return 2;
	return 0;
}

static void sockets_are_of_four_families(void **state)
{
	NEEDS_SECCOMP;
	assert_int_equal(restricted(open_sockets), 0);
}

static int type_into_terminal(void)
{
	return ioctl(STDIN_FILENO, TIOCSTI, "x") < 0 ? errno : 0;
}

static void nothing_is_typed_into_the_terminal(void **state)
{
	NEEDS_SECCOMP;
	assert_int_equal(restricted(type_into_terminal), ENOSYS);
}

static int make_code(void)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	void *plain = mmap(NULL, 4096, PROT_READ | PROT_WRITE, flags, -1, 0);

	if (plain == MAP_FAILED)
		return 1;
	if (mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, flags, -1, 0) != MAP_FAILED)
		return 2;
	if (mprotect(plain, 4096, PROT_READ | PROT_EXEC) == 0)
		return 3;
	return mprotect(plain, 4096, PROT_READ) < 0;
}

static void memory_never_becomes_code(void **state)
{
	NEEDS_SECCOMP;
	assert_int_equal(restricted(make_code), 0);
}

static int look_up_localhost(void)
{
	struct addrinfo *list;

	return getaddrinfo("localhost", NULL, NULL, &list) ? 1 : 0;
}

static void names_can_be_looked_up(void **state)
{
	assert_int_equal(restricted(look_up_localhost), 0);
}

/* Files and ports ------------------------------------------------------------------------- */

static int read_again(void)
{
	struct cv_file file;

	if (cv_file_read(config_path, 100, &file) < 0 || file.len != 3)
		return 1;
	return cv_file_read(key_path, 100, &file) < 0 ? 2 : 0;
}

static void config_and_key_files_can_be_read_again(void **state)
{
	config.private_key_file.path = key_path;
	assert_int_equal(restricted(read_again), 0);
	config.private_key_file.path = NULL;
}

/* Waits until somebody has put another file in the place of the config. */
static int read_another(void)
{
	char byte;

	(void)!write(STDOUT_FILENO, "r", 1);
	if (read(STDIN_FILENO, &byte, 1) != 0)
		return 1;
	return read_again();
}

static void a_config_that_was_replaced_can_be_read(void **state)
{
	char other[100];
	int in[2], out[2], status;
	char byte;
	pid_t child;

	config.private_key_file.path = key_path;
	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	fflush(NULL);
	child = fork();
	if (child == 0) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		close(in[1]);
		_exit(cv_restrict_self(&options, &config) < 0 ? NO_CASE : read_another());
	}
	assert_int_equal(read(out[0], &byte, 1), 1);
	snprintf(other, sizeof(other), "%s/new", config_folder);
	write_file(other, "abc");
	assert_int_equal(rename(other, config_path), 0);
	close(in[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	close(in[0]);
	close(out[0]);
	close(out[1]);
	config.private_key_file.path = NULL;
}

static int touch_other_files(void)
{
	char path[128];

	if (!CV_SANITIZED && (open(secret_path, O_RDONLY) >= 0 || errno != EACCES))
		return 1;
	if (open(config_path, O_WRONLY) >= 0 || errno != EACCES)
		return 2;
	snprintf(path, sizeof(path), "%s/new", config_folder);
	if (open(path, O_WRONLY | O_CREAT, 0600) >= 0 || errno != EACCES)
		return 3;
	if (unlink(config_path) == 0 || errno != EACCES)
		return 4;
	return open("/etc/hosts", O_RDONLY) < 0 ? 5 : 0;
}

static void other_files_are_out_of_reach(void **state)
{
	NEEDS_LANDLOCK(1);
	assert_int_equal(restricted(touch_other_files), 0);
}

static int use_sockets(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(at.sun_path, sizeof(at.sun_path), CV_DOOR_DIR "/cv-test-%d.sock", getpid());
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		return 1;
	if (unlink(at.sun_path) < 0)
		return 2;
	snprintf(at.sun_path, sizeof(at.sun_path), "%s/socket", config_folder);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	return bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 || errno != EACCES ? 3 : 0;
}

static void sockets_are_made_and_removed_in_their_folder_only(void **state)
{
	NEEDS_ROOT;
	NEEDS_LANDLOCK(1);
	assert_int_equal(restricted(use_sockets), 0);
}

static int connect_to(uint16_t port)
{
	const struct sockaddr_in to = { .sin_family = AF_INET,
					.sin_port = htons(port),
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0 ? errno : 0;
}

static int call_out(void)
{
	if (connect_to(80) != EACCES)
		return 1;
	return connect_to(53) == EACCES ? 2 : 0;
}

static void tcp_goes_to_name_servers_only(void **state)
{
	NEEDS_LANDLOCK(LANDLOCK_NET_ABI);
	assert_int_equal(restricted(call_out), 0);
}

static int make_folders(void **state)
{
	char keys[80], secret[80];

	cv_log_set_level(CV_LOG_SILENT);
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0 }); /* SIGSYS leaves one */
	snprintf(folder, sizeof(folder), "/tmp/cv-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(config_folder, sizeof(config_folder), "%s/etc", folder);
	snprintf(keys, sizeof(keys), "%s/keys", folder);
	snprintf(secret, sizeof(secret), "%s/secret", folder);
	if (mkdir(config_folder, 0700) < 0 || mkdir(keys, 0700) < 0 || mkdir(secret, 0700) < 0)
		return -1;
	snprintf(config_path, sizeof(config_path), "%s/tunnel.conf", config_folder);
	snprintf(key_path, sizeof(key_path), "%s/key", keys);
	snprintf(secret_path, sizeof(secret_path), "%s/file", secret);
	write_file(config_path, "abc");
	write_file(key_path, "abc");
	write_file(secret_path, "abc");
	return 0;
}

static int remove_folders(void **state)
{
	char command[100];

	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_thread_keeps_net_admin_only),
		cmocka_unit_test(a_port_below_1024_keeps_the_right_to_bind_it),
		cmocka_unit_test(who_has_no_capability_stays_so),
		cmocka_unit_test(what_only_an_intruder_does_is_deadly),
		cmocka_unit_test(what_nobody_thought_of_is_not_there),
		cmocka_unit_test(sockets_are_of_four_families),
		cmocka_unit_test(nothing_is_typed_into_the_terminal),
		cmocka_unit_test(memory_never_becomes_code),
		cmocka_unit_test(names_can_be_looked_up),
		cmocka_unit_test(config_and_key_files_can_be_read_again),
		cmocka_unit_test(a_config_that_was_replaced_can_be_read),
		cmocka_unit_test(other_files_are_out_of_reach),
		cmocka_unit_test(sockets_are_made_and_removed_in_their_folder_only),
		cmocka_unit_test(tcp_goes_to_name_servers_only),
	};

	return cmocka_run_group_tests(tests, make_folders, remove_folders);
}
