/* Leases: which peer has which address of the Pool, as a table, as text, and who gets what next. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <convoy/base/addr.h>
#include <convoy/config/config.h>
#include <convoy/crypto/key.h>

enum {
	CV_LEASE_FILE_MAX = CV_CONFIG_FILE_MAX, /* bytes of the text; 2^20 leases fit */
};

struct cv_lease {
	struct cv_key public_key;
	struct cv_addr addrs[CV_FAMILIES]; /* family 0: none */
	bool is_new;                       /* cv_leases_saved() was not called since it changed */
	/* By the last cv_leases_settle(): */
	bool holds[CV_FAMILIES]; /* the address is the peer's */
	bool is_peer;            /* the key is in use */
	bool has_own[CV_FAMILIES];
};

struct cv_lease_place {
	struct cv_key public_key;
	size_t at;
};

/* Those that are taken, one family each. Of range.c in src/config. */
struct cv_range;

struct cv_ranges {
	struct cv_range *list; /* range[n], room for size */
	size_t n, size;
	bool lacks; /* there was no memory for one of them */
};

/* In the order in which they were given, the oldest first. All zero: none. */
struct cv_leases {
	struct cv_lease *list; /* lease[n], room for size */
	size_t n, size;
	struct cv_lease_place *by_key; /* place[n], sorted; room for size */
	bool changed;                  /* since cv_leases_saved() */

	struct cv_prefix pools[CV_FAMILIES]; /* as of cv_leases_begin() */
	struct cv_ranges taken[CV_FAMILIES];
};

/**
 * cv_leases_parse() - read leases, one a line: "PUBLICKEY IPV4 IPV6", "-" for an address that is
 * none
 * @text:	any bytes; not kept
 * @flaw:	called with each line that is refused, and why, as half a sentence; the others count
 *
 * An address or a key that stands in two lines is the first one's.
 *
 * Return: 0 or -ENOMEM.
 */
int cv_leases_parse(const char *text, size_t len, struct cv_leases *ret_leases,
		    void (*flaw)(void *arg, uint32_t line, const char *why), void *arg);
/* Return: bytes of the whole text without its end, as snprintf(3); it was cut when >= size. */
size_t cv_leases_print(const struct cv_leases *leases, char *ret_text, size_t size);
/* The text is on the disk. */
void cv_leases_saved(struct cv_leases *leases);
void cv_leases_free(struct cv_leases *leases);

/*
 * Which leases hold, given what peers there are and what their AllowedIPs say: begin, tell each
 * peer and each of its AllowedIPs, settle. A lease holds in its family while its address lies in
 * the Pool, is nobody else's and none of ours, and its peer has no other AllowedIPs in the Pool.
 * AllowedIPs larger than the Pool are a route that leads through it and take nothing.
 */
void cv_leases_begin(struct cv_leases *leases, const struct cv_config *config);
void cv_leases_tell_peer(struct cv_leases *leases, const struct cv_key *public_key);
void cv_leases_tell_prefix(struct cv_leases *leases, const struct cv_key *public_key,
			   const struct cv_prefix *prefix);
/* Return: 0, or -ENOMEM: nothing can be taken then. */
int cv_leases_settle(struct cv_leases *leases);

/**
 * cv_leases_take() - give a peer addresses; what it has, it keeps
 * @wants:	families that it shall have one of
 *
 * The first free address from where the hash of its key points to: so it is the same one mostly
 * when the file is lost, and seldom the lowest, which `convoy peer add` takes. When all are taken,
 * the oldest lease of a key that is no peer's goes. After cv_leases_settle() any number of times.
 *
 * Return: 0; -ENOSPC when no address was free in a family (in the other one it may have got one);
 * -ENOMEM.
 */
int cv_leases_take(struct cv_leases *leases, const struct cv_key *public_key,
		   const bool wants[CV_FAMILIES]);
/* NULL: it has none. Good until the next change. */
const struct cv_lease *cv_leases_find(const struct cv_leases *leases,
				      const struct cv_key *public_key);
