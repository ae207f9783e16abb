/* Changing a config file as text, a peer in or out: every byte that is not meant stays as it is. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <convoy/base/addr.h>
#include <convoy/config/config.h>
#include <convoy/config/error.h>
#include <convoy/config/lease.h>

enum {
	CV_CONFIG_NAME_MAX = 64, /* bytes of a new peer's name; nobody's limit but ours */
};

/**
 * cv_config_edit_append() - what to put behind a file so that it has one more peer
 * @text:	the file; not written to
 * @peer:	what its section says
 * @ret_tail:	terminated, on the heap; may hold a preshared key: wipe it, then free it
 *
 * Ends the last line where that is missing, leaves a line empty, and ends lines as the file does
 * (LF or CRLF). The section looks as cv_config_print() has it.
 *
 * Return: 0 or -ENOMEM.
 */
int cv_config_edit_append(const char *text, size_t len, const struct cv_config_peer *peer,
			  char **ret_tail);

/* Bytes of a text: [start, end). */
struct cv_config_range {
	size_t start;
	size_t end;
};

/**
 * cv_config_edit_peer() - the bytes that belong to a peer, to be cut out
 * @text:	a file that cv_config_parse() takes
 * @number:	line of its [Peer], as in struct cv_config_peer
 *
 * The header, its settings and what stands among them; comments right above the header and right
 * behind the last setting, but none that is a setting of another section ("# convoy:", a key
 * commented out); and the empty lines behind it, or, at the end of the file and where there are
 * none, the one before it. So what cv_config_edit_append() put behind a file goes without a trace,
 * but for the newline that the file itself lacked. Comments that stand alone between two sections
 * stay.
 *
 * Return: 0, or -ENOENT when no section begins on that line.
 */
int cv_config_edit_peer(const char *text, size_t len, uint32_t number,
			struct cv_config_range *ret_range);

/* Whether it may name a new peer: 1 to CV_CONFIG_NAME_MAX bytes of printable UTF-8, no blank at
 * its ends, no "-" in front (an option), and no key. Says why not, as half a sentence, or NULL. */
const char *cv_config_name_flaw(const char *name);

/**
 * cv_config_free_addresses() - the lowest free address of each of the tunnel's networks
 * @leases:	of Pool: their addresses are not free either; or NULL
 * @max:	of ret_prefixes
 * @ret_prefixes:	addresses with their networks' lengths, in the order of Address
 * @ret_full:	with -ENOSPC: the network that is full
 *
 * A network is an Address with room for others (10.77.0.1/24, not 10.77.0.1/32), counted once.
 * Free is what is neither the network's own address (nor IPv4's broadcast address; RFC 3021 and
 * RFC 6164 are heeded), nor one of ours, nor in the AllowedIPs of a peer. AllowedIPs larger than
 * the network are a route that leads through it and take nothing. After a failure nobody knows
 * what ret_prefixes holds.
 *
 * Return: how many, 0 when there is no network; -ENOSPC; -E2BIG when there are more than max;
 * -ENOMEM.
 */
int cv_config_free_addresses(const struct cv_config *config, const struct cv_leases *leases,
			     struct cv_prefix *ret_prefixes, size_t max,
			     struct cv_prefix *ret_full);

/**
 * cv_config_take_peer_value() - read a value as it may stand behind a key of [Peer]
 * @key:	"Endpoint" or "AllowedIPs"
 * @peer:	gets it, as from a file; AllowedIPs are added to those that it has
 * @ret_error:	the first error or warning; its message is "" when there is none
 *
 * Return: 0; -EINVAL; -ENOMEM.
 */
int cv_config_take_peer_value(const char *key, const char *value, struct cv_config_peer *peer,
			      struct cv_config_error *ret_error);
