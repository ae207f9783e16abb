/* AEAD in bursts: ChaCha20-Poly1305 (RFC 8439) over arrays of jobs, by exchangeable providers. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
	const char *name; /* "libsodium" */
	int (*new)(void **ret_self);
	void (*free)(void *self);
	void (*seal)(void *self, struct cv_aead_job *jobs, size_t n);
	void (*open)(void *self, struct cv_aead_job *jobs, size_t n);
};

/* The AEAD of one thread: never shared between threads. */
struct cv_aead {
	const struct cv_aead_provider *provider;
	void *self;
};

/**
 * cv_aead_init() - make this thread's AEAD
 * @name:	provider by name, or NULL for the best one
 *
 * Return: 0; -ENOENT when there is no provider of this name; -ENOMEM.
 */
int cv_aead_init(struct cv_aead *aead, const char *name);
void cv_aead_done(struct cv_aead *aead);

/* Names of the providers of this build, best first, NULL-terminated. */
const char *const *cv_aead_names(void);

/**
 * cv_aead_seal() - encrypt n messages in place and write their tags
 *
 * Never fails: keys and lengths are the caller's promise. Jobs may carry different keys.
 */
static inline void cv_aead_seal(struct cv_aead *aead, struct cv_aead_job *jobs, size_t n)
{
	aead->provider->seal(aead->self, jobs, n);
}

/**
 * cv_aead_open() - verify and decrypt n messages in place; job->ok tells each one's fate
 *
 * The text of a message that is not ok is undefined and must not be used.
 */
static inline void cv_aead_open(struct cv_aead *aead, struct cv_aead_job *jobs, size_t n)
{
	aead->provider->open(aead->self, jobs, n);
}
