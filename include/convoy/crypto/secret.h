/* Handling of secrets: wiping, comparing in constant time, and memory that is not swapped out. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zero n bytes in a way that the compiler does not remove. */
void cv_wipe(void *bytes, size_t n);
/* Whether n bytes are equal, or all zero; the time taken depends on n only. */
bool cv_secret_equal(const void *a, const void *b, size_t n);
bool cv_secret_is_zero(const void *bytes, size_t n);

/*
 * A pool of objects of one size in memory that is locked, left out of core dumps, fenced by guard
 * pages, and wiped when an object comes back. It grows by chunks and does not shrink before
 * cv_vault_done(). Pointers are stable. One thread only (control).
 */
struct cv_vault {
	size_t slot_size;
	size_t slots_per_chunk;
	void *free;   /* list of free slots */
	void *chunks; /* list of chunks */
	size_t taken; /* objects that are out */
	bool unlocked;
};

/* An empty vault for objects of object_size bytes (at most half a chunk, 32 KiB). */
void cv_vault_init(struct cv_vault *vault, size_t object_size);
/* Free everything. All objects must be back. */
void cv_vault_done(struct cv_vault *vault);

/* Take an object: all zero, aligned to 64 bytes. O(1) but when it grows. Return: NULL when there is
 * no memory. The vault must not move while objects are out. */
void *cv_vault_take(struct cv_vault *vault);
/* Wipe an object and give it back to its vault. NULL is fine. O(1). The signature is that of a
 * release function, as a graveyard wants it. */
void cv_vault_return(void *object);

/* Whether all memory so far could be locked; false once RLIMIT_MEMLOCK was too small, in which case
 * the vault works on, but a secret may reach swap. */
bool cv_vault_is_locked(const struct cv_vault *vault);
