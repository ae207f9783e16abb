/*
 * Read-copy-update: liburcu's QSBR flavour behind six functions, and the graveyard.
 *
 * How it works. In QSBR a reader does nothing while it reads; it only says, once per loop turn,
 * that it holds nothing ("quiescent"), or that it holds nothing until further notice ("offline",
 * around a blocking wait). The control thread unpublishes a thing, puts it into the graveyard, and
 * later buries: urcu_qsbr_synchronize_rcu() returns when every registered thread was quiescent or
 * offline since the call, so that nobody can hold what was unpublished before it. One wait serves
 * everything that was added, however much that is.
 *
 * The caller of cv_graveyard_bury() may itself be a registered, online reader: the library takes it
 * offline for the wait and online again after it, so it never waits for itself.
 *
 * The thread sanitizer sees neither liburcu's barriers nor the library's inside, and would report
 * every free as a race with the last read. What the barriers promise is told to it in two words: a
 * quiescent reader releases what it did, the end of the wait acquires that. Nothing is said in the
 * other direction: readers find new things by the acquire load of cv_rcu_read(), which the
 * sanitizer understands.
 */
#include <stdlib.h>

#include <urcu/urcu-qsbr.h>

#include <convoy/peer/rcu.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TELL_SANITIZER 1
#endif
#elif defined(__SANITIZE_THREAD__)
#define TELL_SANITIZER 1
#endif

#ifdef TELL_SANITIZER
#include <sanitizer/tsan_interface.h>

static char grace_period; /* an address to name the relation by; never read or written */
#define reads_end()  __tsan_release(&grace_period)
#define reads_over() __tsan_acquire(&grace_period)
#else
#define reads_end()  ((void)0)
#define reads_over() ((void)0)
#endif

struct cv_grave {
	void *what;
	void (*release)(void *what);
};

void cv_rcu_register(void)
{
	urcu_qsbr_register_thread();
}

void cv_rcu_unregister(void)
{
	reads_end();
	urcu_qsbr_unregister_thread();
}

void cv_rcu_quiescent(void)
{
	reads_end();
	urcu_qsbr_quiescent_state();
}

void cv_rcu_offline(void)
{
	reads_end();
	urcu_qsbr_thread_offline();
}

void cv_rcu_online(void)
{
	urcu_qsbr_thread_online();
}

static void wait_for_readers(void)
{
	urcu_qsbr_synchronize_rcu();
	reads_over();
}

void cv_graveyard_add(struct cv_graveyard *graveyard, void *what, void (*release)(void *what))
{
	if (graveyard->n == graveyard->size) {
		size_t size = graveyard->size ? 2 * graveyard->size : 16;
		struct cv_grave *graves = realloc(graveyard->graves, size * sizeof(*graves));

		if (!graves) {
			wait_for_readers();
			release(what);
			return;
		}
		graveyard->graves = graves;
		graveyard->size = size;
	}
	graveyard->graves[graveyard->n++] = (struct cv_grave){ what, release };
}

void cv_graveyard_bury(struct cv_graveyard *graveyard)
{
	if (graveyard->n == 0)
		return;
	wait_for_readers();
	for (size_t i = 0; i < graveyard->n; i++)
		graveyard->graves[i].release(graveyard->graves[i].what);
	graveyard->n = 0;
}

void cv_graveyard_done(struct cv_graveyard *graveyard)
{
	cv_graveyard_bury(graveyard);
	free(graveyard->graves);
	*graveyard = (struct cv_graveyard){ 0 };
}
