/* What a server hands over to a client: conf/convoy-wire.md, "Handed-over configuration". */
#pragma once

#include <stdint.h>

#include <convoy/base/addr.h>

/* Of a grant, so that the longest has room in a frame. */
enum {
	CV_GRANT_DNS_MAX = 3,
	CV_GRANT_ROUTES_MAX = 8,
};

/* What a client shall have. Prefixes carry their host bits. */
struct cv_grant {
	struct cv_prefix address4, address6; /* with the length of their network; family 0: none */
	uint16_t mtu;                        /* 0: not said */
	uint8_t dns_n, routes_n;
	struct cv_addr dns[CV_GRANT_DNS_MAX];
	struct cv_prefix routes[CV_GRANT_ROUTES_MAX];
};
