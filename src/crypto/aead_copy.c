/*
 * No AEAD: a copy in its place, so that a bench can tell what the path costs without a cipher.
 *
 * Compiled only with -Dbench_copy=true, and then it is the only choice: such a build protects
 * nothing, says aead=copy in its capability line, and cannot be chosen into a tunnel by any file.
 */
#include <string.h>

#include <convoy/base/wire.h>
#include <convoy/crypto/aead.h>

#include "internal.h"

/* Where texts are copied to: one message at a time, in the cache like a cipher's state. */
static _Thread_local uint8_t copy[65536];

static int copy_new(void **ret_self)
{
	*ret_self = NULL;
	return 0;
}

static void copy_free(void *self)
{
}

static void copy_seal(void *self, struct cv_aead_job *jobs, size_t n)
{
	for (struct cv_aead_job *job = jobs; job < jobs + n; job++) {
		struct cv_aead_nonce tag[2] = { { .counter = cv_le64_of(job->counter) } };

		memcpy(copy, job->text, job->len);
		memcpy(job->text + job->len, tag, CV_AEAD_TAG_SIZE);
	}
}

static void copy_open(void *self, struct cv_aead_job *jobs, size_t n)
{
	for (struct cv_aead_job *job = jobs; job < jobs + n; job++) {
		struct cv_aead_nonce tag[2] = { { .counter = cv_le64_of(job->counter) } };

		memcpy(copy, job->text, job->len);
		job->ok = memcmp(job->text + job->len, tag, CV_AEAD_TAG_SIZE) == 0;
	}
}

const struct cv_aead_provider cv_aead_copy = {
	.name = "copy",
	.new = copy_new,
	.free = copy_free,
	.seal = copy_seal,
	.open = copy_open,
};
