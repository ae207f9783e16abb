/*
 * A heap of deadlines: which peer does the control thread look at next, and when.
 *
 * A binary min-heap in an array, 1-based, so that the parent of slot i is i / 2 and slot 0 can mean
 * "not in the heap". Every deadline knows its slot; moving one is a walk up or down from there.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include <convoy/peer/deadlines.h>

static void put(struct cv_deadlines *deadlines, size_t slot, struct cv_deadline *deadline)
{
	deadlines->heap[slot] = deadline;
	deadline->slot = slot;
}

/* The hole at `slot` walks up while the parent is later than `when`. Return: where it stops. */
static size_t hole_up(struct cv_deadlines *deadlines, size_t slot, cv_time when)
{
	for (; slot > 1 && deadlines->heap[slot / 2]->when > when; slot /= 2)
		put(deadlines, slot, deadlines->heap[slot / 2]);
	return slot;
}

/* The hole at `slot` walks down while a child is earlier than `when`. Return: where it stops. */
static size_t hole_down(struct cv_deadlines *deadlines, size_t slot, cv_time when)
{
	for (size_t child; (child = 2 * slot) <= deadlines->n; slot = child) {
		if (child < deadlines->n &&
		    deadlines->heap[child + 1]->when < deadlines->heap[child]->when)
			child++;
		if (deadlines->heap[child]->when >= when)
			break;
		put(deadlines, slot, deadlines->heap[child]);
	}
	return slot;
}

static void settle(struct cv_deadlines *deadlines, size_t slot, struct cv_deadline *deadline)
{
	slot = hole_up(deadlines, slot, deadline->when);
	slot = hole_down(deadlines, slot, deadline->when);
	put(deadlines, slot, deadline);
}

static void leave(struct cv_deadlines *deadlines, struct cv_deadline *deadline)
{
	size_t slot = deadline->slot;
	struct cv_deadline *last;

	if (slot == 0)
		return;
	deadline->slot = 0;
	last = deadlines->heap[deadlines->n--];
	if (last != deadline)
		settle(deadlines, slot, last);
}

void cv_deadlines_set(struct cv_deadlines *deadlines, struct cv_deadline *deadline, cv_time when)
{
	deadline->when = when;
	if (when == CV_TIME_NEVER) {
		leave(deadlines, deadline);
		return;
	}
	if (deadline->slot == 0) {
		assert(deadlines->n < deadlines->size && "cv_deadlines_reserve() made room");
		deadline->slot = ++deadlines->n;
	}
	settle(deadlines, deadline->slot, deadline);
}

int cv_deadlines_reserve(struct cv_deadlines *deadlines, size_t n)
{
	size_t size = deadlines->size ? deadlines->size : 16;
	struct cv_deadline **heap;

	if (n <= deadlines->size)
		return 0;
	while (size < n)
		size *= 2;
	heap = realloc(deadlines->heap, (size + 1) * sizeof(struct cv_deadline *));
	if (!heap)
		return -ENOMEM;
	deadlines->heap = heap;
	deadlines->size = size;
	return 0;
}

struct cv_deadline *cv_deadlines_first(const struct cv_deadlines *deadlines)
{
	return deadlines->n ? deadlines->heap[1] : NULL;
}

void cv_deadlines_done(struct cv_deadlines *deadlines)
{
	free(deadlines->heap);
	*deadlines = (struct cv_deadlines){ 0 };
}
