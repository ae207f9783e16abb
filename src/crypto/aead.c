/*
 * The registry of AEAD providers, and the choice among them.
 *
 * A provider is one const struct; the table lists those of this build. Which one is the fastest
 * depends on the CPU (AVX-512 or not) and on the size of messages, so it is measured at start: for
 * each suite and class a burst is sealed and opened again and again, and the best of several rounds
 * counts, since what disturbs a round only makes it slower.
 *
 * A burst is cut into runs of one suite and class; bursts are nearly always of one suite, and when
 * one provider does both classes there is nothing more to cut.
 */
#include <errno.h>
#include <string.h>

#include <convoy/crypto/aead.h>

#include "internal.h"

enum { PROVIDERS_MAX = 4 }; /* of a suite, and a NULL */

static const struct cv_aead_provider *const providers[CV_SUITES][PROVIDERS_MAX] = {
	[CV_SUITE_CHACHA20_POLY1305] = {
		&cv_aead_sodium,
		&cv_aead_openssl,
#ifdef CV_HAVE_IPSEC_MB
		&cv_aead_ipsec_mb,
#endif
	},
	[CV_SUITE_AES256_GCM] = {
		&cv_aead_sodium_gcm,
		&cv_aead_openssl_gcm,
#ifdef CV_HAVE_IPSEC_MB
		&cv_aead_ipsec_mb_gcm,
#endif
	},
#ifdef CV_HAVE_AEGIS
	[CV_SUITE_AEGIS_128L] = { &cv_aead_sodium_aegis_128l },
	[CV_SUITE_AEGIS_256] = { &cv_aead_sodium_aegis_256 },
#endif
};

/* Those of ChaCha20-Poly1305, which all have, by name. */
static const char *const names[] = {
	"libsodium",
	"openssl",
#ifdef CV_HAVE_IPSEC_MB
	"ipsec-mb",
#endif
	NULL,
};

_Static_assert(sizeof(names) / sizeof(names[0]) <= PROVIDERS_MAX, "one name a provider");

/* The measurement: bursts as the path makes them, 32 messages, for half a millisecond a round. */
enum {
	BURST = 32,
	ROUNDS = 3,
	ROUND_NS = 500000,
};

static const uint32_t class_len[CV_AEAD_CLASSES] = { [CV_AEAD_SMALL] = 64, [CV_AEAD_LARGE] = 1420 };

/* ns to seal and open one burst: the mean of the best round. */
static cv_time measure(const struct cv_aead_provider *provider, void *self, enum cv_suite suite,
		       uint32_t len, cv_time (*clock)(void))
{
	struct cv_suite_key key = { .key = { .key = { 1 }, .suite = suite } };
	uint8_t text[BURST][CV_AEAD_HEADER_SIZE + 1420 + CV_AEAD_TAG_MAX];
	struct cv_aead_job jobs[BURST];
	cv_time best = CV_TIME_NEVER;

	if (provider->prepare)
		provider->prepare(self, key.key.key, key.schedule);
	memset(text, 0, sizeof(text));
	for (int i = 0; i < BURST; i++)
		jobs[i] = (struct cv_aead_job){
			.key = &key.key,
			.counter = (uint64_t)i,
			.text = text[i] + CV_AEAD_HEADER_SIZE,
			.len = len,
		};
	for (int round = 0; round < ROUNDS; round++) {
		cv_time start = clock(), took;
		int bursts = 0;

		do {
			provider->seal(self, jobs, BURST);
			provider->open(self, jobs, BURST);
			took = clock() - start;
			bursts++;
		} while (took < ROUND_NS);
		if (took / bursts < best)
			best = took / bursts;
	}
	return best;
}

/* Measure one provider, and note it where it is better than those before it. */
static int try_provider(const struct cv_aead_provider *provider, enum cv_suite suite,
			cv_time (*clock)(void), cv_time best[CV_AEAD_CLASSES],
			struct cv_aead_choice *choice)
{
	void *self;
	int r = provider->new (&self);

	if (r < 0)
		return r;
	for (int class = 0; class < CV_AEAD_CLASSES; class ++) {
		cv_time took = measure(provider, self, suite, class_len[class], clock);

		if (took < best[class]) {
			best[class] = took;
			choice->provider[suite][class] = provider;
		}
	}
	provider->free(self);
	return 0;
}

/* Return: 0; -ENOENT when no provider has this name; what the last one's `new` said. */
static int choose_suite(const char *name, enum cv_suite suite, cv_time (*clock)(void),
			struct cv_aead_choice *choice)
{
	const struct cv_aead_provider **chosen = choice->provider[suite];
	cv_time best[CV_AEAD_CLASSES] = { CV_TIME_NEVER, CV_TIME_NEVER };
	int r = -ENOENT;

	for (const struct cv_aead_provider *const *p = providers[suite]; *p; p++)
		if (!name || strcmp(name, (*p)->name) == 0)
			r = try_provider(*p, suite, clock, best, choice);
	if (!chosen[CV_AEAD_LARGE])
		return r;
	/* Only one of them can have the schedule of a key. */
	if (chosen[CV_AEAD_SMALL]->prepare && chosen[CV_AEAD_LARGE]->prepare)
		chosen[CV_AEAD_SMALL] = chosen[CV_AEAD_LARGE];
	choice->cost_ns[suite] = (uint32_t)(best[CV_AEAD_LARGE] / BURST) + 1; /* rounded up */
	return 0;
}

int cv_aead_choose(const char *name, cv_time (*clock)(void), struct cv_aead_choice *ret_choice)
{
	int r;

	*ret_choice = (struct cv_aead_choice){ 0 };
#ifdef CV_BENCH_COPY
	for (int suite = 0; suite < CV_SUITES; suite++) {
		for (int class = 0; class < CV_AEAD_CLASSES; class ++)
			ret_choice->provider[suite][class] = &cv_aead_copy;
		ret_choice->cost_ns[suite] = 1; /* not measured */
	}
	return 0;
#endif
	r = choose_suite(name, CV_SUITE_CHACHA20_POLY1305, clock, ret_choice);
	if (r < 0)
		return r;
	for (int suite = CV_SUITE_CHACHA20_POLY1305 + 1; suite < CV_SUITES; suite++)
		(void)choose_suite(name, (enum cv_suite)suite, clock, ret_choice);
	return 0;
}

static int init_lane(struct cv_aead_lane *lane, const struct cv_aead_provider *provider)
{
	int r = provider ? provider->new (&lane->self) : 0;

	if (r == 0)
		lane->provider = provider;
	return r;
}

int cv_aead_init(struct cv_aead *aead, const struct cv_aead_choice *choice)
{
	static const struct cv_aead_choice
		reference = { .provider = {
				      [CV_SUITE_CHACHA20_POLY1305] = { &cv_aead_sodium,
								       &cv_aead_sodium },
				      [CV_SUITE_AES256_GCM] = { &cv_aead_openssl_gcm,
								&cv_aead_openssl_gcm },
			      } };

	if (!choice)
		choice = &reference;
	*aead = (struct cv_aead){ 0 };
	for (int suite = 0; suite < CV_SUITES; suite++) {
		for (int class = 0; class < CV_AEAD_CLASSES; class ++) {
			int r = init_lane(&aead->lanes[suite][class],
					  choice->provider[suite][class]);

			if (r < 0) {
				cv_aead_done(aead);
				return r;
			}
		}
	}
	return 0;
}

void cv_aead_done(struct cv_aead *aead)
{
	for (int suite = 0; suite < CV_SUITES; suite++) {
		for (int class = 0; class < CV_AEAD_CLASSES; class ++) {
			const struct cv_aead_lane *lane = &aead->lanes[suite][class];

			if (lane->provider)
				lane->provider->free(lane->self);
		}
	}
	*aead = (struct cv_aead){ 0 };
}

int cv_aead_key_prepare(const struct cv_aead *aead, enum cv_suite suite,
			const uint8_t key[CV_AEAD_KEY_SIZE], struct cv_suite_key *ret_key)
{
	const struct cv_aead_lane *lanes = aead->lanes[suite];

	if (!lanes[CV_AEAD_LARGE].provider)
		return -ENOTSUP;
	memcpy(ret_key->key.key, key, CV_AEAD_KEY_SIZE);
	ret_key->key.suite = suite;
	for (int class = 0; class < CV_AEAD_CLASSES; class ++) {
		if (lanes[class].provider->prepare) {
			lanes[class].provider->prepare(lanes[class].self, key, ret_key->schedule);
			break; /* there is no other */
		}
	}
	return 0;
}

const char *const *cv_aead_names(void)
{
	return names;
}

/* Two classes of one provider share the lane of the large ones, so that runs are long. */
static const struct cv_aead_lane *lane_of(const struct cv_aead *aead, const struct cv_aead_job *job)
{
	const struct cv_aead_lane *lanes = aead->lanes[job->key->suite];
	bool small = job->len <= CV_AEAD_SMALL_MAX &&
		     lanes[CV_AEAD_SMALL].provider != lanes[CV_AEAD_LARGE].provider;

	return &lanes[small ? CV_AEAD_SMALL : CV_AEAD_LARGE];
}

/* The run of one lane that begins at jobs[0]. Return: how many jobs. */
static size_t run_of(const struct cv_aead *aead, const struct cv_aead_job *jobs, size_t n,
		     const struct cv_aead_lane **ret_lane)
{
	const struct cv_aead_lane *lane = lane_of(aead, &jobs[0]);
	size_t run = 1;

	while (run < n && lane_of(aead, &jobs[run]) == lane)
		run++;
	*ret_lane = lane;
	return run;
}

void cv_aead_seal(struct cv_aead *aead, struct cv_aead_job *jobs, size_t n)
{
	const struct cv_aead_lane *lane;

	for (size_t first = 0, run; first < n; first += run) {
		run = run_of(aead, jobs + first, n - first, &lane);
		lane->provider->seal(lane->self, jobs + first, run);
	}
}

void cv_aead_open(struct cv_aead *aead, struct cv_aead_job *jobs, size_t n)
{
	const struct cv_aead_lane *lane;

	for (size_t first = 0, run; first < n; first += run) {
		run = run_of(aead, jobs + first, n - first, &lane);
		lane->provider->open(lane->self, jobs + first, run);
	}
}
