/* A heap of deadlines: which peer does the control thread look at next, and when. */
#pragma once

#include <stddef.h>

#include <convoy/base/time.h>

/* Embedded in what waits. slot is 1-based; 0 means not in the heap. */
struct cv_deadline {
	cv_time when;
	size_t slot;
};

/* Binary min-heap of borrowed cv_deadlines. Control thread only. All zero is an empty one. */
struct cv_deadlines {
	struct cv_deadline **heap;
	size_t n, size;
};

/* Enter, move, or (CV_TIME_NEVER) remove. Room is made by cv_deadlines_reserve(). */
void cv_deadlines_set(struct cv_deadlines *deadlines, struct cv_deadline *deadline, cv_time when);
/* Make room for n entries in all. Return: 0 or -ENOMEM. */
int cv_deadlines_reserve(struct cv_deadlines *deadlines, size_t n);
/* The earliest, or NULL. */
struct cv_deadline *cv_deadlines_first(const struct cv_deadlines *deadlines);
void cv_deadlines_done(struct cv_deadlines *deadlines);
