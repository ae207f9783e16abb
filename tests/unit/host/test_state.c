/* The note of what there is to undo: it says what was written last, and who may read it. */
#include "world.h"

#define STATE "/run/convoy/wg0.state"

static void open_state(struct cv_host_state *ret_state, int *ret_alive)
{
	assert_int_equal(cv_host_state_open("wg0", ret_state, ret_alive), 0);
}

/* In another process, as it would be: 0, or the error as a positive number. */
static int opened_elsewhere(void)
{
	struct cv_host_state theirs;
	int status, alive;
	pid_t pid = fork();

	if (pid == 0)
		_exit(-cv_host_state_open("wg0", &theirs, &alive));
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status);
}

static void first_state_is_clean(void **state)
{
	struct cv_host_state mine;
	int alive;

	open_state(&mine, &alive);
	assert_true(cv_host_state_is_clean(&mine));
	assert_string_equal(mine.name, "wg0");
	cv_host_state_close(&mine);
	close(alive);
}

static void saved_state_comes_back(void **state)
{
	struct cv_host_state mine, again;
	int alive;

	open_state(&mine, &alive);
	mine.dns = CV_HOST_DNS_FILE;
	mine.guard = mine.kill_switch = true;
	mine.src_valid_mark = 0;
	mine.mark = UINT32_MAX;
	assert_int_equal(cv_host_state_save(&mine), 0);
	cv_host_state_close(&mine);
	close(alive);
	open_state(&again, &alive);
	assert_int_equal(again.dns, CV_HOST_DNS_FILE);
	assert_true(again.guard && again.kill_switch);
	assert_int_equal(again.src_valid_mark, 0);
	assert_int_equal(again.mark, UINT32_MAX);
	assert_false(cv_host_state_is_clean(&again));
	cv_host_state_close(&again);
	close(alive);
}

static void only_root_may_read_it(void **state)
{
	struct cv_host_state mine;
	struct stat status;
	int alive;

	umask(0);
	open_state(&mine, &alive);
	assert_int_equal(stat(STATE, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	cv_host_state_close(&mine);
	close(alive);
	umask(022);
}

static void clean_state_leaves_no_file(void **state)
{
	struct cv_host_state mine;
	int alive;

	open_state(&mine, &alive);
	mine.guard = true;
	cv_host_state_save(&mine);
	mine.guard = false;
	cv_host_state_save(&mine);
	cv_host_state_close(&mine);
	close(alive);
	assert_int_equal(access(STATE, F_OK), -1);
}

static void tunnel_that_lives_is_not_disturbed(void **state)
{
	struct cv_host_state mine;
	int alive;

	open_state(&mine, &alive);
	assert_int_equal(opened_elsewhere(), EBUSY);
	/* Not even when its keeper was killed. */
	close(mine.fd);
	assert_int_equal(opened_elsewhere(), EBUSY);
	close(alive);
	assert_int_equal(opened_elsewhere(), 0);
}

/* The keeper is at work, its tunnel is dead: the next one waits until it has told how it ended. */
static void keeper_of_a_dead_tunnel_is_waited_for(void **state)
{
	struct cv_host_state mine, next;
	int alive, ready[2], status;
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		open_state(&mine, &alive);
		mine.guard = true;
		close(alive);
		if (write(ready[1], "!", 1) != 1)
			_exit(1);
		/* The other one cannot pass its lock before this is saved, however slow we are. */
		sched_yield();
		cv_host_state_save(&mine);
		cv_host_state_close(&mine);
		_exit(0);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	open_state(&next, &alive);
	assert_true(next.guard);
	next.guard = false;
	cv_host_state_close(&next);
	close(alive);
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	close(ready[0]);
	close(ready[1]);
}

static void text_of_somebody_else_is_a_clean_state(void **state)
{
	static const char *const texts[] = {
		"",
		"convoy 1 dns 1",
		"convoy 2 dns 3 guard 1 killswitch 1 src_valid_mark 1 mark 9",
		"convoy 1 dns 99 guard 0 killswitch 0 src_valid_mark -1 mark 0",
	};
	struct cv_host_state mine;
	char line[97];
	int alive;

	assert_int_equal(mkdir("/run/convoy", 0755), 0);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		snprintf(line, sizeof(line), "%-95s\n", texts[i]); /* as long as ours */
		write_file(STATE, i == 1 ? texts[i] : line, 0600);
		open_state(&mine, &alive);
		assert_true(cv_host_state_is_clean(&mine));
		cv_host_state_close(&mine);
		close(alive);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(first_state_is_clean),
		CASE(saved_state_comes_back),
		CASE(only_root_may_read_it),
		CASE(clean_state_leaves_no_file),
		CASE(tunnel_that_lives_is_not_disturbed),
		CASE(keeper_of_a_dead_tunnel_is_waited_for),
		CASE(text_of_somebody_else_is_a_clean_state),
	};

	RUN(tests);
}
