/* Addresses as data: an IP address, a prefix, and the endpoint of a peer, with their text forms. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An IP address. family is AF_INET (first 4 bytes used, the rest zero), AF_INET6, or 0 for none. */
struct cv_addr {
	uint8_t family;
	uint8_t b[16];
};

/* The first `bits` bits of an address. After cv_prefix_mask() the bits behind are zero. */
struct cv_prefix {
	struct cv_addr addr;
	uint8_t bits;
};

/* Where a peer is: address, UDP port in host order, and the scope id of an IPv6 link-local one. */
struct cv_endpoint {
	struct cv_addr addr;
	uint16_t port;
	uint32_t scope;
};

/*
 * Where we answer from: the local address and interface on which a peer was last heard
 * (IP_PKTINFO / IPV6_PKTINFO). addr.family 0: let the kernel choose.
 */
struct cv_source {
	struct cv_addr addr;
	uint32_t ifindex;
};

enum {
	CV_ADDR_TEXT_MAX = 46,                  /* INET6_ADDRSTRLEN */
	CV_PREFIX_TEXT_MAX = 46 + 4,            /* "/128" */
	CV_ENDPOINT_TEXT_MAX = 46 + 2 + 17 + 6, /* "[", "]", "%scope", ":port" */
};

/* Number of bits of an address of this family: 32, 128, or 0. */
unsigned cv_addr_bits(uint8_t family);
/* Number of bytes of an address of this family: 4, 16, or 0. */
unsigned cv_addr_size(uint8_t family);
bool cv_addr_equal(const struct cv_addr *a, const struct cv_addr *b);
bool cv_addr_is_link_local(const struct cv_addr *addr);
bool cv_endpoint_equal(const struct cv_endpoint *a, const struct cv_endpoint *b);
bool cv_source_equal(const struct cv_source *a, const struct cv_source *b);
bool cv_prefix_equal(const struct cv_prefix *a, const struct cv_prefix *b);

/* Of this address alone. */
struct cv_prefix cv_prefix_of_host(const struct cv_addr *addr);
/* Zero the bits of the address that lie behind prefix->bits. */
void cv_prefix_mask(struct cv_prefix *prefix);
/* Whether addr lies inside prefix (same family, first bits equal). */
bool cv_prefix_contains(const struct cv_prefix *prefix, const struct cv_addr *addr);

/**
 * Text to value. The text is a C string without surrounding blanks.
 *
 * A prefix without "/n" is a host prefix; its host bits are kept (mask it where that is wanted).
 * An endpoint is "1.2.3.4:5", "[v6]:5" or "[v6%7]:5" with a numeric scope; names are not resolved.
 *
 * Return: 0, or -EINVAL and nothing is written.
 */
int cv_addr_parse(const char *text, struct cv_addr *ret_addr);
int cv_prefix_parse(const char *text, struct cv_prefix *ret_prefix);
int cv_endpoint_parse(const char *text, struct cv_endpoint *ret_endpoint);

/* Value to text, always terminated; returns ret_text. */
const char *cv_addr_format(const struct cv_addr *addr, char ret_text[CV_ADDR_TEXT_MAX]);
const char *cv_prefix_format(const struct cv_prefix *prefix, char ret_text[CV_PREFIX_TEXT_MAX]);
const char *cv_endpoint_format(const struct cv_endpoint *endpoint,
			       char ret_text[CV_ENDPOINT_TEXT_MAX]);
