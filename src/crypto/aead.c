/*
 * The registry of AEAD providers, and the choice among them.
 *
 * A provider is one const struct; the table lists those of this build. Which one is the fastest
 * depends on the CPU (AVX-512 or not) and on the size of messages, so it is measured at start: for
 * each class a burst is sealed and opened again and again, and the best of several rounds counts,
 * since what disturbs a round only makes it slower.
 *
 * A burst is cut into runs of one class; bursts are nearly always of one, and when one provider
 * does both classes there is nothing to cut.
 */
#include <errno.h>
#include <string.h>

#include <convoy/crypto/aead.h>

#include "internal.h"

static const struct cv_aead_provider *const providers[] = {
	&cv_aead_sodium,
	&cv_aead_openssl,
#ifdef CV_HAVE_IPSEC_MB
	&cv_aead_ipsec_mb,
#endif
};

/* The same, by name. */
static const char *const names[] = {
	"libsodium",
	"openssl",
#ifdef CV_HAVE_IPSEC_MB
	"ipsec-mb",
#endif
	NULL,
};

enum { PROVIDERS = sizeof(providers) / sizeof(providers[0]) };

_Static_assert(sizeof(names) / sizeof(names[0]) == PROVIDERS + 1, "one name a provider");

/* The measurement: bursts as the path makes them, 32 messages, for a millisecond a round. */
enum {
	BURST = 32,
	ROUNDS = 3,
	ROUND_NS = 1000000,
};

static const uint32_t class_len[CV_AEAD_CLASSES] = { [CV_AEAD_SMALL] = 64, [CV_AEAD_LARGE] = 1420 };

/* ns to seal and open one burst: the mean of the best round. */
static cv_time measure(const struct cv_aead_provider *provider, void *self, uint32_t len,
		       cv_time (*clock)(void))
{
	static const struct cv_aead_key key = { { 1 } };
	uint8_t text[BURST][1420 + CV_AEAD_TAG_SIZE];
	struct cv_aead_job jobs[BURST];
	cv_time best = CV_TIME_NEVER;

	memset(text, 0, sizeof(text));
	for (int i = 0; i < BURST; i++)
		jobs[i] = (struct cv_aead_job){
			.key = &key,
			.counter = (uint64_t)i,
			.text = text[i],
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

static int choose_by_name(const char *name, struct cv_aead_choice *ret_choice)
{
	for (size_t i = 0; i < PROVIDERS; i++) {
		void *self;
		int r;

		if (strcmp(name, names[i]) != 0)
			continue;
		r = providers[i]->new (&self);
		if (r < 0)
			return r;
		providers[i]->free(self);
		for (int class = 0; class < CV_AEAD_CLASSES; class ++)
			ret_choice->provider[class] = providers[i];
		return 0;
	}
	return -ENOENT;
}

int cv_aead_choose(const char *name, cv_time (*clock)(void), struct cv_aead_choice *ret_choice)
{
	cv_time best[CV_AEAD_CLASSES];

#ifdef CV_BENCH_COPY
	*ret_choice = (struct cv_aead_choice){ { &cv_aead_copy, &cv_aead_copy } };
	return 0;
#endif
	if (name)
		return choose_by_name(name, ret_choice);
	for (int class = 0; class < CV_AEAD_CLASSES; class ++)
		best[class] = CV_TIME_NEVER;
	for (size_t i = 0; i < PROVIDERS; i++) {
		void *self;

		if (providers[i]->new (&self) < 0)
			continue; /* not here; libsodium always is */
		for (int class = 0; class < CV_AEAD_CLASSES; class ++) {
			cv_time took = measure(providers[i], self, class_len[class], clock);

			if (took < best[class]) {
				best[class] = took;
				ret_choice->provider[class] = providers[i];
			}
		}
		providers[i]->free(self);
	}
	return best[CV_AEAD_LARGE] == CV_TIME_NEVER ? -ENOMEM : 0;
}

int cv_aead_init(struct cv_aead *aead, const struct cv_aead_choice *choice)
{
	static const struct cv_aead_choice reference = { { &cv_aead_sodium, &cv_aead_sodium } };

	*aead = (struct cv_aead){ 0 };
	for (int class = 0; class < CV_AEAD_CLASSES; class ++) {
		const struct cv_aead_provider *provider =
			(choice ? choice : &reference)->provider[class];
		int r = provider->new (&aead->self[class]);

		if (r < 0) {
			cv_aead_done(aead);
			return r;
		}
		aead->choice.provider[class] = provider;
	}
	return 0;
}

void cv_aead_done(struct cv_aead *aead)
{
	for (int class = 0; class < CV_AEAD_CLASSES; class ++)
		if (aead->choice.provider[class])
			aead->choice.provider[class]->free(aead->self[class]);
	*aead = (struct cv_aead){ 0 };
}

const char *const *cv_aead_names(void)
{
	return names;
}

static enum cv_aead_class class_of(const struct cv_aead *aead, const struct cv_aead_job *job)
{
	if (aead->choice.provider[CV_AEAD_SMALL] == aead->choice.provider[CV_AEAD_LARGE])
		return CV_AEAD_LARGE;
	return job->len <= CV_AEAD_SMALL_MAX ? CV_AEAD_SMALL : CV_AEAD_LARGE;
}

/* End of the run of one class that begins at jobs[0]. */
static size_t run_end(const struct cv_aead *aead, const struct cv_aead_job *jobs, size_t n)
{
	enum cv_aead_class class = class_of(aead, &jobs[0]);
	size_t end = 1;

	if (aead->choice.provider[CV_AEAD_SMALL] == aead->choice.provider[CV_AEAD_LARGE])
		return n;
	while (end < n && class_of(aead, &jobs[end]) == class)
		end++;
	return end;
}

void cv_aead_seal(struct cv_aead *aead, struct cv_aead_job *jobs, size_t n)
{
	for (size_t first = 0, run; first < n; first += run) {
		enum cv_aead_class class = class_of(aead, &jobs[first]);

		run = run_end(aead, jobs + first, n - first);
		aead->choice.provider[class]->seal(aead->self[class], jobs + first, run);
	}
}

void cv_aead_open(struct cv_aead *aead, struct cv_aead_job *jobs, size_t n)
{
	for (size_t first = 0, run; first < n; first += run) {
		enum cv_aead_class class = class_of(aead, &jobs[first]);

		run = run_end(aead, jobs + first, n - first);
		aead->choice.provider[class]->open(aead->self[class], jobs + first, run);
	}
}
