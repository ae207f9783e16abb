/* Removal: after it nothing is called, and nobody holds the fd. */
#include <netinet/in.h>
#include <sys/socket.h>

#include "probe.h"

static bool remove_victim(struct cv_watch *watch, uint32_t revents)
{
	struct probe *probe = watch->owner;

	probe->calls++;
	cv_loop_remove(probe->loop, probe->victim);
	return true;
}

static bool free_itself(struct cv_watch *watch, uint32_t revents)
{
	struct probe *probe = watch->owner;

	cv_loop_remove(probe->loop, watch);
	close(watch->fd);
	close(probe->to);
	free(probe);
	return true;
}

static void again_of_a_removed_watch_is_forgotten(void **state)
{
	struct cv_loop *loop = new_loop(state);
	struct probe *probe = new_probe(loop, count_only);

	cv_loop_again(loop, &probe->watch);
	cv_loop_remove(loop, &probe->watch);
	assert_int_equal(poll_once(loop), 0);
	free_probe(probe);
	cv_loop_free(loop);
}

static void removal_lets_go_of_a_socket_that_wants_to_write(void **state)
{
	struct cv_loop *loop = new_loop(state);
	struct probe probe = { 0 };
	int fds[2];
	char byte;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	fill(fds[0]);
	probe.watch = (struct cv_watch){ .fd = fds[0], .ready = count_only, .owner = &probe };
	assert_int_equal(cv_loop_add(loop, &probe.watch), 0);
	assert_int_equal(cv_loop_want_write(loop, &probe.watch), 0);
	assert_int_equal(poll_once(loop), 0);
	cv_loop_remove(loop, &probe.watch);
	close(fds[0]);
	/* The other end sees the end, so nobody holds the socket any more. */
	drain(fds[1]);
	assert_int_equal(read(fds[1], &byte, 1), 0);
	assert_int_equal(poll_once(loop), 0);
	assert_int_equal(probe.calls, 0);
	close(fds[1]);
	cv_loop_free(loop);
}

static void watch_may_remove_and_free_itself(void **state)
{
	struct cv_loop *loop = new_loop(state);
	struct probe *probe = new_probe(loop, free_itself);

	put(probe, 1);
	assert_int_equal(turn(loop), 1);
	assert_int_equal(poll_once(loop), 0);
	cv_loop_free(loop);
}

static void watch_may_remove_another_that_is_ready(void **state)
{
	struct cv_loop *loop = new_loop(state);
	struct probe *a = new_probe(loop, remove_victim), *b = new_probe(loop, remove_victim);

	a->victim = &b->watch;
	b->victim = &a->watch;
	put(a, 1);
	put(b, 1);
	/* Whoever comes first, the other is not called; the survivor said "more". */
	assert_int_equal(turn(loop), 1);
	assert_int_equal(a->calls + b->calls, 1);
	assert_int_equal(turn(loop), 1);
	assert_int_equal(a->calls + b->calls, 2);
	assert_true(a->calls == 0 || b->calls == 0);
	free_probe(a);
	free_probe(b);
	cv_loop_free(loop);
}

static void event_in_flight_does_not_reach_the_next_holder_of_the_slot(void **state)
{
	struct cv_loop *loop = new_loop(state);
	struct probe *old = new_probe(loop, read_all), *other = new_probe(loop, read_all);
	struct probe *heir;

	assert_int_equal(poll_once(loop), 0);
	put(old, 1);
	put(other, 1);
	/* Removing `other` makes the kernel hand out what it has, the event of `old` included. */
	cv_loop_remove(loop, &other->watch);
	cv_loop_remove(loop, &old->watch);
	heir = new_probe(loop, read_all);
	assert_true(heir->watch.slot == old->watch.slot || heir->watch.slot == other->watch.slot);
	assert_int_equal(poll_once(loop), 0);
	assert_int_equal(poll_once(loop), 0);
	assert_int_equal(heir->calls + old->calls + other->calls, 0);
	free_probe(old);
	free_probe(other);
	free_probe(heir);
	cv_loop_free(loop);
}

static void removing_twice_or_never_added_is_harmless(void **state)
{
	struct cv_loop *loop = new_loop(state);
	struct probe *probe = new_probe(loop, read_all);
	struct cv_watch never = { .fd = -1 };

	cv_loop_remove(loop, &never);
	cv_loop_remove(loop, &probe->watch);
	cv_loop_remove(loop, &probe->watch);
	put(probe, 1);
	assert_int_equal(poll_once(loop), 0);
	free_probe(probe);
	cv_loop_free(loop);
}

static void closed_fd_is_refused(void **state)
{
	struct cv_loop *loop = new_loop(state);
	struct probe *probe = new_probe(loop, read_all);
	int fd = probe->watch.fd;

	cv_loop_remove(loop, &probe->watch);
	probe->watch.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	close(probe->watch.fd);
	assert_int_equal(cv_loop_add(loop, &probe->watch), -EBADF);
	probe->watch.fd = fd;
	assert_int_equal(cv_loop_add(loop, &probe->watch), 0);
	free_probe(probe);
	cv_loop_free(loop);
}

static void fd_closed_before_remove_is_not_reported_after_it(void **state)
{
	struct cv_loop *loop = new_loop(state);
	struct probe *probe = new_probe(loop, count_only);

	assert_int_equal(poll_once(loop), 0);
	put(probe, 1);
	close(probe->watch.fd);
	cv_loop_remove(loop, &probe->watch);
	assert_int_equal(poll_once(loop), 0);
	assert_int_equal(probe->calls, 0);
	close(probe->to);
	free(probe);
	cv_loop_free(loop);
}

static int bind_udp(uint16_t *port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(*port) };
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)&sin, sizeof(sin))) {
		close(fd);
		return -1;
	}
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	*port = ntohs(sin.sin_port);
	return fd;
}

static void port_is_free_once_removed_and_closed(void **state)
{
	struct cv_loop *loop = new_loop(state);
	struct probe probe = { 0 };
	uint16_t port = 0;
	int fd = bind_udp(&port);

	for (int i = 0; i < 20; i++) {
		probe.watch = (struct cv_watch){ .fd = fd, .ready = count_only, .owner = &probe };
		assert_int_equal(cv_loop_add(loop, &probe.watch), 0);
		if (i % 2)
			assert_int_equal(cv_loop_want_write(loop, &probe.watch), 0);
		if (i % 3)
			poll_once(loop);
		cv_loop_remove(loop, &probe.watch);
		close(fd);
		fd = bind_udp(&port);
		assert_true(fd >= 0);
	}
	close(fd);
	cv_loop_free(loop);
}

/* An event that the kernel has begun to tell owns the poll, and once kept it from being taken
 * away. */
static void removal_lets_go_of_a_socket_whose_event_is_under_way(void **state)
{
	struct cv_loop *loop = new_loop(state);
	struct probe probe = { 0 };
	int fds[2];
	char byte;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	probe.watch = (struct cv_watch){ .fd = fds[0], .ready = count_only, .owner = &probe };
	assert_int_equal(cv_loop_add(loop, &probe.watch), 0);
	assert_int_equal(poll_once(loop), 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	cv_loop_remove(loop, &probe.watch);
	assert_int_equal(read(fds[0], &byte, 1), 1);
	close(fds[0]);
	assert_int_equal(poll_once(loop), 0);
	assert_int_equal(read(fds[1], &byte, 1), 0);
	close(fds[1]);
	cv_loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(again_of_a_removed_watch_is_forgotten),
		CASE(removal_lets_go_of_a_socket_that_wants_to_write),
		CASE(watch_may_remove_and_free_itself),
		CASE(watch_may_remove_another_that_is_ready),
		CASE(event_in_flight_does_not_reach_the_next_holder_of_the_slot),
		CASE(removing_twice_or_never_added_is_harmless),
		CASE(closed_fd_is_refused),
		CASE(fd_closed_before_remove_is_not_reported_after_it),
		CASE(port_is_free_once_removed_and_closed),
		CASE(removal_lets_go_of_a_socket_whose_event_is_under_way),
	};

	return cmocka_run_group_tests_name("loop/remove", tests, NULL, NULL);
}
