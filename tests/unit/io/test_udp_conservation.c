/* Law: whatever the kernel refuses, each datagram is on the wire once, in order, or counted once.
 */
#include "model.h"

enum { ROUNDS = 2000, TRAINS = 24 };

static uint8_t mem[MEM_SIZE];
static uint64_t randomness;

/* Numbers below n, repeatable from the seed (xorshift64*). */
static uint32_t below(uint32_t n)
{
	randomness ^= randomness >> 12;
	randomness ^= randomness << 25;
	randomness ^= randomness >> 27;
	return (uint32_t)((randomness * 0x2545f4914f6cdd1d) >> 33) % n;
}

/* A kernel with a mood per round: which errors it knows, and how often it shows them. */
static uint32_t mood;

static int refuse_at_random(int fd, const struct message *m)
{
	static const int errors[] = { EIO,         EINVAL, EMSGSIZE, ENOBUFS, EPERM,
				      ENETUNREACH, ENODEV, EAGAIN,   EINTR };

	if (mood == 0 || below(mood) != 0)
		return 0;
	return errors[below(sizeof(errors) / sizeof(errors[0]))];
}

static struct cv_train train_at_random(uint8_t **at)
{
	static const char *const addresses[] = { "10.0.0.1", "fd00::1" };
	uint32_t v6 = below(2), segs = 1 + below(below(4) ? 5 : 300);
	uint16_t seg_size = (uint16_t)(1 + below(100));
	uint32_t len = (segs - 1) * seg_size + 1 + below(seg_size);
	struct cv_train train = train_to(addresses[v6], 9, *at, len, seg_size);

	if (below(2))
		train.local = (struct cv_source){ addr_of(addresses[v6]), 1 };
	train.plain = below(4) == 0;
	*at += len;
	return train;
}

/* Each family's datagrams lie in memory in the order they were given in. */
static void assert_order(void)
{
	const uint8_t *end[2] = { mem, mem };

	for (size_t i = 0; i < model.wires; i++) {
		const struct datagram *d = &model.wire[i];

		assert_true(d->data >= end[d->fd == V6]);
		end[d->fd == V6] = d->data + d->len;
	}
}

static void round_of(struct cv_udp *udp)
{
	struct cv_train trains[TRAINS];
	struct cv_drops drops = { 0 };
	size_t n = 1 + below(TRAINS), first = 0, sent = 0;
	uint64_t datagrams = 0, counted = 0;
	uint8_t *at = mem;
	int blocked;

	model.wires = 0;
	model.at_most = below(3) ? 0 : 1 + below(5);
	mood = below(4) ? 2 + below(40) : 0;
	for (size_t i = 0; i < n; i++) {
		trains[i] = train_at_random(&at);
		datagrams += trains[i].segs;
	}
	for (;;) {
		model.room[0] = below(2) ? -1 : (int)below(20);
		model.room[1] = below(2) ? -1 : (int)below(20);
		if (cv_udp_send(udp, trains + first, n - first, &drops, &sent, &blocked) == 0)
			break;
		assert_true(blocked == V4 || blocked == V6);
		first += sent;
		assert_true(first < n);
	}
	assert_int_equal(sent, n - first);
	for (int i = 0; i < CV_DROP_COUNT; i++)
		counted += drops.count[i];
	assert_int_equal(model.wires + counted, datagrams);
	assert_order();
	cv_udp_reprobe(udp);
}

static void every_datagram_is_sent_once_in_order_or_counted_once(void **state)
{
	const char *seed = getenv("CV_SEED");
	struct cv_udp udp;

	randomness = seed ? strtoull(seed, NULL, 0) : ((uint64_t)getpid() << 20) + 1;
	print_message("CV_SEED=%llu\n", (unsigned long long)randomness);
	model_open(&udp);
	model.refuse = refuse_at_random;
	for (int i = 0; i < ROUNDS; i++)
		round_of(&udp);
	cv_udp_close(&udp);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(every_datagram_is_sent_once_in_order_or_counted_once),
};

int main(void)
{
	return cmocka_run_group_tests(tests, NULL, NULL);
}
