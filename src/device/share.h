/* A burst of AEAD jobs that idle workers help with. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <convoy/crypto/aead.h>

enum {
	/* Jobs claimed at once: a few microseconds of the slowest cipher's 1420-byte messages, so
	 * that the owner never waits long for the last helper. Not tuned. */
	CV_SHARE_CHUNK = 16,
	/* A burst that is not longer is done before a helper has woken up. Not tuned. */
	CV_SHARE_MIN = 4 * CV_SHARE_CHUNK,
};

/* One a worker; all zero at first. Only its owner begins a burst. */
struct cv_share {
	struct cv_aead_job *jobs;
	size_t n;
	size_t next __attribute__((aligned(64))); /* atomic: first job that nobody claimed */
	uint32_t helpers;                         /* atomic: threads inside cv_share_help() */
	bool open;                                /* atomic: there are jobs to claim */
};

/* Offer jobs[n] to others. The caller then wakes whom it likes and calls cv_share_finish(). */
void cv_share_begin(struct cv_share *share, struct cv_aead_job *jobs, size_t n);
/* The owner's part: opens what nobody else has claimed, and waits for what others have. */
void cv_share_finish(struct cv_share *share, struct cv_aead *aead);
/* Another thread's part, with its own AEAD: opens chunks until none is left. Return: whether it
 * did anything. */
bool cv_share_help(struct cv_share *share, struct cv_aead *aead);
