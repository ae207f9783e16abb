/* Which names are looked up, when, and what becomes of the answers. Lookups and device are fakes;
 * time is an argument. */
#include <errno.h>
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* cmocka.h needs what stands above it. */
#include <cmocka.h>

#include <convoy/device/change.h>
#include <convoy/log/log.h>

#include "control/internal.h"

enum { PEERS = 20 };

/* Lookups: questions wait here until a test answers them ---------------------------------- */

struct cv_lookups {
	struct cv_lookup *asked[64];
	size_t n, total;
	struct cv_lookup *done;
	bool refuses;
};

static struct cv_lookups lookups;

struct cv_lookups *cv_lookups_new(struct cv_loop *loop)
{
	lookups = (struct cv_lookups){ 0 };
	return &lookups;
}

int cv_lookups_begin(struct cv_lookups *to, const struct cv_key *peer, const char *host,
		     uint16_t port)
{
	struct cv_lookup *lookup;

	if (to->refuses)
		return -EAGAIN;
	lookup = calloc(1, sizeof(*lookup));
	lookup->peer = *peer;
	strcpy(lookup->host, host);
	lookup->port = port;
	to->asked[to->n++] = lookup;
	to->total++;
	return 0;
}

struct cv_lookup *cv_lookups_take(struct cv_lookups *from)
{
	struct cv_lookup *done = from->done;

	from->done = NULL;
	return done;
}

bool cv_lookups_await(struct cv_lookups *from, const struct timespec *until)
{
	return from->done != NULL;
}

void cv_lookups_close(struct cv_lookups *closed)
{
	while (closed->n > 0)
		free(closed->asked[--closed->n]);
}

/* Answer the oldest question: addresses apart by blanks; none: the name is not known. */
static void answer(const char *addresses)
{
	struct cv_lookup *lookup = lookups.asked[0];
	char text[256], *rest = text, *word;

	assert_true(lookups.n > 0);
	memmove(lookups.asked, lookups.asked + 1, --lookups.n * sizeof(lookups.asked[0]));
	snprintf(text, sizeof(text), "%s", addresses);
	while ((word = strsep(&rest, " ")) && *word) {
		struct cv_endpoint *to = &lookup->answer.list[lookup->answer.n++];

		*to = (struct cv_endpoint){ .port = lookup->port };
		assert_int_equal(cv_addr_parse(word, &to->addr), 0);
	}
	if (lookup->answer.n == 0)
		lookup->answer.error = EAI_NONAME;
	lookup->next = lookups.done;
	lookups.done = lookup;
}

/* The device: peers as a test wants them -------------------------------------------------- */

struct cv_device {
	struct cv_peer_show peers[PEERS];
	size_t n;
	unsigned changes;
};

static struct cv_device device;

bool cv_device_next_peer(const struct cv_device *from, struct cv_peer_cursor *cursor, bool secrets,
			 struct cv_peer_show *ret_show)
{
	if (cursor->after == from->n)
		return false;
	*ret_show = from->peers[cursor->after++];
	return true;
}

int cv_device_change_peer(struct cv_device *to, const struct cv_peer_change *change, cv_time now)
{
	assert_true(change->set_endpoint && change->update_only && !change->remove &&
		    !change->set_psk && !change->set_keepalive && !change->n_allowed_ips);
	for (size_t i = 0; i < to->n; i++)
		if (cv_key_equal(&to->peers[i].public_key, &change->public_key)) {
			to->peers[i].has_endpoint = true;
			to->peers[i].endpoint = change->endpoint;
			to->changes++;
		}
	return 0;
}

void cv_device_mind_path(struct cv_device *to, const struct cv_config *config,
			 const struct cv_addr *endpoint)
{
	(void)to;
	(void)config;
	(void)endpoint;
}

/* The story ------------------------------------------------------------------------------- */

static struct cv_control control;
static cv_time now;

/* Peers 0, 1, ... with names and port 51820 + i; in no order of keys. */
static void add_names(const char *const *names, size_t n)
{
	struct cv_config *config = &control.config;

	config->peers = calloc(PEERS, sizeof(*config->peers));
	config->n_peers = device.n = n;
	for (size_t i = 0; i < n; i++) {
		struct cv_config_peer *peer = &config->peers[i];

		memset(peer->public_key.b, (int)(i * 89 % 251), CV_KEY_SIZE);
		device.peers[i].public_key = peer->public_key;
		peer->has_endpoint = peer->endpoint_is_name = true;
		peer->host = strdup(names[i]);
		peer->endpoint.port = (uint16_t)(51820 + i);
	}
}

static int set_up(void **state)
{
	cv_log_set_level(CV_LOG_SILENT);
	device = (struct cv_device){ 0 };
	control = (struct cv_control){ 0 };
	cv_config_init(&control.config);
	return 0;
}

static int tear_down(void **state)
{
	cv_resolver_close(control.resolver);
	cv_config_free(&control.config);
	return 0;
}

/* Whatever happens, the loop is not made to spin. */
static void turn(void)
{
	cv_resolver_turn(control.resolver, now);
	assert_true(cv_resolver_deadline(control.resolver) > now);
}

static void pass(int seconds)
{
	for (int i = 0; i < seconds; i++) {
		now += CV_NS_PER_S;
		turn();
	}
}

static void begin(const char *const *names, size_t n)
{
	add_names(names, n);
	assert_int_equal(cv_resolver_open(&control, &control.resolver), 0);
	control.device = &device;
	now = cv_clock_now() + CV_NS_PER_S;
	turn();
}

static void begin_one(void)
{
	static const char *const name = "vpn.example.com";

	begin(&name, 1);
}

#define assert_at(peer, text) assert_string_equal(place(peer), text)

static const char *place(size_t peer)
{
	static char text[CV_ENDPOINT_TEXT_MAX];

	if (!device.peers[peer].has_endpoint)
		return "nowhere";
	return cv_endpoint_format(&device.peers[peer].endpoint, text);
}

/* Its handshakes get no answer. */
static void lose(size_t peer)
{
	device.peers[peer].wants_session = true;
}

static void find_it(size_t peer)
{
	device.peers[peer].wants_session = false;
	device.peers[peer].has_session = true;
	device.peers[peer].session_birth = now;
	device.peers[peer].last_send_error = 0;
}

static void a_config_without_names_costs_nothing(void **state)
{
	begin(NULL, 0);
	assert_int_equal(lookups.total, 0);
	assert_true(cv_resolver_deadline(control.resolver) == CV_TIME_NEVER);
	cv_resolver_await(control.resolver);
	assert_true(cv_resolver_deadline(control.resolver) == CV_TIME_NEVER);
	cv_resolver_change(control.resolver);
	assert_true(cv_resolver_deadline(control.resolver) == CV_TIME_NEVER);
	assert_true(cv_resolver_deadline(NULL) == CV_TIME_NEVER);
	cv_resolver_turn(NULL, now);
	cv_resolver_change(NULL);
	cv_resolver_close(NULL);
}

static void an_answer_becomes_the_endpoint(void **state)
{
	begin_one();
	assert_int_equal(lookups.n, 1);
	assert_string_equal(lookups.asked[0]->host, "vpn.example.com");
	assert_at(0, "nowhere");
	answer("192.0.2.1 2001:db8::1");
	turn();
	assert_at(0, "192.0.2.1:51820");
	pass(300);
	assert_int_equal(lookups.total, 1);
	assert_int_equal(device.changes, 1);
}

static void a_name_that_is_not_known_delays_its_peer_only(void **state)
{
	static const char *const names[] = { "dead.example.com", "vpn.example.com" };

	begin(names, 2);
	answer("");
	answer("192.0.2.1");
	turn();
	assert_at(0, "nowhere");
	assert_at(1, "192.0.2.1:51821");
}

static void a_failure_is_repeated_ever_more_seldom(void **state)
{
	static const int waits[] = { 5, 10, 20, 40, 60, 60, 60 };

	begin_one();
	for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		answer("");
		turn();
		pass(waits[i] - 1);
		assert_int_equal(lookups.n, 0);
		assert_true(cv_resolver_deadline(control.resolver) <= now + CV_NS_PER_S);
		pass(1);
		assert_int_equal(lookups.n, 1);
	}
	answer("192.0.2.1");
	turn();
	assert_at(0, "192.0.2.1:51820");
}

static void after_a_success_failures_count_anew(void **state)
{
	begin_one();
	for (int i = 0; i < 3; i++) {
		answer("");
		turn();
		pass(20);
	}
	answer("192.0.2.1");
	turn();
	lose(0);
	pass(60);
	answer("");
	turn();
	pass(5);
	assert_int_equal(lookups.n, 1);
}

static void a_thread_that_cannot_be_made_is_a_failure_too(void **state)
{
	begin_one();
	answer("");
	turn();
	lookups.refuses = true;
	pass(5);
	lookups.refuses = false;
	pass(9);
	assert_int_equal(lookups.n, 0);
	pass(1);
	assert_int_equal(lookups.n, 1);
}

static void few_are_looked_up_at_a_time(void **state)
{
	const char *names[PEERS];

	for (size_t i = 0; i < PEERS; i++)
		names[i] = "many.example.com";
	begin(names, PEERS);
	assert_int_equal(lookups.n, 16);
	for (size_t i = 0; i < PEERS; i++) {
		answer("192.0.2.1");
		turn();
	}
	assert_int_equal(lookups.total, PEERS);
	for (size_t i = 0; i < PEERS; i++)
		assert_true(device.peers[i].has_endpoint);
}

static void a_silent_address_gives_way_to_the_next(void **state)
{
	begin_one();
	answer("2001:db8::1 192.0.2.1 2001:db8::2");
	turn();
	lose(0);
	pass(14);
	assert_at(0, "[2001:db8::1]:51820");
	pass(6);
	assert_at(0, "192.0.2.1:51820");
	pass(20);
	assert_at(0, "[2001:db8::2]:51820");
	assert_int_equal(lookups.total, 1);
	pass(20);
	assert_int_equal(lookups.n, 1);
	answer("192.0.2.9");
	turn();
	assert_at(0, "192.0.2.9:51820");
}

static void no_route_is_an_answer_at_once(void **state)
{
	begin_one();
	answer("2001:db8::1 192.0.2.1");
	turn();
	lose(0);
	device.peers[0].last_send_error = -ENETUNREACH;
	pass(5);
	assert_at(0, "192.0.2.1:51820");
}

static void a_route_that_goes_under_a_session_is_found(void **state)
{
	begin_one();
	answer("192.0.2.1 2001:db8::1");
	turn();
	find_it(0);
	pass(60);
	lose(0);
	device.peers[0].last_send_error = -EHOSTUNREACH;
	pass(5);
	assert_int_equal(lookups.n, 1);
	answer("2001:db8::1");
	turn();
	assert_at(0, "[2001:db8::1]:51820");
}

static void a_lost_peer_is_looked_up_again_after_135_s(void **state)
{
	begin_one();
	answer("192.0.2.1 2001:db8::1");
	turn();
	find_it(0);
	pass(10);
	lose(0);
	pass(120);
	assert_int_equal(lookups.total, 1);
	assert_at(0, "192.0.2.1:51820");
	pass(10);
	assert_int_equal(lookups.total, 2);
	answer("192.0.2.7");
	turn();
	assert_at(0, "192.0.2.7:51820");
}

static void a_peer_that_nobody_wants_is_left_alone(void **state)
{
	begin_one();
	answer("192.0.2.1 2001:db8::1");
	turn();
	pass(1000);
	assert_int_equal(lookups.total, 1);
	assert_at(0, "192.0.2.1:51820");
}

static void a_name_is_not_asked_for_more_often_than_every_30_s(void **state)
{
	size_t total;

	begin_one();
	answer("192.0.2.1");
	turn();
	lose(0);
	device.peers[0].last_send_error = -ENETUNREACH;
	for (int i = 0; i < 5; i++) {
		total = lookups.total;
		pass(25);
		assert_int_equal(lookups.total, total);
		pass(10);
		assert_int_equal(lookups.total, total + 1);
		answer("192.0.2.1");
		turn();
	}
	assert_int_equal(device.changes, 1);
}

static void a_peer_that_roamed_and_lives_stays_where_it_is(void **state)
{
	begin_one();
	cv_endpoint_parse("198.51.100.1:7", &device.peers[0].endpoint);
	device.peers[0].has_endpoint = true;
	find_it(0);
	answer("192.0.2.1");
	turn();
	assert_at(0, "198.51.100.1:7");
}

static void a_new_name_moves_even_a_peer_that_lives(void **state)
{
	struct cv_config_peer *peer;

	begin_one();
	answer("192.0.2.1");
	turn();
	find_it(0);
	peer = &control.config.peers[0];
	free(peer->host);
	peer->host = strdup("other.example.com");
	cv_resolver_change(control.resolver);
	turn();
	assert_string_equal(lookups.asked[0]->host, "other.example.com");
	answer("192.0.2.9");
	turn();
	assert_at(0, "192.0.2.9:51820");
}

static void a_peer_is_forced_to_a_new_name_once(void **state)
{
	a_new_name_moves_even_a_peer_that_lives(state);
	lose(0);
	device.peers[0].has_session = false;
	pass(60);
	cv_endpoint_parse("198.51.100.1:7", &device.peers[0].endpoint);
	find_it(0);
	answer("192.0.2.10");
	turn();
	assert_at(0, "198.51.100.1:7");
}

static void when_the_last_name_goes_nothing_is_waited_for(void **state)
{
	begin_one();
	control.config.peers[0].endpoint_is_name = false;
	cv_resolver_change(control.resolver);
	turn();
	answer("192.0.2.1");
	turn();
	assert_at(0, "nowhere");
	assert_true(cv_resolver_deadline(control.resolver) == CV_TIME_NEVER);
	control.config.peers[0].endpoint_is_name = true;
}

static void names_that_stay_are_not_asked_for_again(void **state)
{
	begin_one();
	answer("192.0.2.1");
	turn();
	cv_resolver_change(control.resolver);
	pass(60);
	assert_int_equal(lookups.total, 1);
}

static void an_answer_for_a_name_that_went_is_dropped(void **state)
{
	struct cv_config_peer *peer;

	begin_one();
	peer = &control.config.peers[0];
	free(peer->host);
	peer->host = strdup("other.example.com");
	cv_resolver_change(control.resolver);
	turn();
	answer("192.0.2.1"); /* of the old name */
	turn();
	assert_at(0, "nowhere");
	peer->endpoint.port = 7;
	cv_resolver_change(control.resolver);
	turn();
	answer("192.0.2.2"); /* of the old port */
	turn();
	assert_at(0, "nowhere");
	answer("192.0.2.3");
	turn();
	assert_at(0, "192.0.2.3:7");
}

static void answers_may_come_before_there_is_a_device(void **state)
{
	static const char *const name = "vpn.example.com";

	add_names(&name, 1);
	assert_int_equal(cv_resolver_open(&control, &control.resolver), 0);
	answer("192.0.2.1");
	cv_resolver_await(control.resolver);
	assert_int_equal(device.changes, 0);
	control.device = &device;
	now = cv_clock_now();
	assert_true(cv_resolver_deadline(control.resolver) <= now);
	turn();
	assert_at(0, "192.0.2.1:51820");
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(a_config_without_names_costs_nothing),
		STORY(an_answer_becomes_the_endpoint),
		STORY(a_name_that_is_not_known_delays_its_peer_only),
		STORY(a_failure_is_repeated_ever_more_seldom),
		STORY(after_a_success_failures_count_anew),
		STORY(a_thread_that_cannot_be_made_is_a_failure_too),
		STORY(few_are_looked_up_at_a_time),
		STORY(a_silent_address_gives_way_to_the_next),
		STORY(no_route_is_an_answer_at_once),
		STORY(a_route_that_goes_under_a_session_is_found),
		STORY(a_lost_peer_is_looked_up_again_after_135_s),
		STORY(a_peer_that_nobody_wants_is_left_alone),
		STORY(a_name_is_not_asked_for_more_often_than_every_30_s),
		STORY(a_peer_that_roamed_and_lives_stays_where_it_is),
		STORY(a_new_name_moves_even_a_peer_that_lives),
		STORY(a_peer_is_forced_to_a_new_name_once),
		STORY(when_the_last_name_goes_nothing_is_waited_for),
		STORY(names_that_stay_are_not_asked_for_again),
		STORY(an_answer_for_a_name_that_went_is_dropped),
		STORY(answers_may_come_before_there_is_a_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
