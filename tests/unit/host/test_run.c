/* Programs: what they get, what of theirs is heard, and how they end. */
#include "world.h"

static int run(const char *command, const char *input, const char *const *env, int cancel)
{
	const char *const argv[] = { "/bin/sh", "-c", command, NULL };

	listen_to_log();
	return cv_run(&(struct cv_run){ .tunnel = "wg0",
					.what = "test",
					.level = CV_LOG_INFO,
					.argv = argv,
					.env = env,
					.input = input,
					.cancel = cancel });
}

static void output_of_both_kinds_comes_line_by_line(void **state)
{
	assert_int_equal(run("echo one; echo two >&2; printf three", NULL, NULL, -1), 0);
	assert_shows(said(), "wg0: test: one\n");
	assert_shows(said(), "wg0: test: two\n");
	assert_shows(said(), "wg0: test: three\n");
}

static void input_of_any_size_reaches_the_program(void **state)
{
	size_t len = 300000; /* more than a pipe holds */
	char *input = malloc(len + 1);

	memset(input, 'x', len);
	input[len] = '\0';
	assert_int_equal(run("wc -c", input, NULL, -1), 0);
	assert_shows(said(), "wg0: test: 300000\n");
	assert_int_equal(run("cat; echo end", NULL, NULL, -1), 0);
	assert_shows(said(), "wg0: test: end\n");
	free(input);
}

static void environment_is_path_and_what_is_given(void **state)
{
	const char *const env[] = { "INTERFACE=wg0", NULL };

	setenv("SECRET", "leaks", 1);
	assert_int_equal(run("env", NULL, env, -1), 0);
	assert_shows(said(), "wg0: test: INTERFACE=wg0\n");
	assert_shows(said(), "wg0: test: PATH=" FAKES ":/usr");
	assert_hides(said(), "SECRET");
}

static void failure_is_told(void **state)
{
	assert_int_equal(run("exit 3", NULL, NULL, -1), -EIO);
	assert_shows(said(), "wg0: test failed with exit status 3\n");
	assert_int_equal(run("kill -9 $$", NULL, NULL, -1), -EIO);
	assert_shows(said(), "wg0: test was killed: Killed\n");
}

static void missing_program_names_its_package(void **state)
{
	const char *const argv[] = { "nft", NULL };
	const struct cv_run nft = { .tunnel = "wg0", .what = "nft", .argv = argv, .cancel = -1 };

	listen_to_log();
	setenv("PATH", "/nowhere", 1);
	assert_int_equal(cv_run(&nft), -ENOENT);
	assert_shows(said(), "wg0: there is no program nft; it is in the package nftables\n");
	assert_false(cv_run_exists("nft"));
}

static void program_is_looked_for_in_path_in_order(void **state)
{
	make_fake("nft");
	assert_true(cv_run_exists("nft"));
	assert_int_equal(chmod(FAKES "/nft", 0644), 0);
	setenv("PATH", FAKES, 1);
	assert_false(cv_run_exists("nft"));
	assert_int_equal(mkdir(FAKES "/resolvectl", 0755), 0);
	assert_false(cv_run_exists("resolvectl"));
}

/* Signals that we ignore or block are as always for a program. */
static void signals_are_as_always(void **state)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGINT, SIG_IGN);
	assert_int_equal(run("kill -TERM $$; echo survived", NULL, NULL, -1), -EIO);
	assert_int_equal(run("kill -INT $$; echo survived", NULL, NULL, -1), -EIO);
	assert_hides(said(), "survived");
	signal(SIGINT, SIG_DFL);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void cancelled_program_ends_with_all_its_children(void **state)
{
	int ends[2], held;
	char byte;
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(mkfifo("/run/ready", 0600), 0);
	assert_int_equal(mkfifo("/run/held", 0600), 0);
	held = open("/run/held", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	pid = fork();
	if (pid == 0) { /* cancels when the program is there */
		close(open("/run/ready", O_RDONLY));
		_exit(write(ends[0], "!", 1) != 1);
	}
	/* The child says when it is there: a shell between fork and exec may lose a signal. */
	assert_int_equal(run("trap 'echo asked; exit 1' TERM; "
			     "sh -c ': > /run/ready; exec sleep 1000' > /run/held & wait",
			     NULL, NULL, ends[1]),
			 -EINTR);
	assert_shows(said(), "asked");
	fcntl(held, F_SETFL, 0);
	assert_int_equal(read(held, &byte, 1), 0); /* when the child is dead as well */
	close(held);
	waitpid(pid, NULL, 0);
	/* The message was taken: the next one is not cancelled. */
	assert_int_equal(run("echo next", NULL, NULL, ends[1]), 0);
	close(ends[0]);
	assert_int_equal(run("sleep 1000", NULL, NULL, ends[1]), -EINTR);
	close(ends[1]);
}

static void daemon_left_behind_is_not_waited_for(void **state)
{
	assert_int_equal(run("sleep 1000 & echo $! > /run/left; echo started", NULL, NULL, -1), 0);
	assert_shows(said(), "started");
	assert_int_equal(kill(atoi(read_file("/run/left")), SIGKILL), 0);
}

static void descriptors_of_ours_stay_ours(void **state)
{
	int fd = open("/run/ours", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_int_equal(run("ls -l /proc/self/fd; echo listed", NULL, NULL, -1), 0);
	assert_shows(said(), "listed");
	assert_hides(said(), "/run/ours");
	assert_hides(said(), "memfd");
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(output_of_both_kinds_comes_line_by_line),
		CASE(input_of_any_size_reaches_the_program),
		CASE(environment_is_path_and_what_is_given),
		CASE(failure_is_told),
		CASE(missing_program_names_its_package),
		CASE(program_is_looked_for_in_path_in_order),
		CASE(signals_are_as_always),
		CASE(cancelled_program_ends_with_all_its_children),
		CASE(daemon_left_behind_is_not_waited_for),
		CASE(descriptors_of_ours_stay_ours),
	};

	RUN(tests);
}
