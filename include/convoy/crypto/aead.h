/* AEAD in bursts: ChaCha20-Poly1305 (RFC 8439) over arrays of jobs, by exchangeable providers. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <convoy/base/time.h>

enum {
	CV_AEAD_KEY_SIZE = 32,
	CV_AEAD_TAG_SIZE = 16,
};

/* A transport key. Lives in locked memory inside its keypair; wiped by who holds the keypair. */
struct cv_aead_key {
	uint8_t key[CV_AEAD_KEY_SIZE];
};

/*
 * One message, worked on in place: `len` bytes of text at `text`, the 16-byte tag behind them.
 * Nonce = 4 zero bytes, then the counter in little endian (white paper, section 5.4.6).
 * Additional data is empty, as WireGuard's data messages have none.
 */
struct cv_aead_job {
	const struct cv_aead_key *key;
	uint64_t counter;
	uint8_t *text;
	uint32_t len; /* plaintext bytes; seal writes, open reads 16 more */
	bool ok;      /* open: set to whether the tag verified */
};

/* A provider of the AEAD, one const struct each. `self` is what `new` made, one per thread. */
struct cv_aead_provider {
	const char *name;            /* "libsodium" */
	int (*new)(void **ret_self); /* -ENOSYS: this CPU or library cannot */
	void (*free)(void *self);
	void (*seal)(void *self, struct cv_aead_job *jobs, size_t n);
	void (*open)(void *self, struct cv_aead_job *jobs, size_t n);
};

/* Messages are of two classes, as what is best for one may not be for the other. */
enum cv_aead_class {
	CV_AEAD_SMALL,
	CV_AEAD_LARGE,
	CV_AEAD_CLASSES,
};

enum { CV_AEAD_SMALL_MAX = 512 }; /* bytes of text of the largest small message. Not tuned. */

/* Who does which class, for all threads of a device. */
struct cv_aead_choice {
	const struct cv_aead_provider *provider[CV_AEAD_CLASSES];
};

/**
 * cv_aead_choose() - find the fastest provider for each class, by measuring
 * @name:	provider by name for both classes, or NULL to measure all
 * @clock:	monotonic, ns; not called when there is nothing to measure
 *
 * Takes a few milliseconds a provider: messages of 64 and of 1420 bytes, sealed and opened.
 *
 * Return: 0; -ENOENT when there is no provider of this name; what its `new` says; -ENOMEM.
 */
int cv_aead_choose(const char *name, cv_time (*clock)(void), struct cv_aead_choice *ret_choice);

/* The AEAD of one thread: never shared between threads. */
struct cv_aead {
	struct cv_aead_choice choice;
	void *self[CV_AEAD_CLASSES];
};

/* Make this thread's AEAD. choice NULL: libsodium for all. Return: 0 or -errno. */
int cv_aead_init(struct cv_aead *aead, const struct cv_aead_choice *choice);
void cv_aead_done(struct cv_aead *aead);

/* Names of the providers of this build, best first, NULL-terminated. */
const char *const *cv_aead_names(void);

/**
 * cv_aead_seal() - encrypt n messages in place and write their tags
 *
 * Never fails: keys and lengths are the caller's promise. Jobs may carry different keys.
 */
void cv_aead_seal(struct cv_aead *aead, struct cv_aead_job *jobs, size_t n);

/**
 * cv_aead_open() - verify and decrypt n messages in place; job->ok tells each one's fate
 *
 * The text of a message that is not ok is undefined and must not be used.
 */
void cv_aead_open(struct cv_aead *aead, struct cv_aead_job *jobs, size_t n);
