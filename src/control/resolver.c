/*
 * Endpoint names: looked up off the data path, and again when a peer is lost.
 *
 * How it works. Every peer whose endpoint is a name has a `struct name`. It is looked up at the
 * start, at most LOOKUPS_MAX at a time, so that a name server that is silent delays only those who
 * ask it. An answer is a list of addresses in the order of RFC 6724, with the families taking
 * turns. The first becomes the peer's endpoint. A peer that tries to make a session, has had none
 * for STALE_S seconds, and is silent for TRY_S seconds at one address gets the next one; when there
 * is none left the name is looked up again. "No route" at our own host is an answer at once. A peer
 * that has a session stays where it is, wherever it roamed to.
 *
 * A lookup that fails is repeated after 5, 10, 20, 40, 60, 60, ... seconds, for that peer only. One
 * that succeeds is not repeated within AGAIN_S.
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <convoy/device/change.h>
#include <convoy/device/show.h>
#include <convoy/log/log.h>

#include "internal.h"

enum {
	LOOKUPS_MAX = 16, /* threads; not tuned */
	SWEEP_S = 5,      /* between two looks at all peers with names */
	STALE_S = 135,    /* reresolve-dns.sh of wireguard-tools */
	TRY_S = 15,       /* three initiations */
	AGAIN_S = 30,
	BACKOFF_MIN_S = 5,
	BACKOFF_MAX_S = 60,
};

/* A peer whose endpoint is a name. */
struct name {
	struct cv_key peer;
	char host[CV_CONFIG_HOST_MAX];
	uint16_t port;

	bool looking;       /* a thread is at it */
	bool forced;        /* the file sent the peer there: its session is no reason to stay */
	bool answered;      /* `answer` is news */
	cv_time when;       /* to look up, CV_TIME_NEVER: not now */
	cv_time not_before; /* the next lookup */
	unsigned failures;  /* in a row */
	struct cv_answer answer;
	size_t at;   /* answer.list[at] is the next to be tried */
	cv_time set; /* when the peer got its endpoint from us */
};

struct cv_resolver {
	struct cv_control *control;
	struct cv_lookups *threads;
	struct name *names; /* name[n], sorted by peer */
	size_t n;
	size_t lookups; /* under way */
	cv_time sweep;  /* the next */
	cv_time deadline;
};

/* Names ---------------------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
	const struct name *left = a, *right = b;

	return memcmp(left->peer.b, right->peer.b, CV_KEY_SIZE);
}

static struct name *find(const struct cv_resolver *resolver, const struct cv_key *peer)
{
	size_t low = 0, high = resolver->n;

	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = memcmp(peer->b, resolver->names[middle].peer.b, CV_KEY_SIZE);

		if (order == 0)
			return &resolver->names[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

static void name_of(const struct cv_config_peer *from, struct name *ret_name)
{
	*ret_name = (struct name){ .peer = from->public_key, .port = from->endpoint.port };
	snprintf(ret_name->host, sizeof(ret_name->host), "%s", from->host);
}

static bool is_same(const struct name *a, const struct name *b)
{
	return a->port == b->port && strcmp(a->host, b->host) == 0;
}

int cv_resolver_change(struct cv_resolver *resolver)
{
	const struct cv_config *config;
	struct cv_resolver next;

	if (!resolver)
		return 0;
	config = &resolver->control->config;
	next = *resolver;
	next.n = 0;
	next.names = calloc(config->n_peers + 1, sizeof(*next.names));
	if (!next.names)
		return -ENOMEM;
	for (size_t i = 0; i < config->n_peers; i++) {
		const struct cv_config_peer *from = &config->peers[i];
		struct name *name = &next.names[next.n], *before;

		if (!from->has_endpoint || !from->endpoint_is_name)
			continue;
		name_of(from, name);
		before = find(resolver, &from->public_key);
		if (before && is_same(before, name))
			*name = *before;
		else
			name->forced = resolver->control->device != NULL;
		next.n++;
	}
	qsort(next.names, next.n, sizeof(*next.names), compare_names);
	free(resolver->names);
	next.sweep = next.n > 0 ? cv_clock_now() + SWEEP_S * CV_NS_PER_S : CV_TIME_NEVER;
	next.deadline = next.n > 0 ? 0 : CV_TIME_NEVER;
	*resolver = next;
	return 0;
}

static void tell_failure(const struct cv_resolver *resolver, const struct name *name, cv_time wait)
{
	const char *reason =
		name->answer.error ? gai_strerror(name->answer.error) : "it has no address";

	if (name->failures == 1)
		CV_LOG_LIMITED(CV_LOG_WARN,
			       "%s: endpoint %s: %s; trying again every %d to %d s, ignoring",
			       resolver->control->config.name, name->host, reason, BACKOFF_MIN_S,
			       BACKOFF_MAX_S);
	else
		cv_log_debug("%s: endpoint %s: %s; trying again in %lld s",
			     resolver->control->config.name, name->host, reason,
			     (long long)(wait / CV_NS_PER_S));
}

static void fail(const struct cv_resolver *resolver, struct name *name, cv_time now)
{
	unsigned doublings = name->failures < 4 ? name->failures : 4;
	cv_time wait = (BACKOFF_MIN_S << doublings) * CV_NS_PER_S;

	if (wait > BACKOFF_MAX_S * CV_NS_PER_S)
		wait = BACKOFF_MAX_S * CV_NS_PER_S;
	name->failures++;
	name->when = name->not_before = now + wait;
	tell_failure(resolver, name, wait);
}

static void take_answer(const struct cv_resolver *resolver, const struct cv_lookup *lookup,
			cv_time now)
{
	struct name *name = find(resolver, &lookup->peer);

	/* The peer went, or has another name by now: that one is looked up for itself. */
	if (!name || name->port != lookup->port || strcmp(name->host, lookup->host) != 0)
		return;
	name->looking = false;
	name->answer = lookup->answer;
	name->at = 0;
	if (lookup->answer.n == 0) {
		fail(resolver, name, now);
		return;
	}
	name->answered = true;
	name->failures = 0;
	name->when = CV_TIME_NEVER;
	name->not_before = now + AGAIN_S * CV_NS_PER_S;
}

/* Return: whether there were any. */
static bool take_answers(struct cv_resolver *resolver, cv_time now)
{
	struct cv_lookup *done = cv_lookups_take(resolver->threads), *next;

	for (struct cv_lookup *lookup = done; lookup; lookup = next) {
		next = lookup->next;
		take_answer(resolver, lookup, now);
		resolver->lookups--;
		free(lookup);
	}
	return done != NULL;
}

/* Peers ---------------------------------------------------------------------------------- */

static void move(const struct cv_resolver *resolver, struct name *name,
		 const struct cv_peer_show *peer, cv_time now)
{
	const struct cv_endpoint *to = &name->answer.list[name->at++];
	struct cv_peer_change change = {
		.public_key = name->peer,
		.update_only = true,
		.set_endpoint = true,
		.endpoint = *to,
	};
	char text[CV_ENDPOINT_TEXT_MAX];

	name->set = now;
	cv_device_mind_path(resolver->control->device, &resolver->control->config, &to->addr);
	if (peer->has_endpoint && cv_endpoint_equal(&peer->endpoint, to))
		return;
	cv_log_info("%s: endpoint %s is %s", resolver->control->config.name, name->host,
		    cv_endpoint_format(to, text));
	cv_device_change_peer(resolver->control->device, &change, now);
}

static bool has_no_route(const struct cv_peer_show *peer)
{
	return peer->last_send_error == -ENETUNREACH || peer->last_send_error == -EHOSTUNREACH ||
	       peer->last_send_error == -ENETDOWN;
}

static void look_after(const struct cv_resolver *resolver, struct name *name,
		       const struct cv_peer_show *peer, cv_time now)
{
	bool lives = peer->has_session && now - peer->session_birth < STALE_S * CV_NS_PER_S;
	bool lost = peer->wants_session && (!lives || has_no_route(peer));

	if (name->answered) {
		name->answered = false;
		if (lost || !lives || name->forced)
			move(resolver, name, peer, now);
		name->forced = false;
	} else if (lost && (has_no_route(peer) || now - name->set >= TRY_S * CV_NS_PER_S)) {
		if (name->at < name->answer.n)
			move(resolver, name, peer, now);
		else if (!name->looking && name->when == CV_TIME_NEVER)
			name->when = name->not_before;
	} else if (lives && !lost) {
		name->at = name->answer.n; /* should it be lost, the name is asked again first */
	}
}

static void look_after_all(struct cv_resolver *resolver, cv_time now)
{
	struct cv_peer_cursor cursor = { 0 };
	struct cv_peer_show peer;

	while (cv_device_next_peer(resolver->control->device, &cursor, false, &peer)) {
		struct name *name = find(resolver, &peer.public_key);

		if (name)
			look_after(resolver, name, &peer, now);
	}
}

static int begin_lookup(struct cv_resolver *resolver, struct name *name)
{
	int r = cv_lookups_begin(resolver->threads, &name->peer, name->host, name->port);

	if (r < 0)
		return r;
	name->looking = true;
	resolver->lookups++;
	return 0;
}

static void begin_lookups(struct cv_resolver *resolver, cv_time now)
{
	resolver->deadline = resolver->sweep;
	for (size_t i = 0; i < resolver->n; i++) {
		struct name *name = &resolver->names[i];

		if (name->looking || name->when == CV_TIME_NEVER)
			continue;
		if (name->when <= now) {
			if (resolver->lookups == LOOKUPS_MAX)
				continue; /* the next answer makes room */
			if (begin_lookup(resolver, name) == 0)
				continue;
			name->answer = (struct cv_answer){ .error = EAI_MEMORY };
			fail(resolver, name, now);
		}
		if (name->when < resolver->deadline)
			resolver->deadline = name->when;
	}
}

/* The door ------------------------------------------------------------------------------- */

int cv_resolver_open(struct cv_control *control, struct cv_resolver **ret_resolver)
{
	struct cv_resolver *resolver = calloc(1, sizeof(*resolver));

	if (!resolver)
		return -ENOMEM;
	resolver->control = control;
	resolver->threads = cv_lookups_new(control->loop);
	if (!resolver->threads || cv_resolver_change(resolver) < 0) {
		cv_resolver_close(resolver);
		return -ENOMEM;
	}
	begin_lookups(resolver, cv_clock_now());
	*ret_resolver = resolver;
	return 0;
}

void cv_resolver_await(struct cv_resolver *resolver)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += CV_RESOLVER_AWAIT_S;
	while (resolver->lookups > 0 && cv_lookups_await(resolver->threads, &until)) {
		take_answers(resolver, cv_clock_now());
		begin_lookups(resolver, cv_clock_now());
	}
	if (resolver->n > 0)
		resolver->deadline = 0; /* what came is for the first turn */
}

cv_time cv_resolver_deadline(const struct cv_resolver *resolver)
{
	return resolver ? resolver->deadline : CV_TIME_NEVER;
}

void cv_resolver_turn(struct cv_resolver *resolver, cv_time now)
{
	bool news;

	if (!resolver || (resolver->n == 0 && resolver->lookups == 0))
		return;
	news = take_answers(resolver, now);
	if (!news && now < resolver->deadline)
		return;
	look_after_all(resolver, now);
	if (now >= resolver->sweep)
		resolver->sweep = now + SWEEP_S * CV_NS_PER_S;
	begin_lookups(resolver, now);
}

void cv_resolver_close(struct cv_resolver *resolver)
{
	if (!resolver)
		return;
	if (resolver->threads)
		cv_lookups_close(resolver->threads);
	free(resolver->names);
	free(resolver);
}
