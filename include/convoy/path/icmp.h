/* icmp: the answer to a packet that we cannot carry, as the kernel would give it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <convoy/base/addr.h>

enum {
	CV_ICMP_MAX = 1280, /* largest answer: RFC 4443 section 3.1; v4 stays within 576 */
};

/**
 * cv_icmp_unreachable() - host unreachable (v4: type 3 code 1; v6: type 1 code 3)
 * @packet, @len:	the packet that has no peer
 * @from:	address that answers, of the same family. Never one of this host's: the host drops
 *		packets from its own addresses as martians. The path answers from the destination.
 * @out:	room for CV_ICMP_MAX bytes
 *
 * Never answers what must not be answered: ICMP errors, fragments but the first, multicast and
 * broadcast, unspecified sources (RFC 1122 section 3.2.2, RFC 4443 section 2.4).
 *
 * Return: bytes of the answer, 0 for none.
 */
size_t cv_icmp_unreachable(const uint8_t *packet, size_t len, const struct cv_addr *from,
			   uint8_t out[CV_ICMP_MAX]);

/**
 * cv_icmp_too_big() - fragmentation needed (v4: type 3 code 4, RFC 1191), packet too big (v6: type
 * 2, RFC 4443 section 3.2)
 * @mtu:	the largest packet that can be carried, <= CV_IP_MAX. For IPv6 not less than
 *		CV_IP6_MTU_MIN: a host need not believe that (RFC 8201 section 4).
 *
 * All else is as with cv_icmp_unreachable().
 */
size_t cv_icmp_too_big(const uint8_t *packet, size_t len, const struct cv_addr *from, uint32_t mtu,
		       uint8_t out[CV_ICMP_MAX]);
