/* Changing a running device: two whole ones, a tunnel between them, and what lives on. */
#include <errno.h>

#include "pair.h"

enum { ROUNDS = 30 };

static const struct cv_endpoint nowhere = { .addr = { AF_INET, { 127, 0, 0, 9 } }, .port = 9 };

static struct cv_allowed_ip_change allowed(const char *text, bool remove)
{
	struct cv_allowed_ip_change change = { .remove = remove };

	assert_int_equal(cv_prefix_parse(text, &change.prefix), 0);
	return change;
}

static void add_text(void *arg, const struct cv_prefix *prefix)
{
	char text[CV_PREFIX_TEXT_MAX];

	strcat(strcat(arg, " "), cv_prefix_format(prefix, text));
}

/* " 10.0.0.2/32 fd00::/64" */
static const char *allowed_ips_of(const struct cv_device *device, struct cv_key key)
{
	static char text[1024];

	text[0] = 0;
	cv_device_each_allowed_ip(device, &key, add_text, text);
	return text;
}

/* Keys ------------------------------------------------------------------------------------ */

static void set_private_key(struct cv_device *device, uint8_t byte)
{
	struct cv_key key = byte ? private_key(byte) : (struct cv_key){ 0 };

	assert_int_equal(cv_device_set_private_key(device, &key, cv_clock_now()), 0);
}

static void a_new_private_key_ends_the_session_and_a_new_one_begins(void **state)
{
	struct pair *pair = *state;
	struct cv_device *near = pair->near.device, *far = pair->far.device;
	struct cv_key two = public_key(2), three = public_key(3);
	struct cv_device_show now;

	pair_connect(pair);
	assert_int_equal(change(far, (struct cv_peer_change){ .public_key = three }), 0);
	set_private_key(near, 3);
	now = show(near);
	assert_memory_equal(&now.public_key, &three, sizeof(three));
	assert_false(show_peer(near, two).has_session);
	UNTIL(pair, show_peer(near, two).has_session && show_peer(far, three).has_session);
}

static void the_private_key_that_is_set_already_changes_nothing(void **state)
{
	struct pair *pair = *state;
	struct cv_key two = public_key(2);

	pair_connect(pair);
	set_private_key(pair->near.device, 1);
	assert_true(show_peer(pair->near.device, two).has_session);
}

static void a_peer_that_has_our_new_key_goes(void **state)
{
	struct pair *pair = *state;
	struct cv_device *near = pair->near.device;

	set_private_key(near, 2);
	assert_int_equal(show(near).n_peers, 0);
}

static void our_own_key_is_no_peer_of_ours(void **state)
{
	struct pair *pair = *state;
	struct cv_device *near = pair->near.device;

	assert_int_equal(change(near, (struct cv_peer_change){ .public_key = public_key(1) }), 0);
	assert_int_equal(show(near).n_peers, 1);
}

static void nobody_starts_no_handshake_and_answers_none(void **state)
{
	struct pair *pair = *state;
	struct cv_device *near = pair->near.device, *far = pair->far.device;
	struct cv_key one = public_key(1), two = public_key(2);

	set_private_key(far, 0);
	assert_false(show(far).has_private_key);
	assert_int_equal(change(far, (struct cv_peer_change){ .public_key = one,
							      .set_endpoint = true,
							      .endpoint = nowhere,
							      .set_keepalive = true,
							      .keepalive_s = 25 }),
			 0);
	assert_false(show_peer(far, one).wants_session);
	assert_int_equal(change(near, (struct cv_peer_change){ .public_key = two,
							       .set_keepalive = true,
							       .keepalive_s = 25 }),
			 0);
	UNTIL(pair, count_of(far, "drop.handshake_mac") > 0);
	assert_int_equal(count_of(far, "handshake.responses_sent"), 0);
	assert_int_equal(count_of(far, "handshake.initiations_sent"), 0);
	/* Somebody again, it begins by itself: its keepalive is on. */
	assert_int_equal(
		change(far, (struct cv_peer_change){ .public_key = one,
						     .set_endpoint = true,
						     .endpoint = { { AF_INET, { 127, 0, 0, 1 } },
								   1001 } }),
		0);
	set_private_key(far, 2);
	UNTIL(pair, show_peer(near, two).has_session && show_peer(far, one).has_session);
}

/* Peers ----------------------------------------------------------------------------------- */

static void others_come_and_go_and_a_session_and_its_counters_live_on(void **state)
{
	struct pair *pair = *state;
	struct cv_device *near = pair->near.device;
	struct cv_key two = public_key(2);
	struct cv_allowed_ip_change whole = allowed("0.0.0.0/0", false);
	struct cv_peer_show before, after;

	pair_connect(pair);
	before = show_peer(near, two);
	for (uint8_t i = 0; i < 50; i++)
		assert_int_equal(change(near, (struct cv_peer_change){ .public_key = public_key(
									       (uint8_t)(i + 10)),
								       .set_endpoint = true,
								       .endpoint = nowhere,
								       .allowed_ips = &whole,
								       .n_allowed_ips = 1 }),
				 0);
	assert_int_equal(show(near).n_peers, 51);
	for (uint8_t i = 0; i < 50; i++)
		assert_int_equal(change(near, (struct cv_peer_change){ .public_key = public_key(
									       (uint8_t)(i + 10)),
								       .remove = true }),
				 0);
	assert_int_equal(show(near).n_peers, 1);
	after = show_peer(near, two);
	assert_int_equal(after.session_birth, before.session_birth);
	assert_int_equal(after.last_handshake_wall, before.last_handshake_wall);
	assert_true(after.tx_bytes >= before.tx_bytes && before.tx_bytes > 0);
	assert_string_equal(allowed_ips_of(near, two), " 10.0.0.2/32");
}

static void update_only_makes_no_peer_and_remove_needs_none(void **state)
{
	struct pair *pair = *state;
	struct cv_device *near = pair->near.device;

	assert_int_equal(change(near, (struct cv_peer_change){ .public_key = public_key(9),
							       .update_only = true }),
			 0);
	assert_int_equal(show(near).n_peers, 1);
	assert_int_equal(change(near, (struct cv_peer_change){ .public_key = public_key(9),
							       .remove = true }),
			 0);
	assert_int_equal(show(near).n_peers, 1);
}

static void a_removed_peer_is_forgotten_with_its_session(void **state)
{
	struct pair *pair = *state;
	struct cv_device *near = pair->near.device;
	struct cv_key two = public_key(2);

	pair_connect(pair);
	cv_device_clear_peers(near);
	assert_int_equal(show(near).n_peers, 0);
	assert_int_equal(change(near, (struct cv_peer_change){ .public_key = two }), 0);
	assert_false(show_peer(near, two).has_session);
	assert_false(show_peer(near, two).has_endpoint);
	assert_int_equal(show_peer(near, two).tx_bytes, 0);
	assert_string_equal(allowed_ips_of(near, two), "");
}

/* Under the address sanitizer. */
static void a_removed_peer_is_there_for_who_still_sees_it_until_the_turn(void **state)
{
	struct pair *pair = *state;
	struct cv_device *near = pair->near.device;
	struct cv_key two = public_key(2);
	const struct cv_peer *peer = cv_peers_find(near->peers, two.b);

	assert_int_equal(change(near, (struct cv_peer_change){ .public_key = two, .remove = true }),
			 0);
	assert_true(peer->removed);
	cv_device_turn(near, cv_clock_now());
	assert_int_equal(near->graveyard.n, 0);
}

static void a_preshared_key_is_set_and_taken_away(void **state)
{
	struct pair *pair = *state;
	struct cv_device *near = pair->near.device, *far = pair->far.device;
	struct cv_key one = public_key(1), two = public_key(2), secret = private_key(9);
	struct cv_peer_show now;

	assert_int_equal(change(near, (struct cv_peer_change){ .public_key = two,
							       .set_psk = true,
							       .psk = secret }),
			 0);
	assert_int_equal(change(far, (struct cv_peer_change){ .public_key = one,
							      .set_psk = true,
							      .psk = secret }),
			 0);
	now = show_peer(near, two);
	assert_true(now.has_psk);
	assert_memory_equal(&now.psk, &secret, sizeof(secret));
	pair_connect(pair);
	assert_int_equal(
		change(near, (struct cv_peer_change){ .public_key = two, .set_psk = true }), 0);
	assert_false(show_peer(near, two).has_psk);
}

static void allowed_ips_are_added_removed_and_replaced(void **state)
{
	struct pair *pair = *state;
	struct cv_device *near = pair->near.device;
	struct cv_key two = public_key(2), three = public_key(3);
	struct cv_allowed_ip_change more[] = { allowed("10.1.0.0/16", false),
					       allowed("10.0.0.2/32", true),
					       allowed("10.9.9.9/32", true) };
	struct cv_allowed_ip_change others[] = { allowed("10.2.0.0/16", false),
						 allowed("10.1.0.0/16", false) };

	assert_int_equal(change(near, (struct cv_peer_change){ .public_key = two,
							       .allowed_ips = more,
							       .n_allowed_ips = 3 }),
			 0);
	assert_string_equal(allowed_ips_of(near, two), " 10.1.0.0/16");
	assert_int_equal(change(near, (struct cv_peer_change){ .public_key = two,
							       .replace_allowed_ips = true,
							       .allowed_ips = others,
							       .n_allowed_ips = 1 }),
			 0);
	assert_string_equal(allowed_ips_of(near, two), " 10.2.0.0/16");
	/* What stays is not taken away for a moment: nothing is unpublished. */
	cv_graveyard_bury(&near->graveyard);
	assert_int_equal(change(near, (struct cv_peer_change){ .public_key = two,
							       .replace_allowed_ips = true,
							       .allowed_ips = others,
							       .n_allowed_ips = 1 }),
			 0);
	assert_int_equal(near->graveyard.n, 0);
	/* What another peer has moves over. */
	assert_int_equal(change(near, (struct cv_peer_change){ .public_key = three,
							       .allowed_ips = others,
							       .n_allowed_ips = 2 }),
			 0);
	assert_string_equal(allowed_ips_of(near, two), "");
	assert_string_equal(allowed_ips_of(near, three), " 10.2.0.0/16 10.1.0.0/16");
	/* One that stays, one that goes, one that is nobody else's business. */
	assert_int_equal(change(near, (struct cv_peer_change){ .public_key = two,
							       .allowed_ips = more,
							       .n_allowed_ips = 1 }),
			 0);
	assert_int_equal(change(near, (struct cv_peer_change){ .public_key = three,
							       .replace_allowed_ips = true }),
			 0);
	assert_string_equal(allowed_ips_of(near, two), " 10.1.0.0/16");
	assert_string_equal(allowed_ips_of(near, three), "");
}

static void an_endpoint_given_late_starts_the_handshake_at_once(void **state)
{
	struct pair *pair = *state;
	struct cv_device *near = pair->near.device, *far = pair->far.device;
	struct cv_key one = public_key(1), two = public_key(2);

	assert_int_equal(change(far, (struct cv_peer_change){ .public_key = one,
							      .set_keepalive = true,
							      .keepalive_s = 25 }),
			 0);
	assert_true(show_peer(far, one).wants_session);
	assert_int_equal(show_peer(far, one).last_send_error, -EDESTADDRREQ);
	assert_int_equal(
		change(far, (struct cv_peer_change){ .public_key = one,
						     .set_endpoint = true,
						     .endpoint = { { AF_INET, { 127, 0, 0, 1 } },
								   1001 } }),
		0);
	assert_int_equal(show_peer(far, one).last_send_error, 0);
	UNTIL(pair, show_peer(near, two).has_session && show_peer(far, one).has_session);
	assert_false(show_peer(far, one).wants_session);
}

static void a_keepalive_that_was_on_sends_nothing_when_it_changes(void **state)
{
	struct pair *pair = *state;
	struct cv_device *near = pair->near.device;
	struct cv_key two = public_key(2);
	uint64_t sent;

	pair_connect(pair);
	sent = show_peer(near, two).tx_bytes;
	for (uint16_t seconds = 60; seconds > 0; seconds = (uint16_t)(seconds - 30)) {
		assert_int_equal(change(near, (struct cv_peer_change){ .public_key = two,
								       .set_keepalive = true,
								       .keepalive_s = seconds }),
				 0);
		assert_int_equal(show_peer(near, two).keepalive_s, seconds);
	}
	assert_int_equal(
		change(near, (struct cv_peer_change){ .public_key = two, .set_keepalive = true }),
		0);
	assert_int_equal(show_peer(near, two).tx_bytes, sent);
	assert_int_equal(change(near, (struct cv_peer_change){ .public_key = two,
							       .set_keepalive = true,
							       .keepalive_s = 25 }),
			 0);
	assert_int_equal(show_peer(near, two).tx_bytes, sent + 32);
}

/* Datagrams into a TUN from a socket of this host, until told to stop. */
struct stream {
	pthread_t thread;
	bool stop; /* atomic */
};

static void *send_datagrams(void *arg)
{
	struct stream *stream = arg;
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
	uint8_t bytes[500] = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	inet_pton(AF_INET, "10.0.0.2", &to.sin_addr);
	/* On a bound device IPv4 needs no route. */
	setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "cvt0", 5);
	while (!__atomic_load_n(&stream->stop, __ATOMIC_RELAXED))
		if (sendto(fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&to, sizeof(to)) < 0)
			sched_yield();
	close(fd);
	return NULL;
}

/* What fails here is what the sanitizers find, and packets that are never given back. */
static void a_peer_may_go_and_come_in_the_midst_of_its_traffic(void **state)
{
	struct pair *pair = *state;
	struct cv_device *near = pair->near.device, *far = pair->far.device;
	struct cv_key two = public_key(2);
	struct cv_endpoint endpoint = show_peer(near, two).endpoint;
	struct cv_allowed_ip_change inside = allowed("10.0.0.2/32", false);
	struct stream stream = { .stop = false };
	struct ifreq ifr = { .ifr_name = "cvt0" };
	struct sockaddr_in *in = (void *)&ifr.ifr_addr;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	in->sin_family = AF_INET;
	inet_pton(AF_INET, "10.0.0.1", &in->sin_addr);
	assert_int_equal(ioctl(fd, SIOCSIFADDR, &ifr), 0);
	close(fd);
	assert_int_equal(pthread_create(&stream.thread, NULL, send_datagrams, &stream), 0);
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t lost = count_of(near, "drop.no_peer"), out;

		assert_int_equal(
			change(near, (struct cv_peer_change){ .public_key = two, .remove = true }),
			0);
		UNTIL(pair, count_of(near, "drop.no_peer") > lost);
		/* Or the other end would take the next initiation for a flood. */
		cv_device_clear_peers(far);
		change(far, (struct cv_peer_change){ .public_key = public_key(1) });
		out = count_of(near, "path.out_pkts");
		assert_int_equal(change(near, (struct cv_peer_change){ .public_key = two,
								       .set_endpoint = true,
								       .endpoint = endpoint,
								       .allowed_ips = &inside,
								       .n_allowed_ips = 1 }),
				 0);
		UNTIL(pair, count_of(near, "path.out_pkts") > out);
	}
	__atomic_store_n(&stream.stop, true, __ATOMIC_RELAXED);
	pthread_join(stream.thread, NULL);
}

/* The whole ------------------------------------------------------------------------------- */

static void the_pulse_of_each_worker_goes_on_when_poked(void **state)
{
	struct pair *pair = *state;
	struct cv_device *near = pair->near.device;
	uint64_t before[2];

	assert_int_equal(cv_device_workers(near), 2);
	for (size_t i = 0; i < 2; i++)
		before[i] = cv_device_pulse(near, i);
	cv_device_poke(near);
	for (size_t i = 0; i < 2; i++)
		while (cv_device_pulse(near, i) == before[i])
			sched_yield();
}

static void a_bare_device_waits_for_others_to_bring_it_up_and_make_it_somebody(void **state)
{
	static const struct cv_device_options options = { .bare = true, .tun_fd = -1 };
	struct pair *pair = *state;
	struct cv_device *device;
	struct cv_config config;
	cv_time give_up;

	cv_config_init(&config);
	snprintf(config.name, sizeof(config.name), "bare0");
	assert_int_equal(cv_device_new(&config, &options, pair->loop, &device), 0);
	assert_false(show(device).up);
	assert_false(show(device).has_private_key);
	assert_int_equal(show(device).mtu, 1420);
	assert_int_equal(show(device).listen_port, 0);
	set_link("bare0", true);
	give_up = cv_clock_now() + GIVE_UP_S * CV_NS_PER_S;
	while (!show(device).up) {
		pair_turn(pair, give_up);
		cv_device_turn(device, cv_clock_now());
	}
	assert_int_not_equal(show(device).listen_port, 0);
	assert_int_equal(
		change(device,
		       (struct cv_peer_change){ .public_key = public_key(2),
						.set_endpoint = true,
						.endpoint = pair->near.config.peers[0].endpoint,
						.set_keepalive = true,
						.keepalive_s = 25 }),
		0);
	set_private_key(device, 7);
	change(pair->far.device, (struct cv_peer_change){ .public_key = public_key(7) });
	while (!show_peer(device, public_key(2)).has_session) {
		pair_turn(pair, give_up);
		cv_device_turn(device, cv_clock_now());
	}
	cv_device_free(device);
	cv_config_free(&config);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, pair_open, pair_close)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(a_new_private_key_ends_the_session_and_a_new_one_begins),
		CASE(the_private_key_that_is_set_already_changes_nothing),
		CASE(a_peer_that_has_our_new_key_goes),
		CASE(our_own_key_is_no_peer_of_ours),
		CASE(nobody_starts_no_handshake_and_answers_none),
		CASE(others_come_and_go_and_a_session_and_its_counters_live_on),
		CASE(update_only_makes_no_peer_and_remove_needs_none),
		CASE(a_removed_peer_is_forgotten_with_its_session),
		CASE(a_removed_peer_is_there_for_who_still_sees_it_until_the_turn),
		CASE(a_preshared_key_is_set_and_taken_away),
		CASE(allowed_ips_are_added_removed_and_replaced),
		CASE(an_endpoint_given_late_starts_the_handshake_at_once),
		CASE(a_keepalive_that_was_on_sends_nothing_when_it_changes),
		CASE(a_peer_may_go_and_come_in_the_midst_of_its_traffic),
		CASE(the_pulse_of_each_worker_goes_on_when_poked),
		CASE(a_bare_device_waits_for_others_to_bring_it_up_and_make_it_somebody),
	};

	if (geteuid() != 0)
		return 77; /* skipped: needs a TUN and a namespace */
	if (cv_crypto_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
