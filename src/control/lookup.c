/*
 * Names looked up, each in a thread of its own, since getaddrinfo(3) may block for half a minute.
 *
 * A thread leaves its answer in a list under a mutex and wakes control's loop. The list lives as
 * long as anybody holds it: at the end control closes it and goes, and whoever is still in
 * getaddrinfo(3) finds it closed and frees it. Nobody is waited for and nothing is cancelled.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "internal.h"

struct cv_lookups {
	pthread_mutex_t lock;
	pthread_cond_t news;
	unsigned holders;       /* threads, and control */
	struct cv_lookup *done; /* for control */
	struct cv_loop *loop;   /* to be woken; NULL: closed */
};

struct cv_lookups *cv_lookups_new(struct cv_loop *loop)
{
	struct cv_lookups *lookups = calloc(1, sizeof(*lookups));
	pthread_condattr_t attr;

	if (!lookups)
		return NULL;
	pthread_mutex_init(&lookups->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&lookups->news, &attr);
	pthread_condattr_destroy(&attr);
	lookups->holders = 1;
	lookups->loop = loop;
	return lookups;
}

static void hold(struct cv_lookups *lookups)
{
	pthread_mutex_lock(&lookups->lock);
	lookups->holders++;
	pthread_mutex_unlock(&lookups->lock);
}

static void let_go(struct cv_lookups *lookups)
{
	struct cv_lookup *lookup;
	bool last;

	pthread_mutex_lock(&lookups->lock);
	last = --lookups->holders == 0;
	pthread_mutex_unlock(&lookups->lock);
	if (!last)
		return;
	while ((lookup = lookups->done)) {
		lookups->done = lookup->next;
		free(lookup);
	}
	pthread_cond_destroy(&lookups->news);
	pthread_mutex_destroy(&lookups->lock);
	free(lookups);
}

void cv_lookups_close(struct cv_lookups *lookups)
{
	pthread_mutex_lock(&lookups->lock);
	lookups->loop = NULL;
	pthread_mutex_unlock(&lookups->lock);
	let_go(lookups);
}

static bool to_endpoint(const struct addrinfo *from, uint16_t port,
			struct cv_endpoint *ret_endpoint)
{
	struct cv_endpoint endpoint = { .port = port };

	endpoint.addr.family = (uint8_t)from->ai_family;
	if (from->ai_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)from->ai_addr;

		memcpy(endpoint.addr.b, &in->sin_addr, 4);
	} else if (from->ai_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)from->ai_addr;

		memcpy(endpoint.addr.b, &in6->sin6_addr, 16);
		endpoint.scope = in6->sin6_scope_id;
	} else {
		return false;
	}
	*ret_endpoint = endpoint;
	return true;
}

/* Take the next of this family out of the list. */
static bool take(struct addrinfo **list, int family, uint16_t port,
		 struct cv_endpoint *ret_endpoint)
{
	for (; *list; *list = (*list)->ai_next)
		if ((*list)->ai_family == family && to_endpoint(*list, port, ret_endpoint)) {
			*list = (*list)->ai_next;
			return true;
		}
	return false;
}

/* The families take turns, that of the first address begins. */
static void interleave(struct addrinfo *list, uint16_t port, struct cv_answer *answer)
{
	int family = list ? list->ai_family : AF_INET;
	struct addrinfo *rest[2] = { list, list };
	bool any = true;

	for (int turn = 0; answer->n < CV_ANSWER_MAX && any; turn ^= 1) {
		int wanted = turn == 0 ? family : family == AF_INET ? AF_INET6 : AF_INET;
		bool found = take(&rest[turn], wanted, port, &answer->list[answer->n]);

		answer->n += found;
		any = rest[0] || rest[1];
	}
}

static void *look_up(void *arg)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_DGRAM };
	struct cv_lookup *lookup = arg;
	struct cv_lookups *lookups = lookup->lookups;
	struct addrinfo *list = NULL;

	lookup->answer.error = getaddrinfo(lookup->host, NULL, &hints, &list);
	if (lookup->answer.error == 0) {
		interleave(list, lookup->port, &lookup->answer);
		freeaddrinfo(list);
	}
	pthread_mutex_lock(&lookups->lock);
	lookup->next = lookups->done;
	lookups->done = lookup;
	if (lookups->loop)
		cv_loop_wake(lookups->loop);
	pthread_cond_signal(&lookups->news);
	pthread_mutex_unlock(&lookups->lock);
	let_go(lookups);
	return NULL;
}

int cv_lookups_begin(struct cv_lookups *lookups, const struct cv_key *peer, const char *host,
		     uint16_t port)
{
	struct cv_lookup *lookup = calloc(1, sizeof(*lookup));
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	if (!lookup)
		return -ENOMEM;
	*lookup = (struct cv_lookup){ .lookups = lookups, .peer = *peer, .port = port };
	snprintf(lookup->host, sizeof(lookup->host), "%s", host);
	hold(lookups);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	r = pthread_create(&thread, &attr, look_up, lookup);
	pthread_attr_destroy(&attr);
	if (r) {
		let_go(lookups);
		free(lookup);
	}
	return -r;
}

struct cv_lookup *cv_lookups_take(struct cv_lookups *lookups)
{
	struct cv_lookup *done;

	pthread_mutex_lock(&lookups->lock);
	done = lookups->done;
	lookups->done = NULL;
	pthread_mutex_unlock(&lookups->lock);
	return done;
}

bool cv_lookups_await(struct cv_lookups *lookups, const struct timespec *until)
{
	bool any;
	int r = 0;

	pthread_mutex_lock(&lookups->lock);
	while (!lookups->done && r == 0)
		r = pthread_cond_timedwait(&lookups->news, &lookups->lock, until);
	any = lookups->done != NULL;
	pthread_mutex_unlock(&lookups->lock);
	return any;
}
