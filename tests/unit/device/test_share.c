/* Sharing a burst: every job is opened exactly once, whoever comes or does not come to help. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device/share.h"

enum {
	JOBS = 1000, /* no multiple of the chunk */
	BURSTS = 500,
	HELPERS = 3,
};

/* A provider that counts: each job's text is one byte, the times it was opened. */
static int counting_new(void **ret_self)
{
	*ret_self = NULL;
	return 0;
}

static void counting_free(void *self)
{
}

static void counting_open(void *self, struct cv_aead_job *jobs, size_t n)
{
	sched_yield(); /* an owner that does not wait for its helpers is then ahead of them */
	for (size_t i = 0; i < n; i++) {
		++*jobs[i].text;
		jobs[i].ok = true;
	}
}

static const struct cv_aead_provider counting = {
	.name = "counting",
	.new = counting_new,
	.free = counting_free,
	.seal = counting_open,
	.open = counting_open,
};

static const struct cv_aead_key key;
static const struct cv_aead_choice choice = { { { &counting, &counting } } };

struct scene {
	struct cv_share share;
	struct cv_aead_job jobs[JOBS];
	uint8_t texts[JOBS];
	bool stop;       /* atomic */
	unsigned helped; /* atomic: calls that found something to do */
};

static struct scene *scene_new(void)
{
	struct scene *scene = aligned_alloc(64, (sizeof(*scene) + 63) / 64 * 64);

	memset(scene, 0, sizeof(*scene));
	for (int i = 0; i < JOBS; i++)
		scene->jobs[i] = (struct cv_aead_job){ .key = &key, .text = &scene->texts[i] };
	return scene;
}

static void assert_each_opened(const struct scene *scene, size_t n, unsigned times)
{
	for (size_t i = 0; i < JOBS; i++)
		assert_int_equal(scene->texts[i], i < n ? times : 0);
}

static void an_owner_without_help_opens_all(void **state)
{
	struct scene *scene = scene_new();
	struct cv_aead aead;

	assert_int_equal(cv_aead_init(&aead, &choice), 0);
	cv_share_begin(&scene->share, scene->jobs, 777);
	cv_share_finish(&scene->share, &aead);
	assert_each_opened(scene, 777, 1);
	assert_false(cv_share_help(&scene->share, &aead));
	assert_each_opened(scene, 777, 1);
	cv_aead_done(&aead);
	free(scene);
}

static void a_helper_may_do_all_of_it(void **state)
{
	struct scene *scene = scene_new();
	struct cv_aead aead;

	assert_int_equal(cv_aead_init(&aead, &choice), 0);
	assert_false(cv_share_help(&scene->share, &aead));
	cv_share_begin(&scene->share, scene->jobs, JOBS);
	assert_true(cv_share_help(&scene->share, &aead));
	assert_each_opened(scene, JOBS, 1);
	cv_share_finish(&scene->share, &aead);
	assert_each_opened(scene, JOBS, 1);
	cv_aead_done(&aead);
	free(scene);
}

static void *help_until_stopped(void *arg)
{
	struct scene *scene = arg;
	struct cv_aead aead;

	if (cv_aead_init(&aead, &choice))
		abort();
	while (!__atomic_load_n(&scene->stop, __ATOMIC_RELAXED))
		if (cv_share_help(&scene->share, &aead))
			__atomic_fetch_add(&scene->helped, 1, __ATOMIC_RELAXED);
		else
			sched_yield();
	cv_aead_done(&aead);
	return NULL;
}

static void with_helpers_each_job_is_opened_once_before_finish_returns(void **state)
{
	struct scene *scene = scene_new();
	pthread_t helpers[HELPERS];
	struct cv_aead aead;

	assert_int_equal(cv_aead_init(&aead, &choice), 0);
	for (int i = 0; i < HELPERS; i++)
		assert_int_equal(pthread_create(&helpers[i], NULL, help_until_stopped, scene), 0);
	/* Go on until somebody has helped: on one core that takes a while. */
	for (unsigned burst = 0;
	     burst < BURSTS || !__atomic_load_n(&scene->helped, __ATOMIC_RELAXED); burst++) {
		memset(scene->texts, 0, sizeof(scene->texts));
		cv_share_begin(&scene->share, scene->jobs, JOBS);
		if (burst % 16 == 0)
			sched_yield();
		cv_share_finish(&scene->share, &aead);
		assert_each_opened(scene, JOBS, 1);
	}
	__atomic_store_n(&scene->stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < HELPERS; i++)
		pthread_join(helpers[i], NULL);
	cv_aead_done(&aead);
	free(scene);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_owner_without_help_opens_all),
		cmocka_unit_test(a_helper_may_do_all_of_it),
		cmocka_unit_test(with_helpers_each_job_is_opened_once_before_finish_returns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
