/* Port and mark of a running device: what lives on, and what a failure leaves as it was. */
#include <errno.h>

#include "pair.h"

/* Fail unless near hears what far says. */
static void assert_hears(struct pair *pair)
{
	struct cv_device *near = pair->near.device;
	uint64_t before = show_peer(near, public_key(2)).rx_bytes;

	assert_int_equal(
		change(pair->far.device, (struct cv_peer_change){ .public_key = public_key(1),
								  .set_keepalive = true,
								  .keepalive_s = 25 }),
		0);
	UNTIL(pair, show_peer(near, public_key(2)).rx_bytes > before);
}

static void a_port_change_keeps_the_session_and_the_peer_roams(void **state)
{
	struct pair *pair = *state;
	struct cv_device *near = pair->near.device, *far = pair->far.device;
	struct cv_key one = public_key(1), two = public_key(2);
	cv_time birth;
	uint64_t sent;

	pair_connect(pair);
	birth = show_peer(near, two).session_birth;
	sent = count_of(near, "udp.send_calls");
	assert_int_equal(show_peer(far, one).endpoint.port, 1001);
	assert_int_equal(cv_device_set_listen_port(near, 2001), 0);
	assert_int_equal(show(near).listen_port, 2001);
	assert_int_equal(count_of(near, "udp.send_calls"), sent + 1); /* counting goes on */
	UNTIL(pair, show_peer(far, one).endpoint.port == 2001);
	assert_int_equal(show_peer(near, two).session_birth, birth);
	assert_hears(pair);
}

static int bind_port(uint16_t port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	return fd;
}

static void a_port_that_is_taken_changes_nothing(void **state)
{
	struct pair *pair = *state;
	struct cv_device *near = pair->near.device;
	struct cv_key two = public_key(2);
	int fd = bind_port(2001);

	pair_connect(pair);
	for (int i = 0; i < 2; i++)
		assert_int_equal(cv_device_set_listen_port(near, 2001), -EADDRINUSE);
	assert_int_equal(show(near).listen_port, 1001);
	assert_true(show_peer(near, two).has_session);
	assert_hears(pair);
	close(fd);
}

static void a_port_wished_for_while_down_is_opened_at_up(void **state)
{
	struct pair *pair = *state;
	struct cv_device *near = pair->near.device;

	set_link("cvt0", false);
	UNTIL(pair, !show(near).up);
	assert_int_equal(cv_device_set_listen_port(near, 2001), 0);
	assert_int_equal(cv_device_set_fwmark(near, 77), 0);
	assert_int_equal(show(near).listen_port, 2001);
	close(bind_port(1001));
	close(bind_port(2001));
	set_link("cvt0", true);
	UNTIL(pair, show(near).up);
	assert_int_equal(near->udp.port, 2001);
	pair_connect(pair);
}

static void a_free_port_brings_up_what_could_not_be_opened(void **state)
{
	struct pair *pair = *state;
	struct cv_device *near = pair->near.device;
	int fd;

	set_link("cvt0", false);
	UNTIL(pair, !show(near).up);
	fd = bind_port(1001);
	set_link("cvt0", true);
	UNTIL(pair, near->iface.up);
	assert_false(show(near).up);
	assert_int_equal(cv_device_set_listen_port(near, 2001), 0);
	assert_true(show(near).up);
	pair_connect(pair);
	close(fd);
}

static void assert_marked(const struct cv_device *device, uint32_t want)
{
	for (size_t i = 0; i < device->n_workers; i++) {
		const int fds[] = { device->workers[i].udp.fd4, device->workers[i].udp.fd6 };

		for (int j = 0; j < 2; j++) {
			uint32_t mark = 0;
			socklen_t size = sizeof(mark);

			assert_int_equal(getsockopt(fds[j], SOL_SOCKET, SO_MARK, &mark, &size), 0);
			assert_int_equal(mark, want);
		}
	}
}

static void a_mark_reaches_every_socket_those_to_come_too(void **state)
{
	struct pair *pair = *state;
	struct cv_device *near = pair->near.device;

	pair_connect(pair);
	assert_true(show_peer(near, public_key(2)).has_source);
	assert_int_equal(cv_device_set_fwmark(near, 77), 0);
	assert_int_equal(show(near).fwmark, 77);
	assert_marked(near, 77);
	assert_false(show_peer(near, public_key(2)).has_source);
	assert_int_equal(cv_device_set_listen_port(near, 2001), 0);
	assert_marked(near, 77);
	assert_int_equal(cv_device_set_fwmark(near, 0), 0);
	assert_marked(near, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, pair_open, pair_close)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(a_port_change_keeps_the_session_and_the_peer_roams),
		CASE(a_port_that_is_taken_changes_nothing),
		CASE(a_port_wished_for_while_down_is_opened_at_up),
		CASE(a_free_port_brings_up_what_could_not_be_opened),
		CASE(a_mark_reaches_every_socket_those_to_come_too),
	};

	if (geteuid() != 0)
		return 77; /* skipped: needs a TUN and a namespace */
	if (cv_crypto_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
