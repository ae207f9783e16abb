/* The Internet checksum (RFC 1071), wide: sums, pseudo headers, incremental updates (RFC 1624). */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <convoy/packet/ip.h>

/*
 * A running one's complement sum, not folded, over bytes as they lie in memory (so the byte order
 * of the machine does not matter as long as only cv_csum_* reads it). Fold before it is stored.
 */
typedef uint64_t cv_csum;

/* Add len bytes at data; every piece but the last must have an even length. */
cv_csum cv_csum_add(cv_csum sum, const void *data, size_t len);
/* Fold to 16 bits, memory order, not complemented. */
uint16_t cv_csum_fold(cv_csum sum);
/* Sum of the pseudo header of a TCP or UDP segment of l4_len bytes (RFC 9293 3.1, RFC 8200 8.1).
 * `packet` is the IP header. */
cv_csum cv_csum_pseudo(const uint8_t *packet, uint8_t family, uint8_t protocol, uint32_t l4_len);
/* Store a folded sum into a checksum field: complemented (a header's checksum) or as it is (the
 * seed that NEEDS_CSUM wants). */
cv_be16 cv_csum_field(cv_csum sum);
cv_be16 cv_csum_seed(cv_csum sum);
