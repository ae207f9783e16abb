/*
 * crowd: many initiators with sessions of their own at one server, all in this process.
 *
 *	crowd keys N
 *	crowd echo DEST PORT KEY FIRST N SERVER INNER ROUNDS
 *
 * `keys` prints the public keys of clients 0 to N - 1, which are always the same. `echo` speaks as
 * they do: client i sends from address FIRST + i, to DEST and PORT, where a Convoy with public key
 * KEY knows it by the inner address INNER + i. Each makes a handshake; then all of them, in turn
 * and ROUNDS times, ping SERVER through their sessions. Every answer is opened and compared. Prints
 * what came of that in one line.
 *
 * How it works. One UDP socket; what a datagram's source is, IP_PKTINFO says, and the addresses are
 * made local by a route (ip route add local NET dev lo). The receiver index is the client's number.
 * A window of datagrams is sent, then all answers are awaited, for a while.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <convoy/base/time.h>
#include <convoy/crypto/aead.h>
#include <convoy/crypto/hash.h>
#include <convoy/crypto/init.h>
#include <convoy/crypto/key.h>
#include <convoy/crypto/random.h>
#include <convoy/noise/cookie.h>
#include <convoy/packet/csum.h>

enum {
	WINDOW = 64,
	WAIT_MS = 500,
	TRIES = 20, /* of a handshake */
	ECHO_LEN = 96,
	DATAGRAM_MAX = 2048,
	ICMP_ECHO = 8,
	ICMP_REPLY = 0,
};

struct client {
	struct cv_identity self;
	struct cv_handshake handshake;
	struct cv_keypair keypair;
	bool has_session;
	uint32_t answered; /* number of the last echo that came back */
};

struct crowd {
	int fd;
	struct sockaddr_in dest;
	uint32_t first, server, inner; /* addresses in host order */
	struct client *clients;
	uint32_t n;
	struct cv_aead aead;
	uint64_t echoes;
};

/* An echo, as sent and as answered. */
struct echo {
	struct cv_ip4 ip;
	uint8_t type, code;
	cv_be16 csum;
	cv_be16 id, sequence;
	cv_be32 client, number;
	uint8_t rest[ECHO_LEN - 20 - 8 - 8];
};
_Static_assert(sizeof(struct echo) == ECHO_LEN, "no holes");

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "crowd: %s: %s\n", what, strerror(errno));
	exit(1);
}

static cv_time clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * CV_NS_PER_S + now.tv_nsec;
}

static void client_key(uint32_t i, uint8_t ret_private[32])
{
	const struct cv_piece piece = { &i, sizeof(i) };

	cv_hash(&piece, 1, ret_private);
}

static int print_keys(uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		char text[CV_KEY_BASE64_LEN + 1];
		struct cv_identity self;
		uint8_t private_key[32];
		struct cv_key key;

		client_key(i, private_key);
		cv_identity_init(&self, private_key);
		memcpy(key.b, self.public_key, sizeof(key.b));
		puts(cv_key_to_base64(&key, text));
	}
	return 0;
}

/* Sending and receiving ------------------------------------------------------------------- */

static void send_as(struct crowd *crowd, uint32_t i, const void *data, size_t len)
{
	union {
		struct cmsghdr head;
		uint8_t room[CMSG_SPACE(sizeof(struct in_pktinfo))];
	} control = { 0 };
	struct in_pktinfo source = { .ipi_spec_dst.s_addr = htonl(crowd->first + i) };
	struct iovec iov = { (void *)(uintptr_t)data, len };
	struct msghdr msg = {
		.msg_name = &crowd->dest,
		.msg_namelen = sizeof(crowd->dest),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};

	control.head.cmsg_level = IPPROTO_IP;
	control.head.cmsg_type = IP_PKTINFO;
	control.head.cmsg_len = CMSG_LEN(sizeof(source));
	memcpy(CMSG_DATA(&control.head), &source, sizeof(source));
	if (sendmsg(crowd->fd, &msg, 0) < 0)
		fail("sendmsg");
}

/* Return: length of the next datagram; 0 when none came for a while. */
static size_t receive(struct crowd *crowd, uint8_t *data)
{
	struct pollfd event = { .fd = crowd->fd, .events = POLLIN };
	ssize_t n;

	if (poll(&event, 1, WAIT_MS) == 0)
		return 0;
	n = recv(crowd->fd, data, DATAGRAM_MAX, 0);
	if (n < 0)
		fail("recv");
	return (size_t)n;
}

static struct client *client_of(struct crowd *crowd, cv_le32 index)
{
	uint32_t i = cv_le32_get(index);

	return i < crowd->n ? &crowd->clients[i] : NULL;
}

/* Handshakes ------------------------------------------------------------------------------ */

static void initiate(struct crowd *crowd, uint32_t i)
{
	struct client *client = &crowd->clients[i];
	struct cv_message_initiation message;
	uint8_t ephemeral[32];

	cv_random_bytes(ephemeral, sizeof(ephemeral));
	if (cv_noise_create_initiation(&client->handshake, &client->self, ephemeral, i,
				       clock_ns(CLOCK_REALTIME), &message) < 0)
		fail("cv_noise_create_initiation");
	cv_cookie_stamp(&client->handshake, &message, sizeof(message), clock_ns(CLOCK_MONOTONIC));
	send_as(crowd, i, &message, sizeof(message));
}

static void hear_response(struct crowd *crowd, const uint8_t *data)
{
	const struct cv_message_response *message = (const void *)data;
	struct client *client = client_of(crowd, message->receiver_index);

	if (client && !client->has_session &&
	    cv_noise_consume_response(&client->handshake, &client->self, message) == 0 &&
	    cv_noise_begin_session(&client->handshake, clock_ns(CLOCK_MONOTONIC),
				   &client->keypair) == 0)
		client->has_session = true;
}

static void hear_cookie(struct crowd *crowd, const uint8_t *data)
{
	const struct cv_message_cookie *message = (const void *)data;
	struct client *client = client_of(crowd, message->receiver_index);

	if (client)
		cv_cookie_consume_reply(&client->handshake, message, clock_ns(CLOCK_MONOTONIC));
}

/* Clients [first, end) that have no session send an initiation, and hear what is said to it. */
static void shake_hands(struct crowd *crowd, uint32_t first, uint32_t end)
{
	uint8_t data[DATAGRAM_MAX];
	uint32_t waiting = 0;
	size_t len;

	for (uint32_t i = first; i < end; i++)
		if (!crowd->clients[i].has_session) {
			initiate(crowd, i);
			waiting++;
		}
	for (; waiting && (len = receive(crowd, data)); waiting--) {
		int type = cv_message_type(data, len);

		if (type == CV_MESSAGE_RESPONSE)
			hear_response(crowd, data);
		else if (type == CV_MESSAGE_COOKIE)
			hear_cookie(crowd, data);
	}
}

static uint32_t make_sessions(struct crowd *crowd)
{
	uint32_t sessions = 0;

	for (int tries = 0; tries < TRIES; tries++)
		for (uint32_t i = 0; i < crowd->n; i += WINDOW)
			shake_hands(crowd, i, i + WINDOW < crowd->n ? i + WINDOW : crowd->n);
	for (uint32_t i = 0; i < crowd->n; i++)
		sessions += crowd->clients[i].has_session;
	return sessions;
}

/* Echoes ---------------------------------------------------------------------------------- */

static void echo_make(const struct crowd *crowd, uint32_t i, uint32_t number, struct echo *ret)
{
	cv_be32 source = cv_be32_of(crowd->inner + i), server = cv_be32_of(crowd->server);

	*ret = (struct echo){
		.ip = { .version_ihl = 0x45,
			.tot_len = cv_be16_of(ECHO_LEN),
			.ttl = 64,
			.protocol = IPPROTO_ICMP },
		.type = ICMP_ECHO,
		.client = cv_be32_of(i),
		.number = cv_be32_of(number),
	};
	memset(ret->rest, (int)(i + number), sizeof(ret->rest));
	memcpy(ret->ip.src, &source, 4);
	memcpy(ret->ip.dst, &server, 4);
	ret->ip.csum = cv_csum_field(cv_csum_add(0, &ret->ip, sizeof(ret->ip)));
	ret->csum = cv_csum_field(cv_csum_add(0, &ret->type, ECHO_LEN - 20));
}

static void send_echo(struct crowd *crowd, uint32_t i, uint32_t number)
{
	struct client *client = &crowd->clients[i];
	struct {
		struct cv_message_data header;
		struct echo echo;
		uint8_t tag[CV_AEAD_TAG_SIZE];
	} message;
	struct cv_aead_job job = {
		.key = &client->keypair.send,
		.text = (uint8_t *)&message.echo,
		.len = ECHO_LEN,
	};

	if (cv_keypair_take(&client->keypair, 1, clock_ns(CLOCK_MONOTONIC), &job.counter) < 0)
		fail("cv_keypair_take");
	message.header.type = cv_le32_of(CV_MESSAGE_DATA);
	message.header.receiver_index = cv_le32_of(client->keypair.remote_index);
	message.header.counter = cv_le64_of(job.counter);
	echo_make(crowd, i, number, &message.echo);
	cv_aead_seal(&crowd->aead, &job, 1);
	send_as(crowd, i, &message, sizeof(message));
}

/* Return: whether a datagram is the answer to this echo of its client. */
static bool hear_echo(struct crowd *crowd, uint8_t *data, size_t len, uint32_t number)
{
	struct cv_message_data *header = (void *)data;
	struct client *client = client_of(crowd, header->receiver_index);
	struct cv_aead_job job = {
		.text = data + sizeof(*header),
		.counter = cv_le64_get(header->counter),
		.len = ECHO_LEN,
	};
	struct echo sent;
	const struct echo *got = (void *)job.text;

	if (cv_message_type(data, len) != CV_MESSAGE_DATA || !client ||
	    len != sizeof(*header) + ECHO_LEN + CV_AEAD_TAG_SIZE || client->answered == number)
		return false;
	job.key = &client->keypair.receive;
	cv_aead_open(&crowd->aead, &job, 1);
	echo_make(crowd, cv_le32_get(header->receiver_index), number, &sent);
	if (!job.ok || memcmp(got->ip.dst, sent.ip.src, 4) != 0 || got->type != ICMP_REPLY ||
	    memcmp(&got->id, &sent.id, ECHO_LEN - offsetof(struct echo, id)) != 0)
		return false;
	client->answered = number;
	return true;
}

static void echo_window(struct crowd *crowd, uint32_t first, uint32_t end, uint32_t number)
{
	uint8_t data[DATAGRAM_MAX];
	uint32_t waiting = 0;
	size_t len;

	for (uint32_t i = first; i < end; i++)
		if (crowd->clients[i].has_session) {
			send_echo(crowd, i, number);
			waiting++;
		}
	while (waiting && (len = receive(crowd, data)))
		if (hear_echo(crowd, data, len, number)) {
			waiting--;
			crowd->echoes++;
		}
}

static int echo(struct crowd *crowd, uint32_t rounds)
{
	cv_time start = clock_ns(CLOCK_MONOTONIC), between;
	uint32_t sessions = make_sessions(crowd);

	between = clock_ns(CLOCK_MONOTONIC);
	for (uint32_t number = 1; number <= rounds; number++)
		for (uint32_t i = 0; i < crowd->n; i += WINDOW)
			echo_window(crowd, i, i + WINDOW < crowd->n ? i + WINDOW : crowd->n,
				    number);
	printf("sessions %u in %.3f s echoes %llu in %.3f s\n", sessions,
	       (double)(between - start) / CV_NS_PER_S, (unsigned long long)crowd->echoes,
	       (double)(clock_ns(CLOCK_MONOTONIC) - between) / CV_NS_PER_S);
	return 0;
}

/* The program ----------------------------------------------------------------------------- */

static uint32_t address(const char *text)
{
	struct in_addr addr;

	if (inet_pton(AF_INET, text, &addr) != 1)
		fail(text);
	return ntohl(addr.s_addr);
}

static void crowd_open(struct crowd *crowd, char **argv)
{
	struct cv_key server;

	if (cv_key_from_base64(argv[2], strlen(argv[2]), &server) < 0)
		fail(argv[2]);
	crowd->dest = (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(address(argv[0])),
		.sin_port = htons((uint16_t)atoi(argv[1])),
	};
	crowd->first = address(argv[3]);
	crowd->n = (uint32_t)atoi(argv[4]);
	crowd->server = address(argv[5]);
	crowd->inner = address(argv[6]);
	crowd->clients = calloc(crowd->n, sizeof(*crowd->clients));
	crowd->fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (!crowd->clients || crowd->fd < 0 || cv_aead_init(&crowd->aead, NULL) < 0)
		fail("crowd");
	for (uint32_t i = 0; i < crowd->n; i++) {
		struct client *client = &crowd->clients[i];
		uint8_t private_key[32];

		client_key(i, private_key);
		cv_identity_init(&client->self, private_key);
		cv_handshake_init(&client->handshake, &client->self, server.b);
	}
}

int main(int argc, char **argv)
{
	static struct crowd crowd;

	errno = EINVAL;
	if (cv_crypto_init() < 0)
		fail("cv_crypto_init");
	if (argc == 3 && strcmp(argv[1], "keys") == 0)
		return print_keys((uint32_t)atoi(argv[2]));
	if (argc != 10 || strcmp(argv[1], "echo") != 0)
		fail("keys N, or echo DEST PORT KEY FIRST N SERVER INNER ROUNDS");
	crowd_open(&crowd, argv + 2);
	return echo(&crowd, (uint32_t)atoi(argv[9]));
}
