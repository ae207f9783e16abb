/* A UDP edge on the model kernel, with trains whose bytes tell them apart. */
#pragma once

#include "model.h"

enum { LEN = 5500, SEG = 1000, SEGS = 6 };

static struct rig {
	uint8_t mem[MEM_SIZE];
	struct cv_udp udp;
	struct cv_drops drops;
	size_t sent;
	int blocked;
	/* For rules of refusal: the errno to answer with, and the bytes to mind. */
	int refused;
	const uint8_t *target;
} rig;

static inline int rig_open(void **state)
{
	memset(&rig, 0, sizeof(rig));
	rig.blocked = -1;
	model_open(&rig.udp);
	return 0;
}

static inline int rig_close(void **state)
{
	cv_udp_close(&rig.udp);
	return 0;
}

#define on_rig(test) cmocka_unit_test_setup_teardown(test, rig_open, rig_close)

/* The i-th of the test's trains: six datagrams, each train with bytes of its own. */
static inline struct cv_train train(const char *to, size_t i)
{
	struct cv_train t = train_to(to, 9, rig.mem + i * LEN, LEN, SEG);

	t.owner = rig.mem + i;
	return t;
}

/* Send, and nothing is left. */
static inline void send_all(struct cv_train *trains, size_t n)
{
	assert_int_equal(cv_udp_send(&rig.udp, trains, n, &rig.drops, &rig.sent, &rig.blocked), 0);
	assert_int_equal(rig.sent, n);
	assert_int_equal(rig.blocked, -1);
}

/* The first n trains of a test went out over IPv4, each behind the one before. */
static inline void assert_all_on_the_wire(size_t n)
{
	size_t at = 0;

	for (size_t i = 0; i < n; i++)
		at = assert_wire(at, V4, rig.mem + i * LEN, LEN, SEG);
	assert_int_equal(model.wires, at);
}

static inline void assert_no_drops(void)
{
	for (int i = 0; i < CV_DROP_COUNT; i++)
		assert_int_equal(rig.drops.count[i], 0);
}

/* A rule: no UDP_SEGMENT. */
static inline int refuse_segment(int fd, const struct message *m)
{
	return m->seg_size ? rig.refused : 0;
}
