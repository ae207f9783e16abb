/* Lookups in threads: answers as lists of addresses, and an end that waits for nobody. The resolver
 * of the C library is a table. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* cmocka.h needs what stands above it. */
#include <netdb.h>
#include <netinet/in.h>

#include <cmocka.h>

#include "control/internal.h"

/* getaddrinfo(3), from a table; "slow" waits until the test lets it go. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static const char *const *table;

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
		struct addrinfo **ret_list)
{
	struct addrinfo **last = ret_list;

	*ret_list = NULL;
	if (strcmp(host, "slow") == 0) {
		pthread_mutex_lock(&gate);
		pthread_mutex_unlock(&gate);
	}
	for (size_t i = 0; table && table[i]; i++) {
		struct {
			struct addrinfo info;
			struct sockaddr_storage at;
		} *entry = calloc(1, sizeof(*entry));
		struct cv_addr addr;

		assert_int_equal(cv_addr_parse(table[i], &addr), 0);
		entry->info.ai_family = addr.family;
		entry->info.ai_addr = (struct sockaddr *)&entry->at;
		if (addr.family == AF_INET) {
			memcpy(&((struct sockaddr_in *)&entry->at)->sin_addr, addr.b, 4);
		} else {
			memcpy(&((struct sockaddr_in6 *)&entry->at)->sin6_addr, addr.b, 16);
			((struct sockaddr_in6 *)&entry->at)->sin6_scope_id = 7;
		}
		*last = &entry->info;
		last = &entry->info.ai_next;
	}
	return *ret_list ? 0 : EAI_NONAME;
}

void freeaddrinfo(struct addrinfo *list)
{
	struct addrinfo *next;

	for (; list; list = next) {
		next = list->ai_next;
		free(list);
	}
}

static struct cv_loop *loop;
static struct cv_lookups *lookups;
static const struct cv_key key = { { 1, 2, 3 } };

static int set_up(void **state)
{
	table = NULL;
	assert_int_equal(cv_loop_new(CV_LOOP_EPOLL, &loop), 0);
	lookups = cv_lookups_new(loop);
	assert_non_null(lookups);
	return 0;
}

static int tear_down(void **state)
{
	if (lookups)
		cv_lookups_close(lookups);
	cv_loop_free(loop);
	return 0;
}

/* The answer to one question, as it comes to control: by a wake-up of its loop. */
static struct cv_answer ask(const char *const *addresses)
{
	struct cv_lookup *done = NULL;
	struct cv_answer answer;

	table = addresses;
	assert_int_equal(cv_lookups_begin(lookups, &key, "vpn.example.com", 51820), 0);
	while (!done) {
		assert_true(cv_loop_turn(loop, CV_TIME_NEVER, NULL, NULL) >= 0);
		done = cv_lookups_take(lookups);
	}
	assert_null(done->next);
	assert_true(cv_key_equal(&done->peer, &key));
	assert_string_equal(done->host, "vpn.example.com");
	assert_int_equal(done->port, 51820);
	answer = done->answer;
	free(done);
	return answer;
}

static void check(const char *const *addresses, const char *const *wanted)
{
	struct cv_answer answer = ask(addresses);
	char text[CV_ENDPOINT_TEXT_MAX];

	for (size_t i = 0; i < answer.n; i++)
		assert_string_equal(cv_endpoint_format(&answer.list[i], text), wanted[i]);
	assert_null(wanted[answer.n]);
}

static void families_take_turns(void **state)
{
	check((const char *const[]){ "2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1",
				     "192.0.2.2", NULL },
	      (const char *const[]){ "[2001:db8::1%7]:51820", "192.0.2.1:51820",
				     "[2001:db8::2%7]:51820", "192.0.2.2:51820",
				     "[2001:db8::3%7]:51820", NULL });
	check((const char *const[]){ "192.0.2.1", "192.0.2.2", "2001:db8::1", NULL },
	      (const char *const[]){ "192.0.2.1:51820", "[2001:db8::1%7]:51820", "192.0.2.2:51820",
				     NULL });
}

static void what_is_left_of_one_family_comes_last(void **state)
{
	check((const char *const[]){ "192.0.2.1", "2001:db8::1", "2001:db8::2", "2001:db8::3",
				     NULL },
	      (const char *const[]){ "192.0.2.1:51820", "[2001:db8::1%7]:51820",
				     "[2001:db8::2%7]:51820", "[2001:db8::3%7]:51820", NULL });
}

static void one_family_keeps_its_order(void **state)
{
	check((const char *const[]){ "192.0.2.3", "192.0.2.1", "192.0.2.2", NULL },
	      (const char *const[]){ "192.0.2.3:51820", "192.0.2.1:51820", "192.0.2.2:51820",
				     NULL });
}

static void a_long_answer_is_cut(void **state)
{
	const char *many[CV_ANSWER_MAX + 3] = { 0 };

	for (size_t i = 0; i < CV_ANSWER_MAX + 2; i++)
		many[i] = "192.0.2.1";
	assert_int_equal(ask(many).n, CV_ANSWER_MAX);
}

static void a_name_that_is_not_known_is_an_answer_without_addresses(void **state)
{
	struct cv_answer answer = ask(NULL);

	assert_int_equal(answer.n, 0);
	assert_int_equal(answer.error, EAI_NONAME);
}

static void awaiting_ends_with_the_first_answer_or_in_time(void **state)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	assert_false(cv_lookups_await(lookups, &until));
	until.tv_sec += 60;
	assert_int_equal(cv_lookups_begin(lookups, &key, "vpn.example.com", 1), 0);
	assert_true(cv_lookups_await(lookups, &until));
	free(cv_lookups_take(lookups));
}

/* The address sanitizer sees to it that the thread, which ends later, frees what it held, and does
 * not touch the loop. */
static void the_end_waits_for_nobody(void **state)
{
	pthread_mutex_lock(&gate);
	assert_int_equal(cv_lookups_begin(lookups, &key, "slow", 1), 0);
	assert_int_equal(cv_lookups_begin(lookups, &key, "slow", 1), 0);
	cv_lookups_close(lookups);
	lookups = NULL;
	cv_loop_free(loop);
	loop = NULL;
	pthread_mutex_unlock(&gate);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(families_take_turns),
		STORY(what_is_left_of_one_family_comes_last),
		STORY(one_family_keeps_its_order),
		STORY(a_long_answer_is_cut),
		STORY(a_name_that_is_not_known_is_an_answer_without_addresses),
		STORY(awaiting_ends_with_the_first_answer_or_in_time),
		STORY(the_end_waits_for_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
