/* Every errno the kernel may answer a train with, on a model kernel behind the send seam. */
#include "rig.h"

static struct cv_train train_with_source(const char *to, const char *source)
{
	struct cv_train t = train(to, 0);

	t.local = (struct cv_source){ addr_of(source), 1 };
	return t;
}

static int refuse_source(int fd, const struct message *m)
{
	return m->has_source ? rig.refused : 0;
}

static int refuse_both(int fd, const struct message *m)
{
	return m->seg_size || m->has_source ? rig.refused : 0;
}

static int refuse_target(int fd, const struct message *m)
{
	return m->data == rig.target ? rig.refused : 0;
}

static int refuse_all(int fd, const struct message *m)
{
	return rig.refused;
}

static int refuse_segment_of_target(int fd, const struct message *m)
{
	return m->data == rig.target ? refuse_segment(fd, m) : 0;
}

static int refuse_source_or_target_segment(int fd, const struct message *m)
{
	return m->has_source ? rig.refused : refuse_segment_of_target(fd, m);
}

static void eio_switches_gso_off_for_all_until_reprobed(void **state)
{
	struct cv_train trains[] = { train("10.0.0.1", 0), train("10.0.0.2", 1) };

	rig.refused = EIO;
	model.refuse = refuse_segment;
	send_all(trains, 2);
	assert_all_on_the_wire(2);
	assert_no_drops();
	assert_false(rig.udp.gso);
	assert_true(trains[0].gso_refused);
	assert_false(trains[0].plain || trains[1].gso_refused);
	assert_int_equal(rig.udp.send_fallbacks, 1);
	assert_int_equal(rig.udp.send_trains, 2 * SEGS);
	/* Off is off: nothing is tried. */
	send_all(trains, 2);
	assert_int_equal(rig.udp.send_fallbacks, 1);
	cv_udp_reprobe(&rig.udp);
	assert_true(rig.udp.gso);
	send_all(trains, 2);
	assert_false(rig.udp.gso);
	assert_int_equal(rig.udp.send_fallbacks, 2);
	cv_udp_reprobe(&rig.udp);
	model.refuse = NULL;
	send_all(trains, 2);
	assert_true(rig.udp.gso);
	assert_int_equal(rig.udp.send_trains, 6 * SEGS + 2);
}

static void einval_and_emsgsize_make_one_train_plain(void **state)
{
	static const int errors[] = { EINVAL, EMSGSIZE };

	for (int i = 0; i < 2; i++) {
		struct cv_train trains[] = { train("10.0.0.1", 0), train("10.0.0.2", 1),
					     train("10.0.0.3", 2) };

		model.wires = 0;
		rig.refused = errors[i];
		rig.target = rig.mem + LEN;
		model.refuse = refuse_segment_of_target;
		send_all(trains, 3);
		assert_all_on_the_wire(3);
		assert_true(trains[1].gso_refused && trains[1].plain);
		assert_false(trains[0].gso_refused || trains[0].plain);
		assert_false(trains[2].gso_refused || trains[2].plain);
		assert_true(rig.udp.gso);
	}
	assert_no_drops();
	assert_int_equal(rig.udp.send_fallbacks, 2);
	assert_int_equal(rig.udp.send_trains, 2 * (2 + SEGS));
}

static void a_refused_source_is_cleared_and_the_train_kept_whole(void **state)
{
	static const int errors[] = { ENETUNREACH, EINVAL, ENODEV };

	for (int i = 0; i < 3; i++) {
		struct cv_train t = train_with_source("fd00::1", "fd00::2");

		model.wires = 0;
		rig.refused = errors[i];
		model.refuse = refuse_source;
		send_all(&t, 1);
		assert_int_equal(assert_wire(0, V6, rig.mem, LEN, SEG), model.wires);
		assert_true(t.source_refused);
		assert_int_equal(t.local.addr.family, 0);
		assert_false(t.gso_refused || t.plain);
	}
	assert_no_drops();
	assert_int_equal(rig.udp.send_trains, 3);
	assert_int_equal(rig.udp.send_fallbacks, 3);
}

static void einval_of_the_segments_leaves_the_source(void **state)
{
	struct cv_train t = train_with_source("fd00::1", "fd00::2");

	rig.refused = EINVAL;
	model.refuse = refuse_segment;
	send_all(&t, 1);
	assert_int_equal(assert_wire(0, V6, rig.mem, LEN, SEG), model.wires);
	assert_true(model.wire[0].has_source);
	assert_true(t.gso_refused && t.plain);
	assert_false(t.source_refused);
	assert_addr(&t.local.addr, "fd00::2");
}

static void one_trains_source_is_never_given_to_another(void **state)
{
	struct cv_train trains[] = { train_with_source("fd00::1", "fd00::2"), train("fd00::3", 1) };

	rig.refused = EINVAL;
	rig.target = rig.mem + LEN;
	model.refuse = refuse_source_or_target_segment;
	send_all(trains, 2);
	assert_true(trains[0].source_refused && trains[1].gso_refused);
	assert_false(trains[0].gso_refused || trains[1].source_refused);
	assert_int_equal(trains[1].local.addr.family, 0);
}

static void einval_of_both_takes_both(void **state)
{
	struct cv_train t = train_with_source("fd00::1", "fd00::2");

	rig.refused = EINVAL;
	model.refuse = refuse_both;
	send_all(&t, 1);
	assert_int_equal(assert_wire(0, V6, rig.mem, LEN, SEG), model.wires);
	assert_true(t.gso_refused && t.source_refused);
	assert_no_drops();
}

static void errors_without_cure_are_counted(void **state)
{
	static const struct {
		int error;
		enum cv_drop reason;
	} rows[] = { { EPERM, CV_DROP_SEND_REFUSED },        { ENOBUFS, CV_DROP_SEND_NOBUFS },
		     { EHOSTUNREACH, CV_DROP_SEND_REFUSED }, { ENETUNREACH, CV_DROP_SEND_REFUSED },
		     { ENETDOWN, CV_DROP_SEND_REFUSED },     { ENOMEM, CV_DROP_SEND_REFUSED } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cv_train trains[] = { train("10.0.0.1", 0), train("10.0.0.2", 1),
					     train("10.0.0.3", 2) };
		size_t at;

		memset(&rig.drops, 0, sizeof(rig.drops));
		model.wires = 0;
		rig.refused = rows[i].error;
		rig.target = rig.mem + LEN;
		model.refuse = refuse_target;
		send_all(trains, 3);
		at = assert_wire(0, V4, rig.mem, LEN, SEG);
		at = assert_wire(at, V4, rig.mem + 2 * LEN, LEN, SEG);
		assert_int_equal(model.wires, at);
		assert_int_equal(rig.drops.count[rows[i].reason], SEGS);
		assert_false(trains[1].gso_refused || trains[1].source_refused);
	}
	assert_int_equal(rig.udp.send_fallbacks, 0);
}

static void one_datagram_of_a_plain_train_may_be_refused(void **state)
{
	struct cv_train t = train("10.0.0.1", 0);
	size_t at;

	t.plain = true;
	rig.refused = EMSGSIZE;
	rig.target = rig.mem + 2 * SEG;
	model.refuse = refuse_target;
	send_all(&t, 1);
	at = assert_wire(0, V4, rig.mem, 2 * SEG, SEG);
	at = assert_wire(at, V4, rig.mem + 3 * SEG, LEN - 3 * SEG, SEG);
	assert_int_equal(model.wires, at);
	assert_int_equal(rig.drops.count[CV_DROP_SEND_REFUSED], 1);
	assert_int_equal(model.calls, 3);
}

static void everything_refused_still_ends(void **state)
{
	static const int errors[] = { EIO, EINVAL, EMSGSIZE, ENETUNREACH, ENODEV, EPERM };

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		struct cv_train trains[] = { train_with_source("10.0.0.1", "10.0.0.9"),
					     train_with_source("fd00::1", "fd00::9") };

		rig.refused = errors[i];
		model.refuse = refuse_all;
		send_all(trains, 2);
		cv_udp_reprobe(&rig.udp);
	}
	assert_int_equal(rig.drops.count[CV_DROP_SEND_REFUSED], 6 * 2 * SEGS);
	assert_int_equal(model.wires, 0);
	assert_int_equal(rig.udp.send_trains, 0);
}

static void one_datagram_is_sent_through_the_same_fallback(void **state)
{
	static const int errors[] = { ENETUNREACH, EINVAL, ENODEV };
	struct cv_train t;

	for (int i = 0; i < 3; i++) {
		t = train_with_source("fd00::1", "fd00::2");
		rig.refused = errors[i];
		model.refuse = refuse_source;
		assert_int_equal(cv_udp_send_one(&rig.udp, &t), 0);
		assert_true(t.source_refused);
		assert_int_equal(model.messages, i + 1);
		model.refuse = refuse_all;
		t.local = (struct cv_source){ addr_of("fd00::2"), 1 };
		assert_int_equal(cv_udp_send_one(&rig.udp, &t), -errors[i]);
	}
	rig.refused = EAGAIN;
	t.local = (struct cv_source){ addr_of("fd00::2"), 1 };
	assert_int_equal(cv_udp_send_one(&rig.udp, &t), -EAGAIN);
	assert_addr(&t.local.addr, "fd00::2");
}

static const struct CMUnitTest tests[] = {
	on_rig(eio_switches_gso_off_for_all_until_reprobed),
	on_rig(einval_and_emsgsize_make_one_train_plain),
	on_rig(a_refused_source_is_cleared_and_the_train_kept_whole),
	on_rig(einval_of_the_segments_leaves_the_source),
	on_rig(one_trains_source_is_never_given_to_another),
	on_rig(einval_of_both_takes_both),
	on_rig(errors_without_cure_are_counted),
	on_rig(one_datagram_of_a_plain_train_may_be_refused),
	on_rig(everything_refused_still_ends),
	on_rig(one_datagram_is_sent_through_the_same_fallback),
};

int main(void)
{
	return cmocka_run_group_tests(tests, NULL, NULL);
}
