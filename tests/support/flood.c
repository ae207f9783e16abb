/*
 * flood: handshake messages or garbage from spoofed sources, at a rate, to one UDP port.
 *
 *	flood INTERFACE MAC FIRST SOURCES DEST PORT KEY WHAT RATE COUNT
 *
 * FIRST is the first of SOURCES source addresses, one after the other (IPv6: one a /64); 4 or 6 is
 * said by it. MAC is that of DEST on the link of INTERFACE. WHAT:
 *
 *	initiations	message 1 with a right mac1 for public key KEY, and nothing else right
 *	garbage		all types, right and wrong ones, all lengths up to 1452 bytes
 *
 * Sends COUNT datagrams, RATE a second if it can, and says what became of that in one line.
 *
 * How it works. The datagrams are made before the first is sent, as many as a cache holds; each
 * goes out with many sources. They go past routing and queues by a packet socket.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <convoy/base/time.h>
#include <convoy/crypto/init.h>
#include <convoy/crypto/key.h>
#include <convoy/crypto/random.h>
#include <convoy/noise/cookie.h>
#include <convoy/packet/csum.h>

enum {
	POOL = 4096,
	BATCH = 64,
	PAYLOAD_MAX = 1452,   /* of 1500 in IPv6 */
	SOURCE_PORTS = 20000, /* spoofed ones lie above */
};

struct datagram {
	uint16_t len;
	cv_csum sum; /* of its bytes */
	uint8_t *data;
};

/* Head room of one datagram on its way. */
struct headers {
	union {
		struct cv_ip4 v4;
		struct cv_ip6 v6;
	} ip;
	struct cv_udp_header udp;
};

struct flood {
	int fd;
	struct sockaddr_ll link;
	struct cv_addr first, dest;
	uint32_t sources;
	uint16_t port;
	struct datagram pool[POOL];
};

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "flood: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void datagram_set(struct datagram *datagram, const void *data, size_t len)
{
	datagram->data = malloc(len + 1);
	if (!datagram->data)
		fail("malloc");
	datagram->len = (uint16_t)len;
	memcpy(datagram->data, data, len);
	datagram->sum = cv_csum_add(0, data, len);
}

static void make_initiations(struct flood *flood, const struct cv_key *key)
{
	struct cv_identity self = { 0 };
	struct cv_handshake handshake;
	struct cv_message_initiation message;

	cv_handshake_init(&handshake, &self, key->b);
	for (size_t i = 0; i < POOL; i++) {
		cv_random_bytes(&message, sizeof(message));
		message.type = cv_le32_of(CV_MESSAGE_INITIATION);
		cv_cookie_stamp(&handshake, &message, sizeof(message), 0);
		datagram_set(&flood->pool[i], &message, sizeof(message));
	}
}

/* A third any bytes, a third with a type that exists, a third with its length as well. */
static void make_garbage(struct flood *flood)
{
	static const uint16_t lens[] = { 148, 92, 64, 32 }; /* of types 1 to 4 */
	uint8_t data[PAYLOAD_MAX];

	for (size_t i = 0; i < POOL; i++) {
		size_t len = cv_random_below(PAYLOAD_MAX + 1);
		uint32_t kind = cv_random_below(4);

		cv_random_bytes(data, sizeof(data));
		if (i % 3)
			memcpy(data, (uint8_t[4]){ (uint8_t)(kind + 1) }, 4);
		datagram_set(&flood->pool[i], data, i % 3 == 2 ? lens[kind] : len);
	}
}

/* Source number n: IPv4 counts addresses, IPv6 counts /64s. */
static void source_of(const struct flood *flood, uint32_t n, uint8_t *ret_addr)
{
	size_t at = flood->first.family == AF_INET ? 0 : 4;
	cv_be32 word;

	memcpy(ret_addr, flood->first.b, cv_addr_size(flood->first.family));
	memcpy(&word, ret_addr + at, 4);
	word = cv_be32_of(cv_be32_get(word) + n);
	memcpy(ret_addr + at, &word, 4);
}

/* 0 would say that there is none (RFC 8200, section 8.1). */
static cv_be16 udp6_csum(const struct cv_ip6 *ip, const struct cv_udp_header *udp,
			 const struct datagram *datagram)
{
	cv_csum sum =
		cv_csum_pseudo((const uint8_t *)ip, AF_INET6, IPPROTO_UDP, cv_be16_get(udp->len));
	cv_be16 field = cv_csum_field(cv_csum_add(sum + datagram->sum, udp, sizeof(*udp)));

	return cv_be16_get(field) ? field : cv_be16_of(UINT16_MAX);
}

static size_t write_headers(const struct flood *flood, const struct datagram *datagram,
			    uint32_t source, struct headers *ret)
{
	const bool v4 = flood->first.family == AF_INET;
	const size_t ip_len = v4 ? sizeof(ret->ip.v4) : sizeof(ret->ip.v6);
	const uint16_t udp_len = (uint16_t)(sizeof(ret->udp) + datagram->len);
	struct cv_udp_header udp = {
		.src = cv_be16_of((uint16_t)(SOURCE_PORTS + source % SOURCE_PORTS)),
		.dst = cv_be16_of(flood->port),
		.len = cv_be16_of(udp_len),
	};

	if (v4) {
		ret->ip.v4 = (struct cv_ip4){
			.version_ihl = 0x45,
			.tot_len = cv_be16_of((uint16_t)(ip_len + udp_len)),
			.ttl = 64,
			.protocol = IPPROTO_UDP,
		};
		source_of(flood, source, ret->ip.v4.src);
		memcpy(ret->ip.v4.dst, flood->dest.b, 4);
		ret->ip.v4.csum = cv_csum_field(cv_csum_add(0, &ret->ip.v4, ip_len));
	} else {
		ret->ip.v6 = (struct cv_ip6){
			.version_class_flow = cv_be32_of(6u << 28),
			.payload_len = cv_be16_of(udp_len),
			.next_header = IPPROTO_UDP,
			.hop_limit = 64,
		};
		source_of(flood, source, ret->ip.v6.src);
		memcpy(ret->ip.v6.dst, flood->dest.b, 16);
		udp.csum = udp6_csum(&ret->ip.v6, &udp, datagram);
	}
	memcpy((uint8_t *)ret + ip_len, &udp, sizeof(udp));
	return ip_len + sizeof(udp);
}

/* Datagrams [first, first + n); n is at most BATCH. */
static void send_batch(struct flood *flood, uint64_t first, unsigned n)
{
	static struct headers headers[BATCH];
	struct mmsghdr msgs[BATCH] = { 0 };
	struct iovec iov[BATCH][2];

	for (unsigned i = 0; i < n; i++) {
		const struct datagram *datagram = &flood->pool[(first + i) % POOL];
		uint32_t source = (uint32_t)((first + i) % flood->sources);

		iov[i][0].iov_base = &headers[i];
		iov[i][0].iov_len = write_headers(flood, datagram, source, &headers[i]);
		iov[i][1] = (struct iovec){ datagram->data, datagram->len };
		msgs[i].msg_hdr = (struct msghdr){
			.msg_name = &flood->link,
			.msg_namelen = sizeof(flood->link),
			.msg_iov = iov[i],
			.msg_iovlen = 2,
		};
	}
	for (unsigned sent = 0; sent < n;) {
		int r = sendmmsg(flood->fd, msgs + sent, n - sent, 0);

		if (r < 0 && errno != ENOBUFS && errno != EAGAIN)
			fail("sendmmsg");
		sent += r < 0 ? 0 : (unsigned)r;
	}
}

static cv_time now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * CV_NS_PER_S + now.tv_nsec;
}

static void run(struct flood *flood, uint64_t rate, uint64_t count)
{
	const cv_time start = now_ns();
	uint64_t sent = 0;
	double took_s;

	while (sent < count) {
		uint64_t due = (uint64_t)(now_ns() - start) * rate / CV_NS_PER_S;
		uint64_t n = (due < count ? due : count) - sent;

		/* What could not be sent in time is sent late. */
		n = n < BATCH ? n : BATCH;
		if (n)
			send_batch(flood, sent, (unsigned)n);
		else
			nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
		sent += n;
	}
	took_s = (double)(now_ns() - start) / CV_NS_PER_S;
	printf("sent %llu in %.3f s\n", (unsigned long long)sent, took_s);
}

static void open_link(struct flood *flood, const char *interface, const char *mac)
{
	uint8_t *b = flood->link.sll_addr;

	flood->link.sll_family = AF_PACKET;
	flood->link.sll_protocol =
		htons(flood->first.family == AF_INET ? ETHERTYPE_IP : ETHERTYPE_IPV6);
	flood->link.sll_ifindex = (int)if_nametoindex(interface);
	flood->link.sll_halen = 6;
	if (!flood->link.sll_ifindex)
		fail(interface);
	if (sscanf(mac, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", b, b + 1, b + 2, b + 3, b + 4, b + 5) != 6)
		fail(mac);
	flood->fd = socket(AF_PACKET, SOCK_DGRAM, 0);
	if (flood->fd < 0)
		fail("socket");
	if (setsockopt(flood->fd, SOL_PACKET, PACKET_QDISC_BYPASS, &(int){ 1 }, sizeof(int)) < 0)
		fail("PACKET_QDISC_BYPASS");
}

int main(int argc, char **argv)
{
	static struct flood flood;
	struct cv_key key;

	errno = EINVAL;
	if (argc != 11 || cv_crypto_init() < 0 || cv_addr_parse(argv[3], &flood.first) < 0 ||
	    cv_addr_parse(argv[5], &flood.dest) < 0 ||
	    cv_key_from_base64(argv[7], strlen(argv[7]), &key) < 0)
		fail("INTERFACE MAC FIRST SOURCES DEST PORT KEY WHAT RATE COUNT");
	flood.sources = (uint32_t)strtoul(argv[4], NULL, 10);
	flood.port = (uint16_t)strtoul(argv[6], NULL, 10);
	open_link(&flood, argv[1], argv[2]);
	if (strcmp(argv[8], "garbage") == 0)
		make_garbage(&flood);
	else
		make_initiations(&flood, &key);
	run(&flood, strtoull(argv[9], NULL, 10), strtoull(argv[10], NULL, 10));
	return 0;
}
